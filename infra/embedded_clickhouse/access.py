"""Who asks, and whether their browser was talked into it."""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from email.message import Message
from enum import Enum

from .errors import QueryError


class Role(Enum):
    """What a request may do."""

    READER = "reader"
    WRITER = "writer"


def is_loopback(host: str) -> bool:
    """True for 127.0.0.0/8, ::1 and ``localhost``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Access:
    """Tokens, compared in constant time. Without tokens everybody who reaches the (loopback) port writes.

    A web page can make a browser send requests to loopback, so without tokens a request that a page caused is refused:
    one with an ``Origin``, one of a foreign ``Sec-Fetch-Site``, or one whose ``Host`` is a name other than localhost
    (DNS rebinding).
    """

    def __init__(self, writer_token: str | None, reader_token: str | None) -> None:
        self._writer = writer_token.encode() if writer_token else None
        self._reader = reader_token.encode() if reader_token else None

    def role(self, headers: Message, params: Mapping[str, str]) -> Role:
        """The role of a request; raises `QueryError` 516 (HTTP 403)."""
        if self._writer is None:
            _refuse_browsers(headers)
            return Role.WRITER
        user, password = _credentials(headers, params)
        secret = password.encode("utf-8", "surrogateescape")
        writes = hmac.compare_digest(secret, self._writer)
        reads = self._reader is not None and hmac.compare_digest(secret, self._reader)
        if writes:
            return Role.WRITER
        if reads:
            return Role.READER
        raise QueryError(
            516,
            "AUTHENTICATION_FAILED",
            f"{_printable(user)}: Authentication failed: password is incorrect, or there is no user with such name",
        )


def _credentials(headers: Message, params: Mapping[str, str]) -> tuple[str, str]:
    key = headers.get("X-ClickHouse-Key")
    if key is not None:
        return headers.get("X-ClickHouse-User", "default"), key
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "default", ""
        return user, password
    if scheme.lower() == "bearer":
        return "default", value.strip()
    return params.get("user", "default"), params.get("password", "")


def _refuse_browsers(headers: Message) -> None:
    host = headers.get("Host", "localhost")
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
    foreign = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if headers.get("Origin") is not None or foreign or not (is_loopback(name) or not name):
        raise QueryError(
            516,
            "AUTHENTICATION_FAILED",
            "a web page, or a name that is not this machine's, may not use a server without tokens: set a writer token",
        )


def _printable(user: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in user[:64]) or "default"
