"""Windows of one model as they were known at an instant of the past, as honestly as the last revision allows.

What is hindsight: the value, its interval and n are those of the last revision, with labels that came after the
instant. What is not: a window is unknown before it has ended, and its completeness is the share of its predictions that
was settled by then, so a condition that asks for 90 % waits for them as it would have.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from msgspec.structs import replace

from ....infra.clickhouse import ClickHouse, quote, quoted
from ....schemas.outcomes import ModelConfig
from ....schemas.windows import TimeOf, Window
from ...live.stored import INDICATORS, LABELLED
from ...lookups import instant
from ...records import micros_of
from .facts import Measure, Measured, Measurements
from .metric import oldest_end

_BEFORE = timedelta(days=8)


class PastWindows:
    """Of table `metrics`: those that began from eight days before `since` to before `until`."""

    def __init__(
        self, clickhouse: ClickHouse, model: ModelConfig, names: Collection[str], since: datetime, until: datetime
    ) -> None:
        self._model = model.name
        self._windows: dict[Measure, list[Measured]] = defaultdict(list)
        self._settled: dict[tuple[str, Window, int], np.ndarray] = {}
        begin = since - _BEFORE
        wanted = f"model = {quote(model.name)} AND window_start < {instant(micros_of(until))} AND window_start >= "
        wanted += instant(micros_of(begin))
        held = "argMax(tuple(value, lower, upper, n, completeness), _evaluated_at)"
        rows = clickhouse.rows(
            "SELECT outcome, time_of, window_seconds, step_seconds, toUnixTimestamp(window_start) AS start, "
            f"segment_key, segment, metric, {held}, max(_evaluated_at) AS at FROM {clickhouse.database}.metrics "
            f"WHERE {wanted} AND metric IN ({quoted(sorted({*names, LABELLED, INDICATORS}))}) GROUP BY outcome, "
            "time_of, window_seconds, step_seconds, start, segment_key, segment, metric ORDER BY start"
        )
        last: dict[tuple[object, ...], datetime] = {
            tuple(row[:5]): row[-1] for row in rows if not row[5] and row[7] in (LABELLED, INDICATORS)
        }
        for outcome, time_of, size, step, start, key, segment, metric, value, at in rows:
            if at < last.get((outcome, time_of, size, step, start), at):
                continue
            window = Window(timedelta(seconds=size), timedelta(seconds=step))
            measure = Measure(model.name, outcome, TimeOf(time_of), window, key, segment, metric)
            self._windows[measure].append(Measured(start, *value))
        self._read_settled(clickhouse, model, begin, until)

    def known(self, now: datetime) -> Measurements:
        """Those that had ended by then and may say something of now."""
        now_s = now.timestamp()
        by_metric: dict[str, dict[Measure, list[Measured]]] = defaultdict(dict)
        for measure, windows in self._windows.items():
            size = measure.window.size_s
            least = oldest_end(size, int(now_s)) - size
            found = [self._as_of(measure, each, now_s) for each in windows if least <= each.start <= now_s - size]
            if found:
                by_metric[measure.metric][measure] = found
        return Measurements(by_metric, {self._model: int(now_s)})

    def before(self, measure: Measure, second: int) -> Sequence[Measured]:
        """All that begin before a second, as in the end."""
        return [each for each in self._windows.get(measure, ()) if each.start < second]

    def _read_settled(self, clickhouse: ClickHouse, model: ModelConfig, begin: datetime, until: datetime) -> None:
        """When the outcome of each prediction was settled: by a label, or as its attribution window ended."""
        for outcome in model.outcomes:
            windows = {measure.window for measure in self._windows if measure.outcome == outcome.name}
            if not windows:
                continue
            database, wait_s = clickhouse.database, int(outcome.window.total_seconds())
            end = instant(micros_of(until + max(window.size for window in windows)))
            table = clickhouse.arrow(
                "SELECT toUnixTimestamp(prediction_ts) AS made, "
                f"toUnixTimestamp(ifNull(action_ts, prediction_ts + INTERVAL {wait_s} SECOND)) AS settled "
                f"FROM {database}.feedback_current "
                f"WHERE model = {quote(model.name)} AND outcome = {quote(outcome.name)} "
                f"AND prediction_ts >= {instant(micros_of(begin))} "
                f"AND prediction_ts < {end} ORDER BY made"
            )
            made, settled = (table.column(name).to_numpy().astype(np.int64) for name in ("made", "settled"))
            for measure, of_measure in self._windows.items():
                if measure.outcome != outcome.name or measure.time_of is TimeOf.LABEL or measure.segment_key:
                    continue
                for start in (each.start for each in of_measure):
                    key = outcome.name, measure.window, start
                    if key not in self._settled:
                        first, end = np.searchsorted(made, [start, start + measure.window.size_s])
                        self._settled[key] = np.sort(settled[first:end])

    def _as_of(self, measure: Measure, window: Measured, now_s: float) -> Measured:
        settled = self._settled.get((measure.outcome, measure.window, window.start))
        if window.completeness is None or settled is None or not len(settled):
            return window
        by_now = int(np.searchsorted(settled, now_s, side="right"))
        return replace(window, completeness=window.completeness * by_now / len(settled))


class PastGaps:
    """Of table `estimates`: each as it was estimated last by then, by event time."""

    def __init__(self, clickhouse: ClickHouse, model: str, names: Collection[str], until: datetime) -> None:
        self._model = model
        self._rows = [
            tuple(row)
            for row in clickhouse.rows(
                "SELECT toUnixTimestamp(as_of), outcome, window_seconds, step_seconds, toUnixTimestamp(window_start), "
                f"metric, value, lower, upper, n FROM {clickhouse.database}.estimates "
                f"WHERE model = {quote(model)} AND segment_key = '' AND metric IN ({quoted(sorted(names) or [''])}) "
                f"AND as_of < {instant(micros_of(until))} ORDER BY as_of, _evaluated_at"
            )
        ]

    def known(self, now: datetime) -> Measurements:
        """Those of that time."""
        found: Mapping[str, dict[Measure, dict[int, Measured]]] = defaultdict(lambda: defaultdict(dict))
        now_s = int(now.timestamp())
        for as_of, outcome, size, step, start, metric, value, lower, upper, n in self._rows:
            if as_of > now_s:
                break
            window = Window(timedelta(seconds=size), timedelta(seconds=step))
            measure = Measure(self._model, outcome, TimeOf.PREDICTION, window, "", "", metric)
            found[metric][measure][start] = Measured(start, value, lower, upper, n, None)
        return Measurements(
            {
                metric: {measure: [each for _, each in sorted(windows.items())] for measure, windows in of.items()}
                for metric, of in found.items()
            },
            {self._model: now_s},
        )
