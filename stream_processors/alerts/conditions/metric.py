"""`OfMetric`: the newest window of a series that has enough in it is on the wrong side of a bound."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import takewhile
from statistics import median

from ....infra.clickhouse import quote
from ....schemas.alerting import OfMetric, Rule
from ....schemas.alerts import Category, Details, Finding
from ...evaluate.kpis import PREFIX
from .facts import Facts, Measure, Measured, Measurements
from .wording import at, command, finding, is_meant, is_surely_wrong, is_wrong, minute, number, of_model, side, sureness

_DAY_S = 86_400
_WINDOWS = 2
_USUAL = 24


def findings(rule: Rule, condition: OfMetric, measurements: Measurements, facts: Facts) -> Iterator[Finding]:
    """A finding a series. What ended long before the newest events of its model says nothing of now."""
    for measure, windows in measurements.by_metric.get(condition.metric, {}).items():
        if is_meant(rule, measure.model) and _is_asked(condition, measure):
            run = wrong_run(condition, measure, windows, measurements.newest_s.get(measure.model, 0))
            if run:
                earlier = facts.before(measure, run[0].start)
                run = [*_wrong_at_the_end(condition, earlier), *run]
                usual = [each.value for each in earlier if each.start < run[0].start and _is_enough(condition, each)]
                yield _finding(rule, condition, measure, run, median(usual[-_USUAL:]) if usual else None)


def wrong_run(condition: OfMetric, measure: Measure, windows: Sequence[Measured], newest_s: int) -> list[Measured]:
    """The newest window with enough in it and those before that are wrong as well, oldest first; none if it is not."""
    run = _wrong_at_the_end(condition, windows)
    size_s = measure.window.size_s
    return run if run and run[-1].start + size_s >= oldest_end(size_s, newest_s) else []


def oldest_end(size_s: int, newest_s: int) -> int:
    """The second by which a window must not have ended yet, to say something of a model that came so far."""
    return newest_s - max(_WINDOWS * size_s, _DAY_S)


def _wrong_at_the_end(condition: OfMetric, windows: Sequence[Measured]) -> list[Measured]:
    enough = [window for window in windows if _is_enough(condition, window)]
    return list(takewhile(lambda window: _is_wrong(condition, window), reversed(enough)))[::-1]


def _is_enough(condition: OfMetric, window: Measured) -> bool:
    return window.n >= condition.min_n and (
        window.completeness is None or window.completeness >= condition.min_completeness
    )


def _is_asked(condition: OfMetric, measure: Measure) -> bool:
    return (
        measure.time_of is condition.time_of
        and condition.window in (None, measure.window)
        and condition.outcome in ("", measure.outcome)
        and (condition.slices or not measure.segment_key)
    )


def _is_wrong(condition: OfMetric, window: Measured) -> bool:
    if condition.surely:
        return is_surely_wrong(condition.bound, window.value, window.lower, window.upper)
    return is_wrong(condition.bound, window.value)


def _finding(rule: Rule, condition: OfMetric, measure: Measure, run: list[Measured], usual: float | None) -> Finding:
    now, since = run[-1], at(run[0].start)
    until = at(now.start) + measure.window.size
    whose = of_model(measure.model, measure.outcome, measure.segment_key, measure.segment)
    moved = f"is {number(now.value)}" if usual is None else f"went from {number(usual)} to {number(now.value)}"
    details = Details(
        message=f"{measure.metric} of {whose} {moved} since {minute(since)}, {side(condition.bound)} "
        f"{sureness(now.lower, now.upper, now.n, now.completeness)}, in windows of {measure.window}",
        value=now.value,
        threshold=condition.bound.value,
        expected=usual,
        lower=now.lower,
        upper=now.upper,
        n=now.n,
        completeness=now.completeness,
        since=since,
        until=until,
        query=_query(measure),
        command=_command(measure, run),
    )
    return finding(
        rule, Category.BUSINESS if measure.metric.startswith(PREFIX) else Category.QUALITY, details,
        model=measure.model, outcome=measure.outcome, metric=measure.metric, window=str(measure.window),
        segment_key=measure.segment_key, segment=measure.segment,
    )  # fmt: skip


def _command(measure: Measure, run: list[Measured]) -> str:
    begin = at(run[0].start) - 8 * measure.window.step
    # Whole windows: what is cut off at the end would look like a change.
    end = at(run[-1].start) + max(measure.window.size, timedelta(minutes=1))
    words = ["metrics", measure.model]
    words += ["--outcome", measure.outcome] if measure.outcome else []
    words += ["--window", str(measure.window), "--by", measure.time_of.value]
    words += ["--segment", measure.segment_key] if measure.segment_key else []
    return command(*words, "--from", begin, "--to", end)


def _query(measure: Measure) -> str:
    return (
        "SELECT window_start, value, lower, upper, n, completeness FROM metrics_current "
        f"WHERE model = {quote(measure.model)} AND outcome = {quote(measure.outcome)} "
        f"AND time_of = {quote(measure.time_of.value)} AND window_seconds = {measure.window.size_s} "
        f"AND step_seconds = {measure.window.step_s} AND segment_key = {quote(measure.segment_key)} "
        f"AND segment = {quote(measure.segment)} AND metric = {quote(measure.metric)} "
        "ORDER BY window_start DESC LIMIT 50"
    )
