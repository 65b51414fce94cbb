"""Addresses that lead inside, in all the forms they are written in, and names that turn to them between two looks.

A listener on loopback and a backend that notes every connection see what gets through.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Any

from loopwatch.stream_processors.webhooks import egress
from loopwatch.stream_processors.webhooks.addresses import address_of, is_allowed
from loopwatch.stream_processors.webhooks.egress import BadUrl, Egress, Forbidden
from msgspec import Struct

_LITERALS = """
    127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 0177.1 017700000001
    0 0.0.0.0 0.0.0.1 localhost localhost. 10.0.0.1 10.1 167772161 0xa000001 012.0.0.1 172.16.0.1 172.31.255.254
    192.168.0.1 192.168.1 3232235521 0xc0a80001 169.254.169.254 169.254.43518 2852039166 0xa9fea9fe 0251.0376.0251.0376
    100.64.0.1 100.100.100.200 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1
    239.255.255.250 240.0.0.1 255.255.255.255
    [::1] [::] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [::ffff:169.254.169.254]
    [::ffff:0:127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::169.254.169.254] [64:ff9b:1::a00:1] [2002:7f00:1::]
    [2002:a9fe:a9fe::] [2001:0:4136:e378:8000:63bf:80ff:fffe] [fc00::1] [fd00:ec2::254] [fe80::1] [fec0::1] [ff02::1]
    [2001:db8::1] [100::1] [3fff::1] [5f00::1] 127.0.0.1%00.example 127.0.0.1.:{port}
    ①②⑦.0.0.1 １２７.0.0.1 ⓛocalhost
""".split()  # noqa: SIM905 (a list of a hundred strings is no table)
_TRICKS = """
    http://8.8.8.8@127.0.0.1:{port}/ http://127.0.0.1:{port}@8.8.8.8/ http://8.8.8.8#@127.0.0.1:{port}/
    http:\\\\127.0.0.1:{port}/ http:///127.0.0.1:{port}/ //127.0.0.1:{port}/ file:///etc/passwd gopher://127.0.0.1:{port}/
    ftp://127.0.0.1:{port}/ http://127.0.0.1:{port}\\@8.8.8.8/ http://[::1%25lo]:{port}/ http://[::ffff:127.0.0.1%25lo]:{port}/
""".split()  # noqa: SIM905 (as above)
_INSIDE = ("127.0.0.1", "10.0.0.5", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")


class Ssrf(Struct, frozen=True):
    """How it ended. `connections` and `taken` shall be 0."""

    forms: int
    names: int
    """Names that resolve inside at once, or after they resolved outside."""
    refused: int
    connections: int
    """Tries to connect to an address that may not be called that got as far as the network."""
    taken: int
    """Connections that a listener on loopback got."""


def run() -> Ssrf:
    """Call them all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken: list[Any] = []
        threading.Thread(target=_accept, args=(listener, taken), daemon=True).start()
        port = listener.getsockname()[1]
        forms = [f"http://{each.format(port=port) if '{' in each else f'{each}:{port}'}/" for each in _LITERALS]
        forms += [each.format(port=port) for each in _TRICKS]
        before, noted = egress._BACKEND, _Noting()
        egress._BACKEND = noted
        try:
            refused = asyncio.run(_call(forms, port))
        finally:
            egress._BACKEND = before
    names = 2 * len(_INSIDE)
    # Of `http://8.8.8.8#@127.0.0.1` the host is 8.8.8.8, which may be called.
    inside = [each for each in noted.to if not is_allowed(address_of(each), [])]
    return Ssrf(len(forms), names, refused, len(inside), len(taken))


def _accept(listener: socket.socket, taken: list[Any]) -> None:
    while True:
        try:
            taken.append(listener.accept())
        except OSError:
            return


async def _call(forms: Sequence[str], port: int) -> int:
    refused = 0
    for form in forms:
        refused += await _is_refused(form, egress.resolve)
    for inside in _INSIDE:
        answers = [["93.184.215.14", inside], [inside]]
        for answer in answers:

            async def rebound(host: str, port: int, answer: list[str] = answer) -> Sequence[str]:
                return answer

            refused += await _is_refused(f"http://rebound.example:{port}/", rebound)
    return refused


async def _is_refused(url: str, resolve: Any) -> bool:
    connection = Egress([], 1, resolve=resolve)
    try:
        await connection.post(url, {}, b"{}", 3)
    except (Forbidden, BadUrl, OSError, TimeoutError):
        return True
    finally:
        await connection.close()
    return False


class _Noting:
    """Connects to nothing, and notes to what it was asked to."""

    def __init__(self) -> None:
        self.to: list[str] = []

    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> Any:
        self.to.append(host)
        raise OSError("not here")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
