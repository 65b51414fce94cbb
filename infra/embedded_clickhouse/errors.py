"""An error as ClickHouse's HTTP interface shows it: a code, a name, a text and an HTTP status."""

import re
from http import HTTPStatus

from ...schemas.errors import LoopwatchError

# As ClickHouse's exceptionCodeToHTTPStatus: what isn't here is 500.
_STATUS_OF_CODE = {
    **dict.fromkeys(
        (6, 15, 16, 25, 26, 27, 38, 41, 44, 53, 62, 69, 70, 72, 117, 119, 168, 457), HTTPStatus.BAD_REQUEST
    ),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 83, 115, 336), HTTPStatus.NOT_FOUND),
    159: HTTPStatus.REQUEST_TIMEOUT,
    202: HTTPStatus.SERVICE_UNAVAILABLE,
    48: HTTPStatus.NOT_IMPLEMENTED,
    381: HTTPStatus.LENGTH_REQUIRED,
    **dict.fromkeys((497, 516), HTTPStatus.FORBIDDEN),
}
_ENGINE_PREFIX = re.compile(r"^.*?Code: (\d+)\. DB::(?:\w+Exception|Exception): ", re.DOTALL)
_REPEATED_PREFIX = re.compile(r"^(?:Code: \d+\. DB::(?:\w+Exception|Exception): )+")
_VERSION = re.compile(r"\s*\(version [^()]*(?:\([^()]*\))?[^()]*\)\.?")
_NAME_AT_END = re.compile(r"\s*\(([A-Z][A-Z0-9_]+)\)\.?\s*$")


class QueryError(LoopwatchError):
    """A request that fails the way ClickHouse lets it fail: `code` and `name` are ClickHouse's."""

    def __init__(self, code: int, name: str, text: str, status: int | None = None) -> None:
        super().__init__(code, name, text)
        self.code = code
        self.name = name
        self.text = text
        self.status = int(status if status is not None else _STATUS_OF_CODE.get(code, HTTPStatus.INTERNAL_SERVER_ERROR))

    def __str__(self) -> str:
        return f"Code: {self.code}. DB::Exception: {self.text} ({self.name})"

    def body(self, version: str) -> bytes:
        """The response body, as ClickHouse writes it."""
        return f"{self} (version {version} (embedded))\n".encode("utf-8", "replace")


def from_engine(message: str) -> QueryError:
    """The engine's message (which may repeat its prefix and its version) as one error."""
    match = _ENGINE_PREFIX.match(message)
    if not match:
        return QueryError(1002, "UNKNOWN_EXCEPTION", message.strip() or "the engine failed without a message")
    text = _VERSION.sub("", _REPEATED_PREFIX.sub("", message[match.end() :])).strip()
    name = ""
    while found := _NAME_AT_END.search(text):
        name = name or found.group(1)
        text = text[: found.start()]
    return QueryError(int(match.group(1)), name or "UNKNOWN_EXCEPTION", text)


def syntax_error(text: str) -> QueryError:
    return QueryError(62, "SYNTAX_ERROR", f"Syntax error: {text}")


def access_denied(text: str) -> QueryError:
    return QueryError(497, "ACCESS_DENIED", f"{text} (this token may only read)")


def not_implemented(text: str) -> QueryError:
    return QueryError(48, "NOT_IMPLEMENTED", f"{text}: the embedded ClickHouse doesn't have it")
