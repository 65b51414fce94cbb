"""Signals of series: one for one change, found once, also where hours without values lie within it."""

from types import SimpleNamespace
from typing import Any

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


def test_a_night_without_values_does_not_make_a_change_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known = values()

    def of_predictions(clickhouse: Any, model: str, steps: Steps) -> dict[str, Series]:
        return {LATENCY: Series("mean", {step: known[step] for step in steps if step in known})}

    monkeypatch.setattr(anomalies, "of_predictions", of_predictions)
    monkeypatch.setattr(anomalies, "first_step", lambda *_: 0)
    newest = DAYS * 24 * HOUR * 1_000_000
    clickhouse: Any = SimpleNamespace(database="d", rows=lambda _: [(newest,)])
    monitor = AnomalyMonitor(clickhouse, "slow", HOUR, None, "baseline")
    signals: list[Signal] = []
    for end in range(HOUR, DAYS * 24 * HOUR + 1, 6 * HOUR):
        signals += monitor.advance(Reached({0: 0}, {0: end * 1_000_000}))
    of_one = [each for each in signals if each.since.timestamp() == SLOW_FROM * HOUR]
    assert len({each.signal_id for each in of_one}) == 1
    assert {each.found_at.timestamp() for each in of_one} == {(SLOW_FROM + 1) * HOUR}
    assert max(each.until for each in of_one).timestamp() > (18 * 24 + 24 + 8) * HOUR
