"""Signals of series: one for one change, found once, also where hours without values lie within it."""

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.monitor import anomalies
from loopwatch.stream_processors.monitor.anomalies import AnomalyMonitor
from loopwatch.stream_processors.monitor.points import LATENCY, Series, Steps
from loopwatch.stream_processors.monitor.reached import Reached

HOUR = 3600
DAYS, SLOW_FROM = 20, 18 * 24 + 14


def values() -> dict[int, tuple[float, int | None]]:
    """A p95 by hour, none at night; from the afternoon of the 19th day on it is twice what it was."""
    rng = np.random.default_rng(2)
    found: dict[int, tuple[float, int | None]] = {}
    for hour in range(DAYS * 24):
        if hour % 24 >= 8:
            found[hour * HOUR] = float(rng.normal(40, 3)) * (2 if hour >= SLOW_FROM else 1), 60
    return found


def signals_of(
    monkeypatch: pytest.MonkeyPatch, known: dict[int, tuple[float, int | None]], end: int, every: int
) -> list[Signal]:
    """What a monitor says of a latency, in turns of some steps each, through a state in between."""

    def of_predictions(clickhouse: Any, model: str, steps: Steps) -> dict[str, Series]:
        return {LATENCY: Series("mean", {step: known[step] for step in steps if step in known})}

    monkeypatch.setattr(anomalies, "of_predictions", of_predictions)
    monkeypatch.setattr(anomalies, "first_step", lambda *_: 0)
    clickhouse: Any = SimpleNamespace(database="d", rows=lambda _: [(end * 1_000_000,)])
    monitor = AnomalyMonitor(clickhouse, "slow", HOUR, None, "baseline")
    signals: list[Signal] = []
    for until in range(every, end + every, every):
        signals += monitor.advance(Reached({0: 0}, {0: min(until, end) * 1_000_000}))
        state = msgspec.json.decode(msgspec.json.encode(monitor.state()))
        monitor = AnomalyMonitor(clickhouse, "slow", HOUR, None, "baseline", state)
    return signals


def test_a_night_without_values_does_not_make_a_change_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = signals_of(monkeypatch, values(), DAYS * 24 * HOUR, 6 * HOUR)
    of_one = [each for each in signals if each.since.timestamp() == SLOW_FROM * HOUR]
    assert len({each.signal_id for each in of_one}) == 1
    assert {each.found_at.timestamp() for each in of_one} == {(SLOW_FROM + 1) * HOUR}
    assert max(each.until for each in of_one).timestamp() > (18 * 24 + 24 + 8) * HOUR


@pytest.mark.parametrize("every", [1, 6, 500])
def test_an_anomaly_goes_on_while_nothing_comes_for_a_day_at_most(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    def until(known: dict[int, tuple[float, int | None]], end: int) -> float:
        signals = signals_of(monkeypatch, known, end * HOUR, every * HOUR)
        return max(each.until.timestamp() for each in signals) / HOUR

    night, stopped = (SLOW_FROM // 24 + 1) * 24, SLOW_FROM + 6
    assert until(values(), night + 5) == night + 5
    known = {at: value for at, value in values().items() if at < stopped * HOUR}
    assert until(known, stopped + 10) == stopped + 10
    assert until(known, stopped + 60) == stopped + 24
