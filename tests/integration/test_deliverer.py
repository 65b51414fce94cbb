"""Notifications reach a receiver that misbehaves, once for each id that it accepts, and in order of their group."""

import ipaddress
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from loopwatch.producers import WebhookVerifier
from loopwatch.schemas.alerting import Format, Receiver, Secret
from loopwatch.schemas.notifications import HEARTBEAT, Attempt, Notification, NotificationState, Result
from loopwatch.stream_processors.webhooks import deliverer as module
from loopwatch.stream_processors.webhooks.deliverer import Deliverer

from ..waiting import wait_until
from ..webhook_receiver import Request, WebhookReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("ROUTING_KEY", "R0UT1NG")


def receiver(url: str, name: str = "a", **more: Any) -> Receiver:
    return Receiver(
        name=name, url=url, **{"secrets": (Secret(env="HOOK_SECRET"),), "networks": LOOPBACK,
                               "timeout": timedelta(seconds=10), "per_minute": 100_000} | more,
    )  # fmt: skip


def notification(group: str = "", to: str = "a", body: str = '{"x": 1}', age: timedelta = timedelta()) -> Notification:
    now = datetime.now(UTC)
    return Notification(
        notification_id=f"msg_{uuid.uuid4().hex}", receiver=to, group_key=group or uuid.uuid4().hex, told={},
        firing=(), body=body, next_at=now, created_at=now - age,
    )  # fmt: skip


class Delivering:
    """A deliverer, and all that it said."""

    def __init__(self, *receivers: Receiver, **more: Any) -> None:
        self.deliverer = Deliverer(receivers, first_pause=timedelta(milliseconds=20), seed=1, **more)
        self.said: list[tuple[Notification, Attempt | None]] = []

    def state(self, notification: Notification) -> NotificationState:
        self.said += self.deliverer.results()
        states = [each.state for each, _ in self.said if each.notification_id == notification.notification_id]
        return states[-1] if states else NotificationState.PENDING

    def settled(self, notifications: Sequence[Notification]) -> list[NotificationState]:
        wait_until(lambda: all(self.state(each) is not NotificationState.PENDING for each in notifications), 30)
        return [self.state(each) for each in notifications]

    def attempts(self) -> list[Attempt]:
        return [attempt for _, attempt in self.said if attempt is not None]


@contextmanager
def delivering(*receivers: Receiver, **more: Any) -> Iterator[Delivering]:
    made = Delivering(*receivers, **more)
    made.deliverer.start()
    try:
        yield made
    finally:
        made.deliverer.close(5)


def test_what_is_delivered_is_signed_and_says_so_once() -> None:
    with WebhookReceiver() as hook, delivering(receiver(hook.url)) as to:
        one = notification()
        assert to.deliverer.offer([one, one])
        assert to.settled([one]) == [NotificationState.DELIVERED]
        (request,) = hook.requests
        assert WebhookVerifier(SECRET).verify(request.body, request.headers) == one.notification_id
        assert request.headers["host"].startswith("127.0.0.1:")
        (attempt,) = to.attempts()
        assert (attempt.result, attempt.status, attempt.attempt) == (Result.DELIVERED, 200, 1)
        # Settled, but not taken from the table yet by whoever offers it again.
        assert to.deliverer.room == module.MOST


@pytest.mark.parametrize(
    ("answer", "result", "status"),
    [
        (500, Result.REFUSED, 500),
        (404, Result.REFUSED, 404),
        ((302, {"location": "http://127.0.0.1:1/"}), Result.REDIRECTED, 302),
        (None, Result.UNREACHABLE, 0),
        ((429, {"retry-after": "0"}), Result.REFUSED, 429),
    ],
)
def test_what_is_refused_is_tried_again_under_the_same_id(answer: Any, result: Result, status: int) -> None:
    with WebhookReceiver(lambda number, _: answer if number < 3 else 204) as hook:
        with delivering(receiver(hook.url)) as to:
            one = notification()
            to.deliverer.offer([one])
            assert to.settled([one]) == [NotificationState.DELIVERED]
            assert [(each.result, each.status) for each in to.attempts()] == [
                (result, status), (result, status), (Result.DELIVERED, 204),
            ]  # fmt: skip
        assert {request.headers["webhook-id"] for request in hook.requests} == {one.notification_id}


def test_a_receiver_that_is_gone_is_not_called_again() -> None:
    with WebhookReceiver(lambda *_: 410) as hook, delivering(receiver(hook.url, concurrency=1)) as to:
        several = [notification() for _ in range(5)]
        to.deliverer.offer(several)
        assert set(to.settled(several)) == {NotificationState.DEAD}
        later = notification()
        to.deliverer.offer([later])
        assert to.settled([later]) == [NotificationState.DEAD]
        assert [each.result for each in to.attempts()] == [Result.GONE]
        assert len(hook.requests) == 1


def test_one_that_hangs_holds_nobody_else_up() -> None:
    with WebhookReceiver() as slow, WebhookReceiver() as quick:
        slow.hang = Event()
        with delivering(receiver(slow.url, timeout=timedelta(seconds=1)), receiver(quick.url, "b")) as to:
            held = [notification() for _ in range(20)]
            to.deliverer.offer(held)
            others = [notification(to="b") for _ in range(50)]
            to.deliverer.offer(others)
            assert set(to.settled(others)) == {NotificationState.DELIVERED}
            wait_until(lambda: to.state(held[0]) and any(each.result is Result.TIMEOUT for each in to.attempts()), 20)
            slow.hang.set()
            assert set(to.settled(held)) == {NotificationState.DELIVERED}


def test_those_of_a_group_arrive_in_order_whatever_fails() -> None:
    with WebhookReceiver(lambda number, _: 500 if number % 3 else 200) as hook:
        with delivering(receiver(hook.url, concurrency=8)) as to:
            several = [notification("g", body=str(n)) for n in range(8)]
            to.deliverer.offer(several[4:])
            to.deliverer.offer(several[:4])
            to.settled(several)
        accepted = [request.body for number, request in enumerate(hook.requests, 1) if number % 3 == 0]
        # The first of those that came first may be under way before the older ones are known.
        first = accepted.index(b"4")
        assert first in (0, 4)
        assert [body for body in accepted if body != b"4"] == [b"0", b"1", b"2", b"3", b"5", b"6", b"7"]


def test_it_is_given_up_after_the_time_that_is_set() -> None:
    hook = WebhookReceiver(lambda *_: 503)
    with hook, delivering(receiver(hook.url, give_up_after=timedelta(minutes=1))) as to:
        old = notification(age=timedelta(minutes=2))
        to.deliverer.offer([old])
        assert to.settled([old]) == [NotificationState.DEAD]


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"secrets": (Secret(env="NO_SUCH_SECRET"),)}, Result.MISCONFIGURED),
        ({"secrets": (Secret(file="/no/such/file"),)}, Result.MISCONFIGURED),
        ({"networks": ()}, Result.FORBIDDEN),
        ({"url": "http://127.0.0.1:1/"}, Result.UNREACHABLE),
    ],
)
def test_what_can_not_be_sent_says_why_and_shows_no_secret(change: dict[str, Any], result: Result) -> None:
    with WebhookReceiver() as hook, delivering(receiver(**{"url": hook.url} | change)) as to:
        one = notification(age=timedelta(days=4))
        to.deliverer.offer([one])
        assert to.settled([one]) == [NotificationState.DEAD]
        (attempt,) = to.attempts()
        assert attempt.result is result
        assert attempt.error
        assert SECRET not in attempt.error
        assert hook.requests == []


def test_pagerduty_s_key_is_put_in_when_it_is_sent_and_nothing_is_signed() -> None:
    with WebhookReceiver(lambda *_: 202) as hook:
        pager = receiver(hook.url, format=Format.PAGERDUTY, secrets=(Secret(env="ROUTING_KEY"),))
        with delivering(pager) as to:
            one = notification(body='{"event_action":"trigger"}')
            to.deliverer.offer([one])
            assert to.settled([one]) == [NotificationState.DELIVERED]
        (request,) = hook.requests
        assert request.body == b'{"event_action":"trigger","routing_key":"R0UT1NG"}'
        assert "webhook-signature" not in request.headers


def test_no_more_is_sent_at_once_and_in_a_minute_than_is_allowed() -> None:
    at_once: list[int] = []
    busy = [0]

    def count(_number: int, _request: Request) -> int:
        busy[0] += 1
        at_once.append(busy[0])
        Event().wait(0.02)
        busy[0] -= 1
        return 200

    with WebhookReceiver(count) as hook, delivering(receiver(hook.url, concurrency=3, per_minute=60)) as to:
        several = [notification() for _ in range(40)]
        to.deliverer.offer(several)
        # A sixth of a minute's worth at once, then one a second.
        wait_until(lambda: len(hook.requests) >= 10, 20)
        to.said += to.deliverer.results()
    assert max(at_once) <= 3
    assert len(hook.requests) < 20


def test_a_heartbeat_is_tried_once_and_never_queues() -> None:
    with WebhookReceiver(lambda *_: 500) as hook, delivering(receiver(hook.url)) as to:
        beat = notification(HEARTBEAT)
        to.deliverer.offer([beat])
        assert to.settled([beat]) == [NotificationState.DEAD]
        assert len(hook.requests) == 1


def test_memory_is_bounded_and_a_receiver_that_is_unknown_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    made = Delivering(receiver("http://127.0.0.1:1/"))
    assert not made.deliverer.offer([notification() for _ in range(8)])
    assert made.deliverer.room == 0
    lost = notification(to="nobody")
    made.deliverer.offer([lost])
    assert made.state(lost) is NotificationState.DROPPED
    made.deliverer.forget()
    assert made.deliverer.room == 5
