"""A receiver on loopback that does whatever a test tells it to."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct


class Request(Struct, frozen=True):
    """What came."""

    headers: dict[str, str]
    body: bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers give up: that is what is tested."""


class WebhookReceiver:
    """Answers each request as `answer` says: a status, or a status with headers, or None: it closes the connection.

    `hang` holds every answer until it is set.
    """

    def __init__(self, answer: Callable[[int, Request], Any] = lambda number, request: 200) -> None:
        self.requests: list[Request] = []
        self.hang: threading.Event | None = None
        self._answer = answer
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> "WebhookReceiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.hang is not None:
            self.hang.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(headers, self.rfile.read(int(headers["content-length"])))
                with outer._lock:
                    outer.requests.append(request)
                    number = len(outer.requests)
                if outer.hang is not None:
                    outer.hang.wait(30)
                answer = outer._answer(number, request)
                if answer is None:
                    # In the middle of the body.
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
                    self.wfile.flush()
                    self.close_connection = True
                    return
                status, more = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in {"content-length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
                """Nothing to say."""

        return Handler
