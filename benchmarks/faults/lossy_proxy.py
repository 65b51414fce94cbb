"""A proxy before ClickHouse that loses answers: the insert succeeds, and the connection is closed without a word."""

import contextlib
import http.client
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class LossyProxy:
    """Forwards HTTP to `upstream_port` of 127.0.0.1; of the answers to inserts it loses `share`, by `seed`."""

    def __init__(self, upstream_port: int, share: float, seed: int) -> None:
        self.upstream_port = upstream_port
        self.share = share
        self.lost = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def loses(self) -> bool:
        """Whether this answer is lost."""
        with self._lock:
            lost = self._random.random() < self.share
            self.lost += lost
        return lost

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: connections break here on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: LossyProxy

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""

    def _forward(self) -> None:
        body = self._body()
        upstream = http.client.HTTPConnection("127.0.0.1", self.owner.upstream_port, timeout=120)
        with contextlib.closing(upstream):
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        is_insert = "INSERT+INTO" in self.path or body.startswith(b"INSERT INTO")
        if is_insert and self.owner.loses():
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP | {"date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)
