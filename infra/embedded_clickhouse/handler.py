"""One connection: requests in, ClickHouse's responses out."""

import contextlib
import json
import logging
import re
import socket
import time
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from .bodies import PIECE, body_framing, read_body, too_large
from .errors import QueryError
from .requests import Call, form_fields, plan, url_fields

if TYPE_CHECKING:
    from .server import ConnectionServer

_log = logging.getLogger("loopwatch.embedded_clickhouse")
_MAX_REQUEST_LINE = 1 << 20  # as ClickHouse's http_max_uri_size
_QUERY_ID = re.compile(r"[\x21-\x7e]{1,128}")
_LINGER_S = 2.0
_TYPES = {
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "arrow": "application/octet-stream",
    "arrowstream": "application/octet-stream",
    "parquet": "application/octet-stream",
}


class Handler(BaseHTTPRequestHandler):
    """Serves requests of one connection, one after the other, in its own thread."""

    server: "ConnectionServer"  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def handle_one_request(self) -> None:
        """Wait for a request (the connection counts as idle), answer it, keep the connection when that is safe."""
        limits = self.server.limits
        self.close_connection = True
        self.connection.settimeout(limits.idle_s)
        try:
            self.raw_requestline = self.rfile.readline(_MAX_REQUEST_LINE + 1)
            if not self.raw_requestline or not self.server.busy(self.connection):
                return
            self.connection.settimeout(limits.io_s)
            if len(self.raw_requestline) > _MAX_REQUEST_LINE:
                self.requestline = self.request_version = self.command = ""
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
                return
            if self.parse_request():
                self._answer()
            self.wfile.flush()
        except (TimeoutError, ConnectionError):
            self.close_connection = True
        finally:
            self.server.idle(self.connection)

    def handle_expect_100(self) -> bool:
        """Put ``100 Continue`` off until the body is wanted: a refused upload is never sent."""
        self._owes_continue = True
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Nothing: an embedded server stays silent."""

    def _answer(self) -> None:
        self._body_read = False
        path, _, query_string = self.path.partition("?")
        query_id = uuid.uuid4().hex
        try:
            if self.command not in ("GET", "HEAD", "POST"):
                raise QueryError(1000, "POCO_EXCEPTION", f"method {self.command} is not GET, HEAD or POST", status=405)
            fields = url_fields(query_string)
            query_id = _valid_query_id(fields.get("query_id", "")) or query_id
            if self.command != "POST" and "query" not in fields:
                self._answer_plain(path)
            elif path not in ("", "/"):
                raise QueryError(1000, "POCO_EXCEPTION", f"There is no handle {path}", status=404)
            else:
                self._answer_query(fields, query_id)
        except QueryError as exc:
            self._send_error(exc, query_id)
        except (TimeoutError, ConnectionError):
            raise
        except Exception as exc:
            _log.exception("a request failed in the embedded ClickHouse")
            self._send_error(QueryError(1001, "STD_EXCEPTION", f"{type(exc).__name__}: {exc}"), query_id)

    def _answer_plain(self, path: str) -> None:
        if path not in ("", "/", "/ping", "/replicas_status"):
            raise QueryError(1000, "POCO_EXCEPTION", f"There is no handle {path}", status=404)
        self._read_body(self.server.limits.body_bytes)
        self._send(HTTPStatus.OK, {"Content-Type": "text/html; charset=UTF-8"}, b"Ok.\n")

    def _answer_query(self, fields: dict[str, str], query_id: str) -> None:
        server = self.server
        role = server.access.role(self.headers, fields)
        if self.command == "POST" and "Content-Length" not in self.headers and "Transfer-Encoding" not in self.headers:
            raise QueryError(381, "HTTP_LENGTH_REQUIRED", "POST needs Content-Length or Transfer-Encoding: chunked")
        pieces = self._read_body(server.limits.body_bytes)
        form = form_fields(self.headers, pieces)
        if form is not None:
            fields, pieces = {**form, **fields}, []
        call = Call(
            role,
            self.command != "POST",
            fields,
            self.headers.get("X-ClickHouse-Format"),
            self.headers.get("X-ClickHouse-Database"),
        )
        execution = plan(call, pieces, server.engine)
        del pieces
        result = server.engine.run(execution)
        headers = self._clickhouse_headers(query_id)
        headers["X-ClickHouse-Summary"] = json.dumps(result.summary, separators=(",", ":"))
        if execution.statement.returns_rows:
            headers["X-ClickHouse-Format"] = execution.output_format
            headers["Content-Type"] = _TYPES.get(execution.output_format.lower(), "text/plain; charset=UTF-8")
        self._send(HTTPStatus.OK, headers, result.output)

    def _clickhouse_headers(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": "loopwatch-embedded",
            "X-ClickHouse-Timezone": self.server.engine.timezone,
        }

    def _send_error(self, error: QueryError, query_id: str) -> None:
        if not self._body_read:
            self._skip_body()
        headers = self._clickhouse_headers(query_id)
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        headers["Content-Type"] = "text/plain; charset=UTF-8"
        if error.code == 516:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse"'
        self._send(HTTPStatus(error.status), headers, error.body(self.server.engine.version))
        if self.close_connection:
            self._linger()

    def _send(self, status: HTTPStatus, headers: dict[str, str], body: bytes | memoryview) -> None:
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("Connection: " + ("close" if self.close_connection else "Keep-Alive"))
        if not self.close_connection:
            lines.append(f"Keep-Alive: timeout={int(self.server.limits.idle_s)}")
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        head = "\r\n".join(lines).encode("latin-1", "replace")
        if self.command == "HEAD":
            body = b""
        if len(body) < PIECE:
            self.connection.sendall(head + bytes(body))
            return
        self.connection.sendall(head)
        view = memoryview(body)
        for start in range(0, len(view), PIECE):  # the time limit is for a piece, not for the whole response
            self.connection.sendall(view[start : start + PIECE])

    def _read_body(self, limit: int) -> list[bytes]:
        framing = body_framing(self.headers)
        if framing is not None and framing > limit:
            raise too_large("the request body", limit)
        self._continue()
        try:
            pieces = read_body(self.headers, self.rfile, limit)  # pyright: ignore[reportArgumentType]
        except (TimeoutError, QueryError):
            self.close_connection = True  # where the next request would begin is unknown
            self._body_read = True
            raise
        self._body_read = True
        return pieces

    def _skip_body(self) -> None:
        """Before answering without having read the body: read a small one, else give the connection up."""
        try:
            framing = body_framing(self.headers)
        except QueryError:
            framing = None
        if framing is None or framing > PIECE or getattr(self, "_owes_continue", False):
            self.close_connection = True
            return
        with contextlib.suppress(QueryError):
            self._read_body(PIECE)

    def _continue(self) -> None:
        if getattr(self, "_owes_continue", False):
            self._owes_continue = False
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _linger(self) -> None:
        """Let a client that still sends read the answer: closing at once would reset the connection under it."""
        deadline = time.monotonic() + _LINGER_S
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_S)
            while time.monotonic() < deadline and self.connection.recv(PIECE):
                pass


def _valid_query_id(text: str) -> str:
    return text if _QUERY_ID.fullmatch(text) else ""
