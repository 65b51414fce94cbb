"""Which addresses a webhook may go to: global ones, and networks that a receiver names.

Whoever can write a receiver's address, or the DNS records of one, could have requests sent to services inside. So every
address that a name resolves to is judged, whatever form it was written in, and the connection goes to what was judged.
"""

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Allocated to the world so far (RFC 4291, IANA), less what is special in it.
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6 = tuple(
    map(
        ipaddress.IPv6Network,
        # Protocol assignments with Teredo and ORCHID, documentation (twice), 6to4.
        ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16"),
    )
)
# Relays of 6to4, AS112, AMT: anycast services inside networks.
_SPECIAL_4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "192.31.196.0/24", "192.52.193.0/24",
                                               "192.175.48.0/24")))  # fmt: skip
_ISATAP = (0x00005EFE, 0x02005EFE)


def address_of(text: str) -> Address:
    """The address itself: an IPv4 one that is wrapped in IPv6 is that, and a zone is left out.

    Raises:
        ValueError: it is no address.

    >>> address_of("::ffff:10.0.0.1")
    IPv4Address('10.0.0.1')
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether a webhook may go there.

    >>> is_allowed(address_of("169.254.169.254"), []), is_allowed(address_of("8.8.8.8"), [])
    (False, True)
    """
    if any(address.version == network.version and address in network for network in networks):
        return True
    if address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    # What translates to IPv4 somewhere on the way (NAT64, 6to4, Teredo, ISATAP) could come out anywhere.
    is_isatap = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    return address in _GLOBAL_6 and not is_isatap and not any(address in network for network in _SPECIAL_6)
