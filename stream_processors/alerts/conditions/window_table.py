"""Windows of tables `metrics` and `estimates` as they are now, kept in memory and brought up to date by what is new.

The window that is going on gets a revision every few seconds, so the tables grow by thousands of rows a second of many
models. Only what was evaluated since the last look is read; all of the recent past once at first, and again once in a
while, for what was stored so long after it was stamped that a look missed it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from ....infra.clickhouse import ClickHouse, quote, quoted
from ....schemas.windows import TimeOf, Window
from ...live.stored import INDICATORS, LABELLED
from ...lookups import instant
from ...records import micros_of
from .facts import Measure, Measured, Measurements
from .metric import oldest_end

METRICS, ESTIMATES = "metrics", "estimates"
_OVERLAP = timedelta(minutes=2)
_ANEW_EVERY = timedelta(minutes=10)
_BEFORE = 8
_WEEK_S = 7 * 86_400
_MOST_BEFORE = 400
_MOST_EARLIER = 2000

_Of = tuple[str, str, str, int, int, int]


class WindowTable:
    """One of the two tables. One thread at a time."""

    def __init__(self, clickhouse: ClickHouse, table: str) -> None:
        self._clickhouse = clickhouse
        self._table = f"{clickhouse.database}.{table}"
        self._of_metrics = table == METRICS
        self._asked: tuple[frozenset[str], bool] = (frozenset(), False)
        self._windows: dict[Measure, dict[int, tuple[int, Measured]]] = {}
        self._evaluated: dict[_Of, int] = {}
        self._newest: dict[str, int] = {}
        self._read_anew: datetime | None = None
        self._read: datetime | None = None
        self._earlier: dict[tuple[Measure, int], Sequence[Measured]] = {}

    def read(self, names: Collection[str], slices: bool, now: datetime) -> Measurements:
        """Windows of these metrics that may say something of now."""
        known, had_slices = self._asked
        if not known >= set(names) or (slices and not had_slices):
            self._asked, self._read_anew = (known | set(names), slices or had_slices), None
        if self._read_anew is None or self._read is None or not timedelta() <= now - self._read_anew < _ANEW_EVERY:
            self._read_all()
            self._read_anew = now
        else:
            self._take(f"_evaluated_at >= {instant(micros_of(self._read - _OVERLAP))}")
        self._read = now
        self._forget()
        return self._measurements()

    def before(self, measure: Measure, second: int) -> Sequence[Measured]:
        """The windows of a measure in the week before a second, oldest first; of long windows some of them."""
        key = measure, second
        if key not in self._earlier:
            if len(self._earlier) >= _MOST_EARLIER:
                self._earlier.clear()
            least = max(0, second - max(_WEEK_S, _BEFORE * measure.window.step_s))
            rows = self._clickhouse.rows(
                f"SELECT toUnixTimestamp(window_start) AS start, {self._held} FROM {self._table} "
                f"WHERE {self._is(measure)} AND window_start >= {least} AND window_start < {second} "
                f"GROUP BY start ORDER BY start DESC LIMIT {_MOST_BEFORE}"
            )
            self._earlier[key] = [Measured(start, *held) for start, held in reversed(rows)]
        return self._earlier[key]

    def _read_all(self) -> None:
        rows = self._clickhouse.rows(
            f"SELECT model, window_seconds, toUnixTimestamp(max(window_start)) FROM {self._table} "
            "GROUP BY model, window_seconds"
        )
        for model, _, start in rows:
            self._newest[model] = max(self._newest.get(model, 0), int(start))
        recent = [
            f"(model = {quote(model)} AND window_seconds = {size} "
            f"AND window_start >= {max(0, oldest_end(size, self._newest[model]) - size)})"
            for model, size, _ in rows
        ]
        self._windows, self._evaluated = {}, {}
        if recent:
            self._take(f"({' OR '.join(recent)})")

    def _take(self, condition: str) -> None:
        """Take in the latest revisions among these rows."""
        names, slices = self._asked
        wanted = sorted(names | {LABELLED, INDICATORS})
        which = f"metric IN ({quoted(wanted)})" + ("" if slices else " AND segment_key = ''")
        time_of = "time_of" if self._of_metrics else quote(TimeOf.PREDICTION.value)
        rows = self._clickhouse.rows(
            f"SELECT model, outcome, {time_of} AS by_time_of, window_seconds, step_seconds, "
            "toUnixTimestamp(window_start) AS start, segment_key, segment, metric, "
            f"{self._held}, toUnixTimestamp64Micro(max(_evaluated_at)) FROM {self._table} "
            f"WHERE {which} AND {condition} GROUP BY model, outcome, by_time_of, window_seconds, step_seconds, "
            "start, segment_key, segment, metric"
        )
        for row in rows:
            self._note(*row)

    def _note(self, *row: Any) -> None:
        model, outcome, time_of, size, step, start, key, segment, metric, held, at_us = row
        self._newest[model] = max(self._newest.get(model, 0), start)
        if metric in (LABELLED, INDICATORS) and not key:
            window = model, outcome, time_of, size, step, start
            self._evaluated[window] = max(self._evaluated.get(window, 0), at_us)
        window = Window(timedelta(seconds=size), timedelta(seconds=step))
        measure = Measure(model, outcome, TimeOf(time_of), window, key, segment, metric)
        of_measure = self._windows.setdefault(measure, {})
        before = of_measure.get(start)
        if before is None or before[0] <= at_us:
            of_measure[start] = at_us, Measured(start, *held)

    def _forget(self) -> None:
        """What says nothing any more: windows that are too old, and values that the last revision has not."""
        for measure in list(self._windows):
            size = measure.window.size_s
            least = oldest_end(size, self._newest[measure.model]) - size
            of = measure.model, measure.outcome, measure.time_of.value, size, measure.window.step_s
            kept = {
                start: (at_us, measured)
                for start, (at_us, measured) in self._windows[measure].items()
                if start >= least and at_us >= self._evaluated.get((*of, start), 0)
            }
            if kept:
                self._windows[measure] = kept
            else:
                del self._windows[measure]
        for of in [of for of in self._evaluated if of[-1] < oldest_end(of[3], self._newest[of[0]]) - of[3]]:
            del self._evaluated[of]

    def _measurements(self) -> Measurements:
        by_metric: dict[str, dict[Measure, list[Measured]]] = defaultdict(dict)
        for measure, of_measure in self._windows.items():
            by_metric[measure.metric][measure] = [each for _, (_, each) in sorted(of_measure.items())]
        return Measurements(by_metric, dict(self._newest))

    @property
    def _held(self) -> str:
        """SQL of what the latest revision says."""
        completeness = "completeness" if self._of_metrics else "NULL"
        return f"argMax(tuple(value, lower, upper, n, {completeness}), _evaluated_at)"

    def _is(self, measure: Measure) -> str:
        of_time = f" AND time_of = {quote(measure.time_of.value)}" if self._of_metrics else ""
        return (
            f"model = {quote(measure.model)} AND outcome = {quote(measure.outcome)}{of_time} "
            f"AND window_seconds = {measure.window.size_s} AND step_seconds = {measure.window.step_s} "
            f"AND segment_key = {quote(measure.segment_key)} AND segment = {quote(measure.segment)} "
            f"AND metric = {quote(measure.metric)}"
        )
