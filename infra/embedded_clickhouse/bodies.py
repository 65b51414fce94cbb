"""A request body from the socket: Content-Length or chunked, compressed or not, never more than the limit.

Decompression is streamed in pieces of at most 1 MiB, so a bomb costs its limit and no more; the limit holds for the
bytes on the wire and for the decompressed ones. A body that ends early is an error before anything was executed.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from email.message import Message
from typing import BinaryIO, Protocol, cast

import lz4.frame
from backports import zstd

from .errors import QueryError

PIECE = 1 << 20
_MAX_LINE = 1024
_ZSTD_WINDOW_LOG_MAX = 25  # 32 MiB: what `zstd -19` needs twice over; the format would allow 2 GiB


def read_body(headers: Message, stream: BinaryIO, limit: int) -> list[bytes]:
    """The decoded body in pieces. Raises `QueryError` with status 400 (truncated, corrupt), 413 or 415."""
    encoding = (headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding not in _DECODERS:
        known = ", ".join(sorted(_DECODERS))
        raise QueryError(48, "NOT_IMPLEMENTED", f"Content-Encoding {encoding!r} is not one of {known}", status=415)
    wire = _limited(_wire(headers, stream, limit), limit, "the request body")
    make = _DECODERS[encoding]
    if make is None:
        return list(wire)
    return list(_limited(_decoded(wire, make, encoding), limit, "the decompressed request body"))


def body_framing(headers: Message) -> int | None:
    """Content-Length, or None for chunked. Raises `QueryError` 400 for what could be read in two ways."""
    lengths = headers.get_all("Content-Length") or []
    transfer = headers.get_all("Transfer-Encoding") or []
    if transfer:
        if lengths or [value.strip().lower() for value in transfer] != ["chunked"]:
            raise _bad("the body's framing is ambiguous: send either Content-Length or Transfer-Encoding: chunked")
        return None
    if not lengths:
        return 0
    if len(set(lengths)) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise _bad(f"Content-Length {lengths[0]!r} is not a number of bytes")
    return int(lengths[0])


def too_large(what: str, limit: int) -> QueryError:
    return QueryError(307, "TOO_MANY_BYTES", f"{what} is larger than {limit} bytes: send smaller inserts", status=413)


def _bad(text: str) -> QueryError:
    return QueryError(1000, "POCO_EXCEPTION", text, status=400)


def _truncated() -> QueryError:
    return QueryError(33, "CANNOT_READ_ALL_DATA", "the request body ended early; nothing was executed", status=400)


def _wire(headers: Message, stream: BinaryIO, limit: int) -> Iterator[bytes]:
    length = body_framing(headers)
    if length is None:
        yield from _chunks(stream)
        return
    if length > limit:
        raise too_large("the request body", limit)
    yield from _exactly(stream, length)


def _exactly(stream: BinaryIO, length: int) -> Iterator[bytes]:
    while length:
        piece = stream.read(min(length, PIECE))
        if not piece:
            raise _truncated()
        length -= len(piece)
        yield piece


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        size_text = _line(stream).split(b";", 1)[0].strip()
        if not size_text or len(size_text) > 16 or not all(c in b"0123456789abcdefABCDEF" for c in size_text):
            raise _bad("a chunk's size is not a hexadecimal number")
        size = int(size_text, 16)
        if size == 0:
            break
        yield from _exactly(stream, size)
        if _line(stream) != b"":
            raise _bad("a chunk is longer than its size says")
    for _ in range(100):  # trailers
        if _line(stream) == b"":
            return
    raise _bad("too many trailers after the last chunk")


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_MAX_LINE)
    if not line.endswith(b"\n"):
        raise _truncated() if len(line) < _MAX_LINE else _bad("a chunk header is too long")
    return line.rstrip(b"\r\n")


def _limited(pieces: Iterable[bytes], limit: int, what: str) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            raise too_large(what, limit)
        yield piece


class _Decoder(Protocol):
    """The streaming decompressors of lz4 and zstd: give at most `max_length` bytes, keep the rest of the input."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Zlib:
    """zlib behind the same interface."""

    def __init__(self, window_bits: int) -> None:
        self._inflate = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


def _decoded(wire: Iterable[bytes], make: Callable[[], _Decoder], encoding: str) -> Iterator[bytes]:
    """Frame after frame until the wire ends; the last frame must be complete."""
    decoder = make()
    started = False
    for piece in wire:
        data = piece
        while True:
            if decoder.eof:
                data = (decoder.unused_data or b"") + data
                if not data:
                    break
                decoder, started = make(), False
            try:
                out = decoder.decompress(data, PIECE)
            except (RuntimeError, zlib.error, zstd.ZstdError, EOFError) as exc:
                raise QueryError(
                    271, "CANNOT_DECOMPRESS", f"the body is not valid {encoding}: {exc}", status=400
                ) from exc
            data = b""
            started = True
            if out:
                yield out
            if decoder.eof:
                if not decoder.unused_data:
                    break
            elif decoder.needs_input and len(out) < PIECE:
                break
    if started and not decoder.eof:
        raise _truncated()


def _new_zstd() -> _Decoder:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})


_DECODERS: dict[str, Callable[[], _Decoder] | None] = {
    "identity": None,
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "lz4": lambda: cast("_Decoder", lz4.frame.LZ4FrameDecompressor()),  # its stub says None for every attribute
    "zstd": _new_zstd,
}
