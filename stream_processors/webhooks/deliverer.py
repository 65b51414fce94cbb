"""Delivers notifications at least once: the same id at each try, a new timestamp and new signatures.

Receivers don't wait for each other. One that hangs holds up as many tries as its `concurrency` says, each for its
`timeout`, and nobody else's. What can't be delivered is tried again, later each time, until `give_up_after`.
"""

import asyncio
import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from ...infra.logs import logger
from ...infra.webhook_signature import signed_headers, signing_key
from ...schemas.alerting import Format, Receiver
from ...schemas.notifications import HEARTBEAT, Attempt, Notification, NotificationState, Result
from .egress import BadUrl, Egress, Forbidden, Resolve, resolve
from .formats.pagerduty import with_routing_key
from .lane import Lane
from .pauses import FIRST_PAUSE, pause_after
from .secrets import MissingSecret, routing_key, signing_secrets, url_of

log = logger(__name__)

MOST = 10_000
"""Notifications in memory; what is beyond stays in table `notifications`."""
MOST_RESULTS = 100_000
"""Tries whose result nobody took yet: beyond, none is begun."""

_AGENT = "loopwatch"


class Deliverer:
    """Delivers on a thread of its own; every method may be called from another one, and none waits for a receiver."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        *,
        proxy: str = "",
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        first_pause: timedelta = FIRST_PAUSE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        seed: int | None = None,
    ) -> None:
        self._lanes = {receiver.name: Lane(receiver) for receiver in receivers}
        self._proxy, self._resolve, self._tls = proxy, resolve, tls
        self._first_pause = first_pause
        self._now = now
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._results: list[tuple[Notification, Attempt | None]] = []
        self._epoch = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def room(self) -> int:
        """How many notifications it takes now."""
        with self._lock:
            return max(0, MOST - sum(map(len, self._lanes.values())))

    def offer(self, notifications: Sequence[Notification]) -> bool:
        """Deliver these; returns whether there was room for all. One that it has is not taken twice.

        Those whose receiver is not configured any more are dropped, and so are those of one that is gone.
        """
        with self._lock:
            room, left_out = MOST - sum(map(len, self._lanes.values())), 0
            # What was settled and not taken from `results` yet is pending in the table still.
            settled = {each.notification_id for each, _ in self._results if each.state is not NotificationState.PENDING}
            for notification in notifications:
                if notification.notification_id in settled:
                    continue
                lane = self._lanes.get(notification.receiver)
                if lane is None:
                    self._end(notification, NotificationState.DROPPED)
                elif lane.is_gone:
                    self._end(notification, NotificationState.DEAD)
                elif notification not in lane:
                    if room > 0:
                        lane.add(notification)
                        room -= 1
                    else:
                        left_out += 1
        self._stir()
        return not left_out

    def results(self) -> list[tuple[Notification, Attempt | None]]:
        """What became of notifications since the last call: each as it is now, with the try that made it so, if any."""
        with self._lock:
            results, self._results = self._results, []
        return results

    def forget(self) -> None:
        """Begin no try any more of what it has, and say nothing of tries under way: another process delivers these."""
        with self._lock:
            self._epoch += 1
            self._results = []
            for lane in self._lanes.values():
                lane.drain()

    def close(self, timeout_s: float) -> None:
        """Let tries under way end for so long, and stop. What is left stays pending."""
        self._closing = True
        self._stir()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            if self._thread.is_alive() and self._loop is not None:
                self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])
                self._thread.join(timeout_s)

    def _end(self, notification: Notification, state: NotificationState) -> None:
        self._results.append((msgspec.structs.replace(notification, state=state), None))

    def _stir(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        connections = {
            name: Egress(
                lane.receiver.networks, lane.receiver.concurrency, proxy=self._proxy, resolve=self._resolve,
                tls=self._tls,
            )
            for name, lane in self._lanes.items()
        }  # fmt: skip
        while not self._closing:
            self._wake.clear()
            wait = self._begin_tries(connections)
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                continue
        if self._tasks:
            await asyncio.wait(self._tasks)
        for each in connections.values():
            await each.close()

    def _begin_tries(self, connections: dict[str, Egress]) -> float:
        """All that may be tried now; returns seconds until there may be more."""
        wait, now = timedelta(seconds=60), self._now()
        with self._lock:
            if len(self._results) >= MOST_RESULTS:
                return 0.1
            for name, lane in self._lanes.items():
                while isinstance(found := lane.next(now), Notification):
                    task = asyncio.create_task(self._try(lane, connections[name], found, self._epoch))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                if found is not None:
                    wait = min(wait, found)
        return max(0.001, wait.total_seconds())

    async def _try(self, lane: Lane, connection: Egress, notification: Notification, epoch: int) -> None:
        began, at = time.monotonic(), self._now()
        result, status, error, retry_after_s = await _post(lane.receiver, connection, notification, at)
        attempts = notification.attempts + 1
        attempt = Attempt(
            notification_id=notification.notification_id, attempt=attempts, receiver=notification.receiver,
            result=result, status=status, error=error, duration_ms=1000 * (time.monotonic() - began), attempted_at=at,
        )  # fmt: skip
        now = self._now()
        next_at = now + pause_after(attempts, self._rng, first=self._first_pause, retry_after_s=retry_after_s)
        is_over = next_at - notification.created_at > lane.receiver.give_up_after
        if result is Result.DELIVERED:
            state = NotificationState.DELIVERED
        elif result is Result.GONE or is_over or notification.group_key == HEARTBEAT:
            state = NotificationState.DEAD
        else:
            state = NotificationState.PENDING
        after = msgspec.structs.replace(notification, state=state, attempts=attempts, next_at=next_at)
        with self._lock:
            if epoch == self._epoch:
                lane.tried(notification.group_key, after if state is NotificationState.PENDING else None)
                self._results.append((after, attempt))
                if result is Result.GONE:
                    lane.is_gone = True
                    for left in lane.drain():
                        self._end(left, NotificationState.DEAD)
            else:
                lane.tried(notification.group_key, None)
        if state is not NotificationState.DELIVERED:
            log.warning(
                "notification not delivered", receiver=notification.receiver, attempt=attempts, state=state.value,
                result=result.value, error=error,
            )  # fmt: skip
        self._wake.set()


async def _post(
    receiver: Receiver, connection: Egress, notification: Notification, at: datetime
) -> tuple[Result, int, str, float | None]:
    """One try: how it went, the status, what went wrong, and how long the receiver asks to wait (s)."""
    body = notification.body.encode()
    headers = {"content-type": "application/json", "user-agent": _AGENT}
    try:
        keys = [signing_key(secret) for secret in signing_secrets(receiver)]
        if receiver.format is Format.PAGERDUTY:
            body = with_routing_key(body, routing_key(receiver))
        if receiver.format is Format.WEBHOOK:
            headers |= signed_headers(keys, notification.notification_id, int(at.timestamp()), body)
        answer = await connection.post(url_of(receiver), headers, body, receiver.timeout.total_seconds())
    except (MissingSecret, BadUrl, ValueError) as exc:
        return Result.MISCONFIGURED, 0, str(exc)[:300], None
    except Forbidden as exc:
        return Result.FORBIDDEN, 0, str(exc)[:300], None
    except TimeoutError:
        return Result.TIMEOUT, 0, f"no whole answer within {receiver.timeout.total_seconds():g} s", None
    except OSError as exc:
        return Result.UNREACHABLE, 0, str(exc)[:300], None
    except Exception as exc:
        log.exception("a try to deliver failed unexpectedly", exc, receiver=receiver.name)
        return Result.UNREACHABLE, 0, type(exc).__name__, None
    status = answer.status
    if 200 <= status < 300:
        return Result.DELIVERED, status, "", None
    if status == 410:
        return Result.GONE, status, "the receiver says that it is gone", None
    result = Result.REDIRECTED if 300 <= status < 400 else Result.REFUSED
    return result, status, f"status {status}", answer.retry_after_s
