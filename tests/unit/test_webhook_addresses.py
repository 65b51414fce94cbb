"""Where a webhook may go: whatever form an address is written in, and whatever a name resolves to."""

import asyncio
import ipaddress
from collections.abc import Sequence

import pytest
from loopwatch.stream_processors.webhooks.addresses import address_of, is_allowed
from loopwatch.stream_processors.webhooks.egress import BadUrl, Egress, Forbidden, parse_url

FORBIDDEN = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 127.0.0.1 127.1.2.3 169.254.0.1
    169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1
    192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
    ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1
    2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::
    3fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 febf::1 fec0::1 ff02::1 ff05::2
    2a00:1450::200:5efe:7f00:1 2a00:1450::5efe:a00:1 4000::1
""".split()  # noqa: SIM905 (a list of a hundred strings is no table)
GLOBAL = ["1.1.1.1", "8.8.8.8", "151.101.1.69", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8"]


def test_no_special_address_is_allowed_and_global_ones_are() -> None:
    assert len(FORBIDDEN) >= 60
    assert [text for text in FORBIDDEN if is_allowed(address_of(text), [])] == []
    assert [text for text in GLOBAL if not is_allowed(address_of(text), [])] == []


def test_a_network_that_is_named_is_allowed_and_no_other() -> None:
    networks = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")]
    allowed = ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"]
    assert all(is_allowed(address_of(text), networks) for text in allowed)
    assert not any(is_allowed(address_of(text), networks) for text in ("10.2.0.1", "fd00:2::5", "127.0.0.1"))


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "http://", "http:///path", "ftp://h/", "file:///etc/passwd", "gopher://h/", "//h/", "http://u@h/",
        "http://u:p@h/", "http://127.0.0.1@8.8.8.8/", "http://h:0/", "http://h:70000/", "http://h:x/", "http://[::1/",
        "http://" + "a" * 70 + ".example/", "http://a..b/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadUrl) as refused:
        parse_url(url)
    assert not url or url not in str(refused.value)


def _posted(url: str, resolved: Sequence[str] | Exception, networks: Sequence[str] = ()) -> BaseException:
    """What a post ends with, where the name resolves so."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        if isinstance(resolved, Exception):
            raise resolved
        return resolved

    async def post() -> None:
        egress = Egress([ipaddress.ip_network(each) for each in networks], 1, resolve=resolve)
        try:
            await egress.post(url, {}, b"{}", 5)
        finally:
            await egress.close()

    with pytest.raises((Forbidden, OSError, TimeoutError)) as ended:
        asyncio.run(post())
    return ended.value


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_name_that_resolves_to_a_forbidden_address_is_not_called(address: str) -> None:
    assert isinstance(_posted("https://rebound.example/", [address]), Forbidden)
    assert isinstance(_posted("https://rebound.example/", ["8.8.8.8", address]), Forbidden)


def test_a_name_that_does_not_resolve_is_not_called() -> None:
    assert isinstance(_posted("https://gone.example/", OSError("no such name")), OSError)
    assert isinstance(_posted("https://gone.example/", []), OSError)


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    async def post() -> None:
        egress = Egress([], 1)
        try:
            await egress.post(f"http://{host}:1/", {}, b"", 5)
        finally:
            await egress.close()

    with pytest.raises((Forbidden, OSError)) as ended:
        asyncio.run(post())
    # Resolvers that don't take such a form say so; none of them gets through.
    assert isinstance(ended.value, Forbidden) or "can't be resolved" in str(ended.value)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "169.254.169.254", "[::1]", "10.0.0.1"])
def test_behind_a_proxy_addresses_are_judged_all_the_same(host: str) -> None:
    async def post() -> None:
        egress = Egress([], 1, proxy="http://127.0.0.1:1")
        try:
            await egress.post(f"http://{host}/", {}, b"", 5)
        finally:
            await egress.close()

    with pytest.raises(Forbidden):
        asyncio.run(post())
