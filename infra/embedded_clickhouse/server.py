"""The server: its addresses, its bounded connections, its life."""

import contextlib
import fcntl
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import IO, Self

from ...schemas.errors import EmbeddedServiceError, SettingsError
from .access import Access, is_loopback
from .engine import Engine
from .handler import Handler

DEFAULT_MAX_BODY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take: bytes of a body, seconds, connections."""

    body_bytes: int = DEFAULT_MAX_BODY_BYTES
    idle_s: float = 60.0
    """A kept connection without a request is closed after this."""
    io_s: float = 60.0
    """A client that sends or takes nothing for this long is given up."""
    connections: int = 96
    wait_for_slot_s: float = 2.0
    """When all connections are taken, a new one waits this long for room, then gets 503."""
    evict_idle_s: float = 1.0
    """Room is made by closing the connection that has been idle longest, and at least this long."""
    drain_s: float = 10.0
    """How long `stop` lets running requests finish before it cancels them."""


_BUSY_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nX-ClickHouse-Exception-Code: 202\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 85\r\n\r\nCode: 202. DB::Exception: Too many connections (TOO_MANY_SIMULTANEOUS_QUERIES) (busy)\n"
)


class ConnectionServer(ThreadingMixIn, HTTPServer):
    """A thread for each connection, at most `limits.connections` of them; when all are taken, idle ones go first."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], engine: Engine, access: Access, limits: Limits) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)
        self.engine = engine
        self.access = access
        self.limits = limits
        self._slots = threading.Semaphore(limits.connections)
        self._state = threading.Condition()
        self._idle_since: dict[socket.socket, float | None] = {}
        self._stopping = False

    def server_bind(self) -> None:
        """Bind without HTTPServer's reverse DNS look-up of the host's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def busy(self, connection: socket.socket) -> bool:
        """A request begins. False when the server stops and doesn't take it any more."""
        with self._state:
            if self._stopping or connection not in self._idle_since:
                return False
            self._idle_since[connection] = None
            return True

    def idle(self, connection: socket.socket) -> None:
        """A request ended."""
        with self._state:
            if connection in self._idle_since:
                self._idle_since[connection] = time.monotonic()
            self._state.notify_all()

    def drain(self, deadline: float) -> bool:
        """Take no more requests, close idle connections, wait for the running ones; False when some remain."""
        with self._state:
            self._stopping = True
            while True:
                for connection, since in self._idle_since.items():
                    if since is not None:
                        _shut(connection)
                if not any(since is None for since in self._idle_since.values()):
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._state.wait(left)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Take a slot, or turn the connection away."""
        assert isinstance(request, socket.socket)
        if not self._wait_for_slot():
            with contextlib.suppress(OSError):
                request.settimeout(1)
                request.sendall(_BUSY_ANSWER)
            self.shutdown_request(request)
            return
        with self._state:
            self._idle_since[request] = time.monotonic()
        try:
            super().process_request(request, client_address)  # pyright: ignore[reportArgumentType]
        except BaseException:
            self._forget(request)
            raise

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve the connection, then give its slot back."""
        assert isinstance(request, socket.socket)
        try:
            super().process_request_thread(request, client_address)  # pyright: ignore[reportArgumentType]
        finally:
            self._forget(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that goes away is no news."""

    def _forget(self, connection: socket.socket) -> None:
        with self._state:
            self._idle_since.pop(connection, None)
            self._state.notify_all()
        self._slots.release()

    def _wait_for_slot(self) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        deadline = time.monotonic() + self.limits.wait_for_slot_s
        while time.monotonic() < deadline:
            self._close_longest_idle()
            if self._slots.acquire(timeout=0.05):
                return True
        return False

    def _close_longest_idle(self) -> None:
        latest = time.monotonic() - self.limits.evict_idle_s  # one that was just accepted is about to send a request
        with self._state:
            idle = [(since, connection) for connection, since in self._idle_since.items() if since is not None]
            since, connection = min(idle, key=lambda item: item[0], default=(latest + 1, None))
            if connection is not None and since <= latest:
                del self._idle_since[connection]
                _shut(connection)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class EmbeddedClickHouse:
    """ClickHouse for this machine, over HTTP, in a thread of this process.

    ``data_dir=None`` keeps data in a temporary directory until `stop`. Without tokens everybody on loopback may read
    and write; with a `writer_token` its holders write, those of `reader_token` read, nobody else gets in. A process has
    at most one at a time, and so has a directory.

    `start` raises `EmbeddedServiceError` (directory taken, chDB missing, port taken) or `SettingsError` (a host that
    isn't loopback needs a writer token).
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        writer_token: str | None = None,
        reader_token: str | None = None,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        limits: Limits | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._host = host
        self._port = port
        self._writer_token = writer_token or None
        self._reader_token = reader_token or None
        self._limits = limits or Limits(body_bytes=max_body_bytes)
        self._cleanup = contextlib.ExitStack()
        self._server: ConnectionServer | None = None

    @property
    def url(self) -> str:
        """``http://host:port`` of the running server."""
        if self._server is None:
            raise EmbeddedServiceError("the embedded ClickHouse is not running: call start() first")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}"

    def start(self) -> None:
        """Open the directory and serve. Blocks until the server answers."""
        if self._server is not None:
            raise EmbeddedServiceError("the embedded ClickHouse is running already")
        if self._writer_token is None and not is_loopback(self._host):
            raise SettingsError(
                f"the embedded ClickHouse would let everybody who reaches {self._host} write: set a writer token, "
                "or bind 127.0.0.1"
            )
        if self._writer_token is None and self._reader_token is not None:
            raise SettingsError("a reader token protects nothing without a writer token: set both")
        if self._writer_token is not None and self._writer_token == self._reader_token:
            raise SettingsError("the reader token is the writer token: readers could write")
        with contextlib.ExitStack() as undo:
            path = self._open_directory(undo)
            engine = Engine(path)
            undo.callback(engine.close)
            access = Access(self._writer_token, self._reader_token)
            try:
                server = ConnectionServer((self._host, self._port), engine, access, self._limits)
            except OSError as exc:
                raise EmbeddedServiceError(f"can't listen on {self._host}:{self._port}: {exc.strerror or exc}") from exc
            undo.callback(server.server_close)
            thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="embedded-clickhouse", daemon=True)
            thread.start()
            undo.callback(self._end_requests, server, engine)
            undo.callback(thread.join)
            undo.callback(server.shutdown)
            self._server = server
            self._cleanup = undo.pop_all()

    def stop(self) -> None:
        """Finish running requests (for `Limits.drain_s` seconds, then cancel them) and close the engine. Idempotent."""
        self._server = None
        self._cleanup.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _end_requests(self, server: ConnectionServer, engine: Engine) -> None:
        if not server.drain(time.monotonic() + self._limits.drain_s):
            engine.cancel_all()
            server.drain(time.monotonic() + self._limits.drain_s)

    def _open_directory(self, undo: contextlib.ExitStack) -> Path:
        if self._data_dir is None:
            path = Path(tempfile.mkdtemp(prefix="loopwatch-clickhouse-"))
            undo.callback(shutil.rmtree, path, ignore_errors=True)
        else:
            path = self._data_dir.absolute()
            path.mkdir(parents=True, exist_ok=True)
        if "?" in str(path):
            raise SettingsError(f"{path}: chDB can't open a directory with a question mark in its name")
        undo.enter_context(_locked(path))
        return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    file: IO[bytes] = (path / ".loopwatch.lock").open("ab")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise EmbeddedServiceError(f"{path} is open in another embedded ClickHouse: stop that one first") from exc
        yield
