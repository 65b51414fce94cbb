"""Series together and single predictions, from rows to signals: found once, whatever is restarted or damaged."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from loopwatch.infra.clickhouse import quote
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.monitor import events
from loopwatch.stream_processors.monitor.anomalies import HOUR_S, AnomalyMonitor
from loopwatch.stream_processors.monitor.event_sample import AN_HOUR, events_of
from loopwatch.stream_processors.monitor.events import EventMonitor
from loopwatch.stream_processors.monitor.together import SUBJECT as TOGETHER
from loopwatch.stream_processors.records import micros_of

from ..monitored import BEGIN, Workers, at
from ..paned import Store
from .planted import Stored as StoredWithLabels

MODEL = "fraud"
HOURS, PER_HOUR = 130, 80
BROKEN_H, APART_H = 100, 120
STEP_S = 3600 // PER_HOUR


def stream() -> list[dict[str, Any]]:
    """A score that the cost goes by. In one hour an amount is 1000 times too large in an eighth; later cost goes down
    where the score goes up."""
    rng = np.random.default_rng(11)
    found: list[dict[str, Any]] = []
    for hour in range(HOURS):
        mood = float(rng.normal()) if hour != APART_H else 2.6
        for n in range(PER_HOUR):
            score = float(np.clip(0.5 + 0.03 * mood + rng.normal(0, 0.05), 0, 1))
            amount = float(rng.lognormal(3, 0.5)) * (1000 if hour == BROKEN_H and n % 8 == 0 else 1)
            follows = -mood if hour == APART_H else mood
            found.append(
                {
                    "prediction_id": f"p{hour:03}-{n:03}", "model": MODEL,
                    "ts": at(hour * 3600 + n * STEP_S).isoformat(),
                    "score": round(score, 6), "cost_usd": 1 + 0.06 * follows + float(rng.normal(0, 0.1)),
                    "features": {"amount": amount, "age": float(rng.normal(40, 9)), "is_new": bool(rng.random() < 0.1)},
                }
            )  # fmt: skip
    return found


class Stored(StoredWithLabels):
    """The stream in a database, all of it."""

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        self.clickhouse = self.store.clickhouse
        self.store.insert(stream())
        self.workers = Workers(self.clickhouse, MODEL, predictions=False)
        self.workers.commit(0, HOURS * 3600.0 + 3600)
        self._clock = at(HOURS * 3600)


@pytest.fixture(scope="module")
def stored(clickhouse_url: str) -> Iterator[Stored]:
    stored = Stored(clickhouse_url)
    yield stored
    stored.clickhouse.close()


def all_of(monitor: EventMonitor | AnomalyMonitor, stored: Stored) -> list[Signal]:
    signals = monitor.advance(stored.workers.reached())
    while monitor.is_behind:
        signals += monitor.advance(stored.workers.reached())
    return signals


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(state))


def test_the_sample_of_an_hour_is_bounded_in_order_and_always_the_same(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour_us = micros_of(at(5 * 3600))
    every = events_of(stored.clickhouse, MODEL, hour_us, PER_HOUR)
    assert [event.prediction_id for event in every] == [f"p005-{n:03}" for n in range(PER_HOUR)]
    assert every[0].numbers.keys() == {"score", "cost_usd", "features.amount", "features.age", "features.is_new"}
    assert {event.numbers["features.is_new"] for event in every} == {0.0, 1.0}
    some = events_of(stored.clickhouse, MODEL, hour_us, PER_HOUR * AN_HOUR // 15)
    assert 15 < len(some) < 50
    assert some == [event for event in every if event in some]
    assert some == events_of(stored.clickhouse, MODEL, hour_us, PER_HOUR * AN_HOUR // 15)
    # Of so many, those of some slots of time are read.
    monkeypatch.setattr("loopwatch.stream_processors.monitor.event_sample._MOST_READ", PER_HOUR // 2)
    begun = events_of(stored.clickhouse, MODEL, hour_us, PER_HOUR)
    assert PER_HOUR // 4 < len(begun) < PER_HOUR * 3 // 4
    assert begun == [event for event in every if event in begun]


def test_a_burst_of_broken_predictions_is_found_with_its_feature_and_examples(stored: Stored) -> None:
    (signal,) = all_of(EventMonitor(stored.clickhouse, MODEL), stored)
    assert signal.subject == events.SUBJECT
    assert (signal.since, signal.until) == (at(BROKEN_H * 3600), at((BROKEN_H + 1) * 3600))
    assert signal.evidence[0].name == "features.amount"
    assert signal.evidence[0].seen > 100 * signal.evidence[0].expected
    broken = {f"p{BROKEN_H:03}-{n:03}" for n in range(0, PER_HOUR, 8)}
    assert len(signal.examples) == 5
    assert set(signal.examples) <= broken
    shown = {row[1] for row in stored.clickhouse.rows(signal.query)}
    assert broken & shown >= set(signal.examples)


def test_series_that_no_longer_go_together_are_told_and_which(stored: Stored) -> None:
    signals = all_of(AnomalyMonitor(stored.clickhouse, MODEL, HOUR_S, None, "baseline"), stored)
    (signal,) = [each for each in signals if each.subject == TOGETHER]
    assert (signal.since, signal.until) == (at(APART_H * 3600), at((APART_H + 1) * 3600))
    shifts = {shift.name: shift for shift in signal.evidence}
    assert shifts.keys() == {"mean score", "mean cost_usd"}
    assert shifts["mean cost_usd"].expected > shifts["mean cost_usd"].seen
    assert shifts["mean score"].expected < shifts["mean score"].seen
    assert stored.clickhouse.rows(signal.query)


@pytest.mark.parametrize("kind", ["events", "series"])
def test_a_restart_after_any_turn_changes_nothing(stored: Stored, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(state: dict[str, Any] | None = None) -> EventMonitor | AnomalyMonitor:
        if kind == "events":
            return EventMonitor(stored.clickhouse, MODEL, state)
        return AnomalyMonitor(stored.clickhouse, MODEL, HOUR_S, None, "baseline", state)

    whole = made()
    at_once = all_of(whole, stored)
    monkeypatch.setattr(events, "_AT_ONCE_S", 0.0)
    monkeypatch.setattr("loopwatch.stream_processors.monitor.anomalies.MOST_STEPS", 7)
    monitor, found, turns = made(), list[Signal](), 0
    while monitor.is_behind or not turns:
        found += monitor.advance(stored.workers.reached())
        turns += 1
        is_behind, monitor = monitor.is_behind, made(through_json(monitor.state()))
        assert "from its state of" in monitor.rebuilt
        monitor.is_behind = is_behind
    assert turns > 5
    assert sorted(found, key=repr) == sorted(at_once, key=repr)
    assert through_json(monitor.state()) == through_json(whole.state())


@pytest.mark.parametrize("damage", [{}, {"next": 1}, {"next": None, "unusual": {}, "told": []}])
def test_a_state_that_cant_be_read_is_made_anew_and_says_so(stored: Stored, damage: dict[str, Any]) -> None:
    monitor = EventMonitor(stored.clickhouse, MODEL, damage)
    assert "can't be read" in monitor.rebuilt
    assert monitor.state() == EventMonitor(stored.clickhouse, MODEL).state()


def test_series_go_on_from_a_state_of_before_they_were_looked_at_together(stored: Stored) -> None:
    monitor = AnomalyMonitor(stored.clickhouse, MODEL, HOUR_S, None, "baseline")
    all_of(monitor, stored)
    state = through_json(monitor.state())
    del state["together"]
    assert "from its state of" in AnomalyMonitor(stored.clickhouse, MODEL, HOUR_S, None, "baseline", state).rebuilt
    state["together"] = {"joint": 1}
    assert "can't be read" in AnomalyMonitor(stored.clickhouse, MODEL, HOUR_S, None, "baseline", state).rebuilt


@pytest.mark.parametrize("is_on", [True, False])
def test_monitors_run_both_unless_they_are_switched_off(stored: Stored, is_on: bool) -> None:
    for table in ("signals", "monitors"):
        stored.clickhouse.command(f"TRUNCATE TABLE {stored.clickhouse.database}.{table}")
    off = {"losses": "none", "drift": "none"} | ({} if is_on else {"series": "none", "events": "none"})
    config = parse_config({"models": {MODEL: {"kind": "classification", "monitoring": off}}})
    out: list[Signal] = []

    def publish(signals: Sequence[Signal]) -> None:
        out.extend(signals)

    monitor = stored.monitor(publish, config)
    monitor.tick()
    while monitor.is_behind:
        monitor.tick()
    assert {signal.subject for signal in out} == ({events.SUBJECT, TOGETHER} if is_on else set())
    names = {name for (name,) in stored.rows(f"monitors FINAL WHERE model = {quote(MODEL)}", "monitor")}
    assert {events.NAME, "series/3600s"} <= names if is_on else not names
    for signal in out:
        assert BEGIN < signal.since < signal.found_at <= signal.until < at(HOURS * 3600) + timedelta(hours=1)
