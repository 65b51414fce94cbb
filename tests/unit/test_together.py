"""Series of a model together: what no longer goes together is told with its series, what is told already is not."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from loopwatch.detectors.anomaly.baseline import Baseline
from loopwatch.detectors.anomaly.points import Point
from loopwatch.detectors.anomaly.series import SeriesAnomalies
from loopwatch.detectors.interface import Detector
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.monitor.points import Steps
from loopwatch.stream_processors.monitor.together import SUBJECT, Together

HOUR_S, HOURS, APART = 3600, 24 * 14, 24 * 12
Values = dict[str, tuple[str, np.ndarray]]


def series(change: str | None = None) -> Values:
    """Means that go up and down together beside the course of the day, and a volume of its own."""
    rng = np.random.default_rng(3)
    hour = np.arange(HOURS)
    day, both = np.sin(hour * math.tau / 24), rng.normal(size=HOURS)
    own = 0.25 * rng.normal(size=(2, HOURS))
    other = both.copy()
    if change == "apart":
        both[APART], other[APART] = 2.2, -2.2
    if change == "loud":
        both[APART], other[APART] = 0.0, 60.0
    return {
        "mean score": ("mean", 0.4 + 0.1 * day + 0.01 * (both + own[0])),
        "mean prediction": ("mean", 20 + 5 * day + 0.5 * (other + own[1])),
        "volume": ("count", rng.poisson(400 * np.exp(0.5 * day)).astype(float)),
    }


def told(values: Values, make: Callable[[Any], Detector[Point]], turns: int = 1) -> list[Signal]:
    """Signals, where the steps come in so many turns; between two the state goes through JSON."""
    together, found = Together("series/3600s", HOUR_S), list[Signal]()
    online = {name: make(kind) for name, (kind, _) in values.items()}
    for hours in np.array_split(np.arange(HOURS), turns):
        for name, (kind, of) in values.items():
            points = [Point(int(hour) * HOUR_S * 1_000_000, float(of[hour]), 400) for hour in hours]
            together.see(name, kind, points, online[name])  # pyright: ignore[reportArgumentType]
        steps = Steps(HOUR_S, int(hours[0]) * HOUR_S, (int(hours[-1]) + 1) * HOUR_S)
        found += together.take("m", steps, lambda since, until: f"{since} {until}")
        together = Together.of_state("series/3600s", HOUR_S, msgspec.json.decode(msgspec.json.encode(together.state())))
    return found


def baseline(kind: Any) -> Detector[Point]:
    return Baseline(kind, 3e-5)


def test_a_course_of_the_day_is_no_anomaly() -> None:
    assert told(series(), baseline) == []


@pytest.mark.parametrize("make", [baseline, lambda kind: SeriesAnomalies(5e-5)], ids=["baseline", "series_anomalies"])
def test_values_that_do_not_go_together_are_told_with_what_the_others_lead_to_expect(
    make: Callable[[Any], Detector[Point]],
) -> None:
    values = series("apart")
    signal, *_ = told(values, make)
    assert (signal.subject, signal.since.timestamp()) == (SUBJECT, APART * HOUR_S)
    shifts = {shift.name: shift for shift in signal.evidence}
    assert shifts.keys() == {"mean score", "mean prediction"}
    for name, shift in shifts.items():
        assert shift.seen == values[name][1][APART]
    # By the score prediction should be high, by the prediction the score low.
    assert shifts["mean prediction"].expected > shifts["mean prediction"].seen + 1.0
    assert shifts["mean score"].expected < shifts["mean score"].seen - 0.02


def test_what_a_series_by_itself_shows_is_not_told_again() -> None:
    assert told(series("loud"), baseline) == []


def test_turns_and_restarts_change_nothing() -> None:
    values = series("apart")
    assert told(values, baseline, turns=40) == told(values, baseline)
