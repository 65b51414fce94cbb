"""Anomalies of a model's series: an online detector for each, and one for all, over points of minutes or of hours."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ...detectors.anomaly.baseline import Baseline
from ...detectors.anomaly.kinds import Kind as Made
from ...detectors.anomaly.points import Point
from ...detectors.anomaly.series import SeriesAnomalies
from ...detectors.interface import Detector, Finding
from ...detectors.registry import detector, restore
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, Outcome
from ...schemas.signals import Signal, SignalKind
from ..lookups import instant
from ..records import from_micros
from .losses import losses_as_rows
from .points import (
    LEAST_N,
    MOST_FEATURES,
    MOST_STEPS,
    Steps,
    end_of_steps,
    first_step,
    in_order,
    of_losses,
    of_predictions,
)
from .reached import Reached
from .signals import signal_id_of
from .states import DAMAGED, as_json, next_step
from .together import Together
from .told import Told

MINUTE_S, HOUR_S = 60, 3600
_SECOND_US = 1_000_000
# Features come and go under other names.
_MOST_SERIES = MOST_FEATURES + 50
# Of a model with so many series, about one false alarm in four weeks.
_OF_SERIES, _ONE_FALSE_IN_S = 50, 28 * 86_400
# An outage, when all of the volume is gone, is about 1 in 40,000 to the detector: below that it finds nothing.
_LEAST_ALARM = 5e-5


class _Series(msgspec.Struct):
    online: Detector[Point]
    told: Told


class AnomalyMonitor:
    """Reads the points of steps that are over, and says which are unlike all before. One thread at a time."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        model: str,
        seconds: int,
        of: tuple[Outcome, Kind] | None,
        detector_name: str,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Of predictions, or of the labels `of` an outcome. Goes on from a `state`, if that was watched then."""
        self._clickhouse = clickhouse
        self._model = model
        self._seconds = seconds
        self._of = of
        self._detector = detector_name
        self._next: int | None = None
        self.is_behind = False
        """Whether the last turn left steps that are over."""
        self._series: dict[str, _Series] = {}
        self._together = Together(self.name, seconds)
        self.rebuilt = "from its first pane"
        if state is not None:
            self._resume(state)

    @property
    def name(self) -> str:
        """What table `monitors` calls it."""
        return series_name(self._seconds, self._of)

    @property
    def reached_us(self) -> int:
        """Event time (µs) up to which it took everything."""
        return (self._next or 0) * _SECOND_US

    def advance(self, reached: Reached) -> list[Signal]:
        """Take the steps that are over, a bounded number of them; returns what they show."""
        if self._next is None:
            self._next = first_step(self._clickhouse, self._model, self._seconds)
        if self._next is None:
            return []
        end = end_of_steps(self._clickhouse, self._next, self._seconds, reached, of_predictions=self._of is None)
        steps = Steps(self._seconds, self._next, min(end, self._next + MOST_STEPS * self._seconds))
        self.is_behind = steps.end < end
        if steps.end <= steps.first:
            return []
        if self._of is None:
            points = of_predictions(self._clickhouse, self._model, steps)
        else:
            points = of_losses(self._clickhouse, self._model, *self._of, steps)
        self._next = steps.end
        signals: list[Signal] = []
        for name in sorted(points.keys() | self._series.keys()):
            series = self._series.get(name)
            if series is None:
                if len(self._series) >= _MOST_SERIES:
                    continue
                series = self._series[name] = _Series(self._new(points[name].made), Told())
            made, values = points.get(name, (None, {}))
            signals += self._take(name, series, made, in_order(values, steps, self._least_n))
        return signals + self._together.take(self._model, steps, self._query)

    def _take(self, name: str, series: _Series, made: Made | None, points: list[Point]) -> list[Signal]:
        """What the next points show: of each anomaly what is said last."""
        begin = series.online.n
        found = {each.at - begin: each for each in self._together.see(name, made, points, series.online)}
        signals: dict[str, Signal] = {}
        for i, point in enumerate(points):
            signal = None
            if i in found:
                signal = self._signal(name, series, found[i], point.ts_us)
            elif math.isnan(point.value):
                signal = series.told.wait(point.ts_us, self._seconds * _SECOND_US)
            if signal is not None:
                signals[signal.signal_id] = signal
        return list(signals.values())

    def state(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {
            "watched": self._watched,
            "next": self._next,
            "series": {name: [series.online.snapshot(), *series.told.state()] for name, series in self._series.items()},
            "together": self._together.state(),
        }

    def _new(self, made: Made) -> Detector[Point]:
        alarm = self._seconds / _ONE_FALSE_IN_S / _OF_SERIES
        if self._detector == Baseline.name:
            return Baseline(made, alarm)
        return (
            SeriesAnomalies(max(_LEAST_ALARM, alarm))
            if self._detector == SeriesAnomalies.name
            else detector(self._detector)
        )

    @property
    def _least_n(self) -> int:
        return 1 if self._detector == Baseline.name else LEAST_N

    @property
    def _watched(self) -> list[Any]:
        return as_json([self._detector, self._of])

    def _resume(self, state: Mapping[str, Any]) -> None:
        try:
            if state["watched"] != self._watched:
                self.rebuilt = "from its first pane: its outcomes or its detector changed"
                return
            series = {
                str(name): _Series(restore(snapshot), Told.of_state(told))
                for name, (snapshot, *told) in state["series"].items()
            }
            together = self._together
            # States of before series were looked at together have none.
            if "together" in state:
                together = Together.of_state(self.name, self._seconds, state["together"])
            first = next_step(state["next"], self._seconds)
            reached = from_micros((first or 0) * _SECOND_US)
        except DAMAGED as exc:
            self.rebuilt = f"from its first pane: its state can't be read ({exc!r})"
            return
        self._series, self._together, self._next = series, together, first
        self.rebuilt = f"from its state of {reached:%Y-%m-%d %H:%M} and the panes since"

    def _signal(self, name: str, series: _Series, found: Finding, at_us: int) -> Signal:
        told = series.told
        told.take(
            found, at_us, self._seconds * _SECOND_US,
            lambda since_us: signal_id_of(self._model, SignalKind.ANOMALY, name, self._seconds, since_us),
        )  # fmt: skip
        expected = "" if found.expected is None else f", where {found.expected:.4g} was expected"
        seen = "" if found.seen is None else f" is {found.seen:.4g}"
        since = from_micros(told.since_us)
        signal = Signal(
            signal_id=told.signal_id,
            model=self._model,
            kind=SignalKind.ANOMALY,
            subject=name,
            detector=series.online.name,
            since=since,
            found_at=from_micros(told.found_us),
            until=from_micros(told.until_us),
            score=min(1.0, max(0.0, found.score)),
            message=f"{name} of {self._model}{seen}{expected}, since {since:%Y-%m-%d %H:%M}",
            expected=found.expected,
            seen=found.seen,
            n=found.at - found.since + 1,
            query=self._query(told.since_us, told.until_us),
            window_s=self._seconds,
        )
        return told.say(signal)

    def _query(self, since_us: int, until_us: int) -> str:
        begin_us = since_us - 24 * HOUR_S * _SECOND_US
        end = instant(until_us)
        step = f"toStartOfInterval({{}}, INTERVAL {self._seconds} SECOND) AS step"
        if self._of is not None:
            rows = losses_as_rows(
                self._clickhouse.database, self._model, *self._of, since_us - 24 * HOUR_S * _SECOND_US
            )
            what = "count() AS n, avg(loss) AS mean_loss, avg(label) AS mean_label"
            return f"SELECT {step.format('at')}, {what} FROM {rows} WHERE at < {end} GROUP BY step ORDER BY step"
        return (
            f"SELECT {step.format('ts')}, count() AS volume, avg(score) AS mean_score, "
            "quantile(0.95)(latency_ms) AS latency_ms_p95, avg(cost_usd) AS mean_cost_usd "
            f"FROM {self._clickhouse.database}.predictions WHERE model = {quote(self._model)} "
            f"AND ts >= {instant(begin_us)} AND ts < {end} GROUP BY step ORDER BY step"
        )


def series_name(seconds: int, of: tuple[Outcome, Kind] | None) -> str:
    """What table `monitors` calls a monitor of series."""
    return f"series/{seconds}s" if of is None else f"series/{seconds}s/{of[0].name}"
