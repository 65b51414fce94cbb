"""A replay sends in order, at a pace, with the replay's header, and closes every window."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from loopwatch.producers.client import Event
from loopwatch.producers.pace import Pace
from loopwatch.producers.replay import REPLAY_HEADERS, closing_watermark, replay_events, replay_progress
from loopwatch.schemas.errors import DeliveryError
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.outcomes import LoopwatchConfig, ModelConfig, Outcome
from rich.console import Console

START = datetime(2024, 7, 15, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
CONFIG = LoopwatchConfig({"slow": ModelConfig("slow", outcomes=(Outcome("a", window=WEEK), Outcome("b")))})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def prediction(name: str, seconds: float, model: str = "m") -> Prediction:
    return Prediction(name, model, at(seconds))


def action(name: str, seconds: float) -> Action:
    return Action(name, "p", "click", at(seconds))


class Source:
    """Events of a list."""

    def __init__(self, events: Sequence[Event], invalid: int = 0) -> None:
        self.name = "test"
        self.events = events
        self.size = len(events)
        self.position = 0
        self.invalid = invalid

    def __iter__(self) -> Iterator[Event]:
        for event in self.events:
            self.position += 1
            yield event


class Recorder:
    """What a replay does to a client. `fails_at` is the number of events after which Kafka is gone."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls: list[str] = []
        self.headers: list[object] = []
        self.fails_at = fails_at

    def send_prediction(self, event: Prediction, *, headers: object = None) -> None:
        self.calls.append(event.prediction_id)
        self.headers.append(headers)

    def send_action(self, event: Action, *, headers: object = None) -> None:
        self.calls.append(event.action_id)
        self.headers.append(headers)

    def raise_failures(self) -> None:
        if self.fails_at is not None and len(self.calls) >= self.fails_at:
            raise DeliveryError("gone")

    def flush(self, timeout_s: float) -> None:
        self.raise_failures()
        self.calls.append("flush")

    def watermark(self, ts: datetime, *, headers: object = None, timeout_s: float = 0) -> None:
        self.calls.append(f"watermark {ts.isoformat()}")
        self.headers.append(headers)


def replay(client: Recorder, source: Source, **options):
    return replay_events(client, source, **options)  # pyright: ignore[reportArgumentType]


def test_sends_all_in_order_then_the_watermark_behind_the_longest_window():
    client = Recorder()
    events = [prediction("p0", 0, "slow"), action("a0", 1), prediction("p1", 2)]
    summary = replay(client, Source(events, invalid=4), config=CONFIG)
    closed = at(2) + WEEK + timedelta(seconds=10)
    assert client.calls == ["p0", "a0", "p1", "flush", f"watermark {closed.isoformat()}"]
    assert client.headers == [REPLAY_HEADERS] * 4
    assert (summary.predictions, summary.actions, summary.invalid) == (2, 1, 4)
    assert (summary.first_ts, summary.last_ts, summary.watermark) == (at(0), at(2), closed)


def test_the_watermark_is_right_for_events_that_are_not_sorted():
    summary = replay(Recorder(), Source([prediction("late", 9), prediction("early", 1)]))
    assert (summary.first_ts, summary.last_ts) == (at(1), at(9))
    assert summary.watermark == at(9) + timedelta(hours=24, seconds=10)


def test_only_windows_of_models_that_were_sent_are_waited_for():
    summary = replay(Recorder(), Source([prediction("p", 0, "unknown")]), config=CONFIG)
    assert summary.watermark == at(0) + timedelta(hours=24, seconds=10)


def test_held_actions_become_orphans_also_where_windows_are_short():
    config = LoopwatchConfig()
    assert closing_watermark(START, [timedelta(minutes=5)], config) == START + timedelta(hours=1, seconds=10)
    assert closing_watermark(START, [], config) == START + timedelta(hours=1, seconds=10)


def test_windows_stay_open_when_asked():
    client = Recorder()
    assert replay(client, Source([prediction("p", 0)]), close=False).watermark is None
    assert client.calls == ["p", "flush"]


def test_an_empty_history_sends_nothing():
    client = Recorder()
    summary = replay(client, Source([]))
    assert (summary.first_ts, summary.watermark, client.calls) == (None, None, ["flush"])


def test_a_replay_stops_soon_after_kafka_is_gone_and_sends_no_watermark():
    client = Recorder(fails_at=1000)
    with pytest.raises(DeliveryError):
        replay(client, Source([prediction(f"p{i}", i) for i in range(100_000)]))
    assert 1000 <= len(client.calls) < 2000
    assert not any(call.startswith("watermark") for call in client.calls)


def test_the_display_ends_full():
    with replay_progress(Console(file=StringIO())) as progress:
        replay(Recorder(), Source([prediction("p", 0), prediction("q", 1)]), progress=progress)
    (task,) = progress.tasks
    assert (task.description, task.completed, task.total) == ("test", 2, 2)
    assert task.fields["at"] == "2024-07-15 12:00"


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ticks = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 0.2
        self.now += seconds

    def tick(self) -> None:
        self.ticks += 1


@pytest.mark.parametrize(("speed", "expected"), [(1.0, [0, 10, 10, 60]), (60.0, [0, 10 / 60, 10 / 60, 1])])
def test_events_go_when_they_are_due_and_overdue_ones_at_once(speed: float, expected: list[float]):
    clock = Clock()
    pace = Pace(speed, clock.tick, clock=clock, sleep=clock.sleep)
    sent = []
    for seconds in (0, 10, 4, 60):
        pace.wait(at(seconds))
        sent.append(clock.now - 100)
    assert sent == pytest.approx(expected)
    assert clock.ticks >= expected[-1] / 0.2 - 1
