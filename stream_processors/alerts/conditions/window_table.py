"""Windows of tables `metrics` and `estimates` as they are now, kept in memory and brought up to date by what is new.

The window that is going on gets a revision every few seconds, so the tables grow by thousands of rows a second of many
models. All of the recent past is read once. Then only what was evaluated since the last look, and once in a while
since a look that is longer ago, for what was stored so long after it was stamped that a look missed it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from ....infra.clickhouse import ClickHouse, quote, quoted
from ....schemas.windows import TimeOf, Window
from ...live.stored import INDICATORS, LABELLED
from ...lookups import instant
from ...records import micros_of
from .facts import Measure, Measured, Measurements
from .metric import oldest_end

METRICS, ESTIMATES = "metrics", "estimates"
# A window is stamped as its evaluation begins; where cores are short it is stored tens of seconds later.
_OVERLAP = timedelta(minutes=1)
_AGAIN_EVERY = timedelta(minutes=2)
_OVERLAP_AGAIN = timedelta(minutes=15)
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
        self._measures: dict[_Of, set[Measure]] = {}
        self._newest: dict[str, int] = {}
        self._known: dict[str, dict[Measure, list[Measured]]] = {}
        self._changed: set[Measure] = set()
        self._read: datetime | None = None
        self._read_again: datetime | None = None
        self._earlier: dict[tuple[Measure, int], Sequence[Measured]] = {}

    def read(self, names: Collection[str], slices: bool, now: datetime) -> Measurements:
        """Windows of these metrics that may say something of now."""
        known, had_slices = self._asked
        if not known >= set(names) or (slices and not had_slices):
            self._asked, self._read = (known | set(names), slices or had_slices), None
        if self._read is None or self._read_again is None or now < self._read:
            self._read_all()
            self._read_again = now
        elif now - self._read_again >= _AGAIN_EVERY:
            self._take(f"_evaluated_at >= {instant(micros_of(self._read - _OVERLAP_AGAIN))}")
            self._forget()
            self._read_again = now
        else:
            self._take(f"_evaluated_at >= {instant(micros_of(self._read - _OVERLAP))}")
        self._read = now
        self._update()
        return Measurements(self._known, self._newest)

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
        self._windows, self._evaluated, self._measures, self._known = {}, {}, {}, {}
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
        of = model, outcome, time_of, size, step, start
        measure = Measure(model, outcome, TimeOf(time_of), _window(size, step), key, segment, metric)
        if metric in (LABELLED, INDICATORS) and not key and self._evaluated.get(of, 0) < at_us:
            self._evaluated[of] = at_us
            # What the new revision doesn't have was not noted again.
            self._changed |= self._measures.get(of, set())
        of_measure = self._windows.setdefault(measure, {})
        before = of_measure.get(start)
        if before is None or before[0] < at_us:
            of_measure[start] = at_us, Measured(start, *held)
            self._measures.setdefault(of, set()).add(measure)
            self._changed.add(measure)

    def _update(self) -> None:
        """What changed, as others see it: without values that the last revision of their window has not."""
        for measure in self._changed:
            of = measure.model, measure.outcome, measure.time_of.value, measure.window.size_s, measure.window.step_s
            self._known.setdefault(measure.metric, {})[measure] = [
                measured
                for start, (at_us, measured) in sorted(self._windows.get(measure, {}).items())
                if at_us >= self._evaluated.get((*of, start), 0)
            ]
        self._changed.clear()

    def _forget(self) -> None:
        """Windows that are too old to say anything."""
        for of in list(self._measures):
            size, start = of[3], of[-1]
            if start >= oldest_end(size, self._newest[of[0]]) - size:
                continue
            self._evaluated.pop(of, None)
            for measure in self._measures.pop(of):
                self._windows[measure].pop(start, None)
                self._changed.add(measure)
        for measure in [measure for measure, windows in self._windows.items() if not windows]:
            del self._windows[measure]
            self._known.get(measure.metric, {}).pop(measure, None)
            self._changed.discard(measure)

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


@lru_cache(maxsize=1000)
def _window(size_s: int, step_s: int) -> Window:
    return Window(timedelta(seconds=size_s), timedelta(seconds=step_s))
