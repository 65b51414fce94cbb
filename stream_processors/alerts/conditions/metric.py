"""Metrics on the wrong side of a bound: the newest window of each series that has enough in it.

Only rows that are new since the last turn are read, so a turn costs what was evaluated since, not what is stored.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from ....infra.clickhouse import ClickHouse, quoted
from ....schemas.alerting import OfMetric, Rule
from ....schemas.alerts import Category, Details, Finding
from ....schemas.durations import format_duration
from ....schemas.windows import Window
from ...live.series import KPIS
from ...lookups import instant
from ...records import micros_of
from .found import aware, command, finding, is_about, minute

MOST_SERIES = 100_000
"""Series in memory; beyond, those that changed longest ago are forgotten."""

_WINDOWS_KEPT = 30
_LOOK_BACK = timedelta(days=3)
_OVERLAP = timedelta(minutes=2)


class _Key(NamedTuple):
    model: str
    outcome: str
    time_of: str
    window_s: int
    step_s: int
    segment_key: str
    segment: str
    metric: str


class _Value(NamedTuple):
    evaluated_at: datetime
    value: float
    lower: float | None
    upper: float | None
    n: int
    completeness: float | None


class MetricConditions:
    """Remembers the latest windows of the series that rules are about."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._series: OrderedDict[_Key, dict[datetime, _Value]] = OrderedDict()
        self._read_until: datetime | None = None
        self._newest: dict[str, datetime] = {}

    def find(self, rules: Sequence[Rule], now: datetime) -> Iterator[Finding]:
        """What holds of the metrics as they are now."""
        metrics = sorted({_condition(rule).metric for rule in rules})
        since = now - _LOOK_BACK if self._read_until is None else self._read_until - _OVERLAP
        self._read(metrics, since)
        self._read_until = now
        for key, windows in self._series.items():
            for rule in rules:
                condition = _condition(rule)
                if is_about(rule, key.model) and _is_asked(condition, key):
                    yield from self._judge(rule, condition, key, windows, now)

    def _read(self, metrics: Sequence[str], since: datetime) -> None:
        rows = self._clickhouse.rows(
            "SELECT model, outcome, time_of, window_seconds, step_seconds, segment_key, segment, metric, window_start, "
            "_evaluated_at, value, lower, upper, n, completeness "
            f"FROM {self._clickhouse.database}.metrics WHERE _evaluated_at >= {instant(micros_of(since))} "
            f"AND metric IN ({quoted(metrics)}) ORDER BY window_start DESC, _evaluated_at DESC "
            "LIMIT 1 BY model, outcome, time_of, window_seconds, step_seconds, segment_key, segment, metric, "
            f"window_start LIMIT {MOST_SERIES * 4}"
        )
        for *key, window_start, evaluated_at, value, lower, upper, n, completeness in rows:
            of, start = _Key(*key), aware(window_start)
            windows = self._series.setdefault(of, {})
            windows[start] = _Value(aware(evaluated_at), value, lower, upper, int(n), completeness)
            self._series.move_to_end(of)
            end = start + timedelta(seconds=of.window_s)
            self._newest[of.model] = max(self._newest.get(of.model, end), end)
            if len(windows) > _WINDOWS_KEPT:
                del windows[min(windows)]
        while len(self._series) > MOST_SERIES:
            self._series.popitem(last=False)

    def _judge(
        self, rule: Rule, condition: OfMetric, key: _Key, windows: dict[datetime, _Value], now: datetime
    ) -> Iterator[Finding]:
        size = timedelta(seconds=key.window_s)
        looked_at = max(2 * size, timedelta(days=1))
        for start in sorted(windows, reverse=True):
            value = windows[start]
            if self._newest[key.model] - (start + size) > looked_at or now - value.evaluated_at > looked_at + size:
                return
            if value.n < condition.min_n or (value.completeness or 1.0) < condition.min_completeness:
                continue
            if _is_wrong(condition, value):
                before = [windows[each].value for each in windows if each < start]
                yield _finding(rule, condition, key, start, value, median(before) if len(before) >= 3 else None)
            return


def _condition(rule: Rule) -> OfMetric:
    assert isinstance(rule.condition, OfMetric)
    return rule.condition


def _is_asked(condition: OfMetric, key: _Key) -> bool:
    if key.metric != condition.metric or key.time_of != condition.time_of.value:
        return False
    if key.segment_key and not condition.slices:
        return False
    window = Window(timedelta(seconds=key.window_s), timedelta(seconds=key.step_s))
    return condition.outcome in ("", key.outcome) and condition.window in (None, window)


def _is_wrong(condition: OfMetric, value: _Value) -> bool:
    comparison, bound = condition.bound.comparison, condition.bound.value
    if not comparison.holds(value.value, bound):
        return False
    # Of both ends, so that it doesn't matter on which side the bound is.
    ends = [each for each in (value.lower, value.upper) if each is not None] if condition.surely else []
    return all(comparison.holds(end, bound) for end in ends)


def _finding(
    rule: Rule, condition: OfMetric, key: _Key, start: datetime, value: _Value, usual: float | None
) -> Finding:
    end = start + timedelta(seconds=key.window_s)
    window = str(Window(timedelta(seconds=key.window_s), timedelta(seconds=key.step_s)))
    side = "below" if value.value < condition.bound.value else "above"
    where = f" where {key.segment_key} is {key.segment}" if key.segment_key else ""
    surely = "" if value.lower is None or value.upper is None else f" (95 %: {value.lower:.4g} to {value.upper:.4g})"
    before = "" if usual is None else f", usually {usual:.4g}"
    complete = "" if value.completeness is None else f", {value.completeness:.0%} of its labels known"
    since, until = f"{start:%Y-%m-%dT%H:%M}", f"{end:%Y-%m-%dT%H:%M}"
    is_kpi = key.outcome == KPIS
    words = ["metrics", key.model, "--window", format_duration(timedelta(seconds=key.window_s))]
    words += [] if is_kpi else ["--outcome", key.outcome]
    return finding(
        rule,
        Category.BUSINESS if is_kpi else Category.QUALITY,
        Details(
            f"{key.metric} of {key.model}{where} is {value.value:.4g}{surely}, {side} {condition.bound.value:g}"
            f"{before}, in the {window} from {minute(start)}, of {value.n:,} values{complete}",
            value=value.value, threshold=condition.bound.value, expected=usual, lower=value.lower, upper=value.upper,
            n=value.n, completeness=value.completeness, since=start, until=end,
            query=f"SELECT window_start, value, lower, upper, n, completeness FROM metrics_current "
            f"WHERE model = {quoted([key.model])} AND outcome = {quoted([key.outcome])} "
            f"AND metric = {quoted([key.metric])} AND window_seconds = {key.window_s} "
            f"AND segment_key = {quoted([key.segment_key])} AND segment = {quoted([key.segment])} "
            "ORDER BY window_start",
            command=command(*words, "--from", since, "--to", until),
        ),
        model=key.model, outcome=key.outcome, metric=key.metric, window=window, segment_key=key.segment_key,
        segment=key.segment,
    )  # fmt: skip
