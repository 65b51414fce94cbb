"""`OfGap`: what was estimated before labels came is off by more than a bound, now that some have come."""

from collections.abc import Iterator

from ....infra.clickhouse import quote
from ....schemas.alerting import OfGap, Rule
from ....schemas.alerts import Category, Details, Finding
from .facts import Measure, Measured, Measurements
from .metric import oldest_end
from .wording import at, command, finding, is_meant, is_surely_wrong, minute, number, of_model, side, sureness

SUFFIX = "_gap"


def findings(rule: Rule, condition: OfGap, measurements: Measurements) -> Iterator[Finding]:
    """A finding a series, for the newest window with enough labels: realised minus estimated, all of its interval."""
    for measure, windows in measurements.by_metric.get(condition.metric + SUFFIX, {}).items():
        enough = [window for window in windows if window.n >= condition.min_n]
        if measure.segment_key or not enough or not is_meant(rule, measure.model):
            continue
        newest, bound = enough[-1], condition.bound
        if newest.start + measure.window.size_s < oldest_end(
            measure.window.size_s, measurements.newest_s.get(measure.model, 0)
        ):
            continue
        if is_surely_wrong(bound, newest.value, newest.lower, newest.upper):
            yield _finding(rule, condition, measure, newest)


def _finding(rule: Rule, condition: OfGap, measure: Measure, window: Measured) -> Finding:
    begin = at(window.start)
    how = "better" if window.value > 0 else "worse"
    details = Details(
        message=f"{condition.metric} of {of_model(measure.model, measure.outcome)} turned out by "
        f"{number(abs(window.value))} {how} than was estimated before its labels came, {side(condition.bound)}, "
        f"in the {measure.window} from {minute(begin)} {sureness(window.lower, window.upper, window.n, None)}: "
        "scores may no longer mean what they did",
        value=window.value,
        threshold=condition.bound.value,
        expected=0.0,
        lower=window.lower,
        upper=window.upper,
        n=window.n,
        since=begin,
        until=begin + measure.window.size,
        query="SELECT window_start, metric, value, lower, upper, n, as_of FROM estimates_current "
        f"WHERE model = {quote(measure.model)} AND outcome = {quote(measure.outcome)} AND segment_key = '' "
        f"AND window_seconds = {measure.window.size_s} AND startsWith(metric, {quote(condition.metric)}) "
        "ORDER BY window_start DESC, metric LIMIT 50",
        command=command(
            "metrics", measure.model, "--show", "estimates", "--outcome", measure.outcome, "--window",
            str(measure.window), "--from", begin, "--to", begin + measure.window.size,
        ),
    )  # fmt: skip
    return finding(
        rule, Category.QUALITY, details, model=measure.model, outcome=measure.outcome,
        metric=condition.metric + SUFFIX, window=str(measure.window),
    )  # fmt: skip
