"""Ten thousand notifications through a receiver that hangs, refuses, redirects, breaks off and is gone.

Half of the requests end badly, each notification has to arrive all the same, and a receiver that drops ids it has seen
must take each once. Then requests that are forged, repeated or stale are held against the SDK's verifier.
"""

import ipaddress
import os
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loopwatch.infra.webhook_signature import signed_headers, signing_key
from loopwatch.producers import InvalidWebhook, Once, WebhookVerifier
from loopwatch.schemas.alerting import Receiver, Secret
from loopwatch.schemas.notifications import Notification, NotificationState
from loopwatch.stream_processors.webhooks.deliverer import Deliverer
from msgspec import Struct

from .recorder import new_secret

# Server and calls share a process: a call that is held up for so long arrives twice.
_TIMEOUT = timedelta(seconds=5)
_HANG_S = 6
_LONGEST_S = 900.0
_GROUPS = 2500


class Deliveries(Struct, frozen=True):
    """How it ended. `lost`, `doubled`, `out_of_order`, `dead` and `accepted_wrongly` shall be 0."""

    notifications: int
    requests: int
    failures: dict[str, int]
    lost: int
    doubled: int
    out_of_order: int
    dead: int
    called_when_gone: int
    """Requests to a receiver after it said 410: the one that was told so, and those under way."""
    accepted_wrongly: int
    """Forged, repeated and stale requests that the verifier took."""
    tried_wrongly: int
    seconds: float


class _Unreliable:
    """Takes an id only where it answers 200; half of the requests it treats badly, each in one of five ways."""

    def __init__(self, secret: str, rng: random.Random) -> None:
        self._verifier = WebhookVerifier(secret)
        self._rng, self._lock = rng, threading.Lock()
        self.taken: Counter[str] = Counter()
        self.order: list[str] = []
        self.failures: Counter[str] = Counter()
        self.requests = 0

    def treat(self, headers: Any, body: bytes) -> str:
        """What becomes of a request."""
        id_ = self._verifier.verify(body, headers)
        with self._lock:
            self.requests += 1
            if self._rng.random() < 0.5:
                how = self._rng.choices(("500", "302", "breaks off", "503 later", "hangs"), (30, 25, 25, 18, 2))[0]
                self.failures[how] += 1
                return how
            if not self.taken[id_]:
                self.order.append(body.decode())
            self.taken[id_] += 1
            return "200"


def run(count: int, seed: int = 5) -> Deliveries:
    """Deliver so many."""
    began, rng, secret = time.monotonic(), random.Random(seed), new_secret()
    os.environ["DELIVERIES_SECRET"] = secret
    unreliable, gone = _Unreliable(secret, rng), _Gone()
    with _serving(unreliable.treat) as url, _serving(gone.treat) as gone_url:
        now = datetime.now(UTC)
        deliverer = Deliverer(
            [_receiver("unreliable", url), _receiver("gone", gone_url)],
            first_pause=timedelta(milliseconds=20),
            seed=seed,
        )
        deliverer.start()
        wanted = [_notification("unreliable", number, now) for number in range(count)]
        useless = [_notification("gone", number, now) for number in range(100)]
        deliverer.offer(useless)
        states = _deliver(deliverer, wanted, useless)
        deliverer.close(5)
    tried, accepted = _attack(secret, rng)
    last: dict[str, int] = {}
    out_of_order = 0
    for body in unreliable.order:
        group, _, number = body.partition(":")
        out_of_order += int(number) < last.get(group, -1)
        last[group] = int(number)
    return Deliveries(
        count, unreliable.requests, dict(unreliable.failures),
        lost=sum(each.notification_id not in unreliable.taken for each in wanted),
        # Taken more often than once, and not because an answer was lost: no answer of 200 is.
        doubled=sum(n > 1 for n in unreliable.taken.values()),
        out_of_order=out_of_order,
        dead=sum(states[each.notification_id] is not NotificationState.DELIVERED for each in wanted),
        called_when_gone=gone.requests, accepted_wrongly=accepted, tried_wrongly=tried,
        seconds=time.monotonic() - began,
    )  # fmt: skip


class _Gone:
    def __init__(self) -> None:
        self.requests = 0

    def treat(self, headers: Any, body: bytes) -> str:
        self.requests += 1
        return "410"


def _receiver(name: str, url: str) -> Receiver:
    return Receiver(
        name=name, url=url, secrets=(Secret(env="DELIVERIES_SECRET"),), timeout=_TIMEOUT, concurrency=32,
        per_minute=100_000, networks=(ipaddress.ip_network("127.0.0.0/8"),),
    )  # fmt: skip


def _notification(receiver: str, number: int, now: datetime) -> Notification:
    group = f"g{number % _GROUPS}"
    at = now + timedelta(microseconds=number)
    return Notification(
        notification_id=f"msg_{receiver}_{number:08d}", receiver=receiver, group_key=group, told={}, firing=(),
        body=f"{group}:{number}", next_at=now, created_at=at,
    )  # fmt: skip


def _deliver(
    deliverer: Deliverer, wanted: list[Notification], useless: list[Notification]
) -> dict[str, NotificationState]:
    """As whoever keeps them in a table does: what there is no room for is offered again."""
    states = {each.notification_id: NotificationState.PENDING for each in (*wanted, *useless)}
    deadline = time.monotonic() + _LONGEST_S
    pending = [*useless, *wanted]
    while pending and time.monotonic() < deadline:
        deliverer.offer(pending)
        time.sleep(0.2)
        for notification, _ in deliverer.results():
            states[notification.notification_id] = notification.state
        pending = [each for each in pending if states[each.notification_id] is NotificationState.PENDING]
    return states


def _attack(secret: str, rng: random.Random) -> tuple[int, int]:
    """How many requests that are not ours, or not new, were tried, and how many of them were taken."""
    verifier, once, other = WebhookVerifier(secret), Once(), signing_key(new_secret())
    key, tried, accepted = signing_key(secret), 0, 0
    for number in range(1000):
        body, now = rng.randbytes(200), int(time.time())
        good = signed_headers([key], f"msg_{number}", now, body)
        once.take(verifier.verify(body, good))
        for headers, content in (
            (signed_headers([other], f"x_{number}", now, body), body),
            (good, body + b"x"),
            (good | {"webhook-id": f"y_{number}"}, body),
            (good | {"webhook-timestamp": str(now + 1)}, body),
            (signed_headers([key], f"z_{number}", now - 301 - rng.randrange(10**6), body), body),
            (signed_headers([key], f"z_{number}", now + 302 + rng.randrange(10**6), body), body),
            (good | {"webhook-signature": ""}, body),
            (good, body),
        ):
            tried += 1
            try:
                once.take(verifier.verify(content, headers))
                accepted += 1
            except InvalidWebhook:
                continue
    return tried, accepted


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers give up on those that hang."""


class _serving:
    """A server on loopback that answers as `treat` says."""

    def __init__(self, treat: Any) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                how = treat(dict(self.headers.items()), body)
                if how == "hangs":
                    time.sleep(_HANG_S)
                if how in ("breaks off", "hangs"):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                    self.close_connection = True
                    return
                self.send_response(int(how.split()[0]))
                if how == "302":
                    self.send_header("location", "http://169.254.169.254/latest/meta-data/")
                if how == "503 later":
                    self.send_header("retry-after", "0")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
                """Nothing to say."""

        self._server = _Server(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
