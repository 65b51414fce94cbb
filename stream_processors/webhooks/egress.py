"""One POST to an address that somebody else wrote: resolved once, judged, and connected to just what was judged.

No redirects, no environment proxies, no decompression, a bounded answer, one deadline for all of it. With an egress
proxy, connections go to that, and it resolves names: then it is the proxy that has to refuse addresses inside;
addresses written as such are judged here all the same.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpcore
from msgspec import Struct

from .addresses import Network, address_of, is_allowed

MOST_ANSWER = 64 << 10
"""Bytes of an answer's body that are read; they are thrown away."""

# Of asyncio and trio; httpcore's types have it only where anyio is installed.
_BACKEND: Any = httpcore.AnyIOBackend()

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Forbidden(Exception):
    """The address is in no network that may be called."""


class BadUrl(Exception):
    """The address is none."""


class Answer(Struct, frozen=True):
    """What came back: a status, and how long to wait before another try, if it says so (``Retry-After``, seconds)."""

    status: int
    retry_after_s: float | None = None


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Egress:
    """Connections of one receiver. Use it on one event loop, and close it."""

    def __init__(
        self,
        networks: Sequence[Network],
        concurrency: int,
        *,
        proxy: str = "",
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._proxied = bool(proxy)
        self._networks = networks
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            proxy=_proxy(proxy) if proxy else None,
            max_connections=concurrency,
            keepalive_expiry=30.0,
            network_backend=_BACKEND if proxy else _Checked(networks, resolve),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
        """Send it.

        Raises:
            BadUrl: the address is none.
            Forbidden: it may not be called, or what it resolves to may not.
            TimeoutError: there was no whole answer in time.
            OSError: there was no connection, or it broke off; the message is for people.
        """
        target = parse_url(url)
        if self._proxied:
            self._judge_literal(target.host.decode())
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with asyncio.timeout(timeout_s):
            try:
                async with self._pool.stream("POST", target, headers=sent, content=body) as response:
                    await _read_some(response)
                    return Answer(response.status, _retry_after_s(response.headers))
            except (httpcore.TimeoutException, httpcore.PoolTimeout) as exc:
                raise TimeoutError(str(exc)) from exc
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, ssl.SSLError) as exc:
                raise OSError(f"{type(exc).__name__}: {exc}"[:300]) from exc

    async def close(self) -> None:
        """Drop all connections."""
        await self._pool.aclose()

    def _judge_literal(self, host: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            # inet_aton reads what resolvers do: decimal, octal, hexadecimal, short forms.
            packed = host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
            if not is_allowed(address_of(packed), self._networks):
                raise Forbidden(f"{host} is in no network that may be called")


def parse_url(url: str) -> httpcore.URL:
    """An http or https address, in the form that the connection uses.

    Raises:
        BadUrl: it is none; the message doesn't show it, as it may hold a secret.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme not in ("http", "https") or not host or parts.username is not None or port == 0:
            raise BadUrl("it is no http or https address with a host and without a user")
        ascii_host = host if ":" in host else host.encode("idna").decode()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return httpcore.URL(
            scheme=parts.scheme.encode(), host=ascii_host.encode("ascii"), port=port, target=target.encode("ascii")
        )
    except (ValueError, UnicodeError) as exc:
        raise BadUrl(f"it is no address: {type(exc).__name__}") from None


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to judged addresses only. The name stays what TLS and ``Host`` go by."""

    def __init__(self, networks: Sequence[Network], resolve: Resolve) -> None:
        self._networks = networks
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, judge every address, and connect to the first that takes it."""
        try:
            found = await self._resolve(host, port)
        except OSError as exc:
            raise httpcore.ConnectError(f"{host} can't be resolved: {exc}") from exc
        addresses = [address_of(each) for each in found]
        if not addresses:
            raise httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            if not is_allowed(address, self._networks):
                raise Forbidden(f"{host} is {address}, in no network that may be called")
        failure: Exception | None = None
        for address in addresses[:4]:
            try:
                return await _BACKEND.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure or httpcore.ConnectError(f"{host} takes no connection")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise Forbidden("a socket of this machine may not be called")

    async def sleep(self, seconds: float) -> None:
        """Of the base class."""
        await _BACKEND.sleep(seconds)


async def _read_some(response: httpcore.Response) -> None:
    """An answer is whole when its body ended; of a long one the beginning is enough."""
    read = 0
    async for part in response.aiter_stream():
        read += len(part)
        if read > MOST_ANSWER:
            return


def _retry_after_s(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) <= 9:
            return float(value)
    return None


def _proxy(url: str) -> httpcore.Proxy:
    parts = urlsplit(url)
    auth = (parts.username, parts.password or "") if parts.username else None
    target = f"{parts.scheme}://{parts.hostname}:{parts.port or 3128}"
    return httpcore.Proxy(target, auth=auth)
