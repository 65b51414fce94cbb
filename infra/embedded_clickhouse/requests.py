"""From the parts of an HTTP request to one execution: parameters, settings, format, and the statement with its data."""

import email.parser
import email.policy
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl

from . import reader
from .access import Role
from .engine import Engine, Execution
from .errors import QueryError, not_implemented
from .statements import MAX_STATEMENT_BYTES, Statement, parse

_MAX_FIELDS = 5000
# Parameters of the HTTP interface itself, which are no settings. Responses are always complete and not compressed,
# there are no sessions, and Native blocks have the oldest revision: every client accepts that.
_INTERFACE_PARAMETERS = """
    query user password database default_format query_id quota_key session_id session_timeout session_check role
    compress decompress wait_end_of_query buffer_size enable_http_compression http_zlib_compression_level
    client_protocol_version stacktrace close_session
"""
_NOT_SETTINGS = frozenset(_INTERFACE_PARAMETERS.split()) | reader.IGNORED_SETTINGS


def url_fields(query_string: str) -> dict[str, str]:
    """Decoded URL parameters; of a repeated one the first counts. Raises `QueryError` 400."""
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MAX_FIELDS)
    except ValueError as exc:
        raise QueryError(1000, "POCO_EXCEPTION", f"the URL's parameters can't be read: {exc}", status=400) from exc
    return _first_of_each(pairs)


def _first_of_each(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def form_fields(headers: Message, pieces: Sequence[bytes]) -> dict[str, str] | None:
    """Fields of a multipart/form-data body, None for any other body. Files (external tables) are refused."""
    content_type = headers.get("Content-Type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + b"".join(pieces))
    if not message.is_multipart():
        raise QueryError(1000, "POCO_EXCEPTION", "the multipart body has no parts", status=400)
    pairs: list[tuple[str, str]] = []
    for part in message.walk():
        if part.is_multipart():
            continue
        if part.get_filename() is not None:
            raise not_implemented("external data")
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(value, bytes):
            raise QueryError(1000, "POCO_EXCEPTION", "a part of the multipart body has no name", status=400)
        pairs.append((name, value.decode("utf-8", "surrogateescape")))
    return _first_of_each(pairs)


@dataclass(frozen=True, slots=True)
class Call:
    """What one request asks for."""

    role: Role
    reads_only: bool
    """Came by GET or HEAD."""
    fields: dict[str, str]
    header_format: str | None = None
    header_database: str | None = None


def plan(call: Call, pieces: Sequence[bytes], engine: Engine) -> Execution:
    """The execution that `call` with the decoded body `pieces` means. Raises `QueryError`."""
    fields = call.fields
    for name in ("compress", "decompress"):
        if fields.get(name, "0") not in ("0", "", "false"):
            raise not_implemented(f"{name}=1 (ClickHouse's own block compression); Content-Encoding works")
    query = fields.get("query", "").encode("utf-8", "surrogateescape")
    stream = [piece for piece in (query, b"\n" if query and pieces else b"", *pieces) if piece]
    head, rest = _split_head(stream)
    statement = parse(head, engine.input_formats, whole=not rest)
    settings = {
        name: value for name, value in fields.items() if name not in _NOT_SETTINGS and not name.startswith("param_")
    }
    params = {name[6:]: value for name, value in fields.items() if name.startswith("param_")}
    database = fields.get("database") or call.header_database or ""
    settings |= statement.settings
    sql = statement.sql()
    if call.role is Role.READER:
        own, edits = reader.check(statement, params, database, engine.catalog)
        settings = reader.session_settings({**settings, **own})
        sql = statement.sql(*edits)
    elif call.reads_only and settings.get("readonly") != "1":
        settings["readonly"] = "2"
    data: tuple[bytes | memoryview, ...] = ()
    if statement.data_format is not None:
        data = (memoryview(head)[statement.data_offset :], *rest)
    return Execution(statement, sql, settings, params, database, _output_format(call, statement, engine), data)


def _split_head(stream: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    size = count = 0
    for piece in stream:
        if size >= MAX_STATEMENT_BYTES:
            break
        size += len(piece)
        count += 1
    return (stream[0] if count == 1 else b"".join(stream[:count])), stream[count:]


def _output_format(call: Call, statement: Statement, engine: Engine) -> str:
    chosen = statement.output_format or call.fields.get("default_format") or call.header_format or "TabSeparated"
    if chosen.lower() not in engine.output_formats and statement.returns_rows:
        raise QueryError(73, "UNKNOWN_FORMAT", f"Unknown format {chosen}")
    return chosen
