"""A receiver that behaves: it checks signatures, takes each id once, and knows what it was last told of each alert."""

import base64
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from loopwatch.producers import InvalidWebhook, WebhookVerifier
from msgspec import Struct


def new_secret() -> str:
    """A signing key of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Heard(Struct, frozen=True):
    """One alert in one notification; `at` is the wall clock, seconds since 1970."""

    at: float
    notification_id: str
    status: str
    labels: dict[str, str]
    fingerprint: str


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who calls is killed all the time."""


class Recorder:
    """Listens on a free port of loopback while the block lasts."""

    def __init__(self, secret: str) -> None:
        self._verifier = WebhookVerifier(secret)
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self.heard: list[Heard] = []
        self.again = 0
        """Requests whose id was taken before."""
        self.refused = 0
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where to send to."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def last(self) -> dict[str, Heard]:
        """What was heard last of each alert, by fingerprint."""
        with self._lock:
            return {each.fingerprint: each for each in self.heard}

    def __enter__(self) -> "Recorder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, headers: Any, body: bytes) -> int:
        try:
            self._verifier.verify(body, dict(headers))
        except InvalidWebhook:
            self.refused += 1
            return 401
        now, id_, document = time.time(), headers["webhook-id"], msgspec.json.decode(body)
        with self._lock:
            if id_ in self._ids:
                self.again += 1
                return 200
            self._ids.add(id_)
            self.heard += [
                Heard(now, id_, alert["status"], alert["labels"], alert["fingerprint"]) for alert in document["alerts"]
            ]
        return 200

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(take(self.headers, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
                """Nothing to say."""

        return Handler
