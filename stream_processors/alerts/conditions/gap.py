"""What was estimated before labels came, and what they then said: of table `estimates`."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ....infra.clickhouse import ClickHouse, quoted
from ....schemas.alerting import OfGap, Rule
from ....schemas.alerts import Category, Details, Finding
from ...lookups import instant
from ...records import micros_of
from .found import aware, command, finding, is_about, minute

_LOOK_BACK = timedelta(days=2)
_SUFFIX = "_gap"


def find_gaps(clickhouse: ClickHouse, rules: Sequence[Rule], now: datetime) -> Iterator[Finding]:
    """The newest window of each model and outcome with enough labels, where the gap is surely none by chance."""
    names = sorted({_condition(rule).metric + _SUFFIX for rule in rules})
    least = min(_condition(rule).min_n for rule in rules)
    rows = clickhouse.rows(
        "SELECT model, outcome, window_start, window_seconds, metric, value, lower, upper, n "
        f"FROM {clickhouse.database}.estimates WHERE _evaluated_at > {instant(micros_of(now - _LOOK_BACK))} "
        f"AND metric IN ({quoted(names)}) AND segment_key = '' AND n >= {least} "
        "ORDER BY window_start DESC, _evaluated_at DESC LIMIT 1 BY model, outcome, metric, window_seconds"
    )
    for model, outcome, start, seconds, metric, value, lower, upper, n in rows:
        for rule in rules:
            condition = _condition(rule)
            is_real = lower is not None and upper is not None and (lower > 0 or upper < 0)
            if (
                is_about(rule, model)
                and metric == condition.metric + _SUFFIX
                and n >= condition.min_n
                and condition.bound.comparison.holds(value, condition.bound.value)
                and is_real
            ):
                begin, which = aware(start), "lower" if value < 0 else "higher"
                yield finding(
                    rule,
                    Category.QUALITY,
                    Details(
                        f"{condition.metric} of {model} ({outcome}) is {abs(value):.4g} {which} than its scores "
                        f"promised (95 %: {lower:.4g} to {upper:.4g}), by {int(n):,} labels from {minute(begin)} on",
                        value=value, threshold=condition.bound.value, expected=0.0, lower=lower, upper=upper, n=int(n),
                        since=begin, until=begin + timedelta(seconds=seconds),
                        command=command("metrics", model, "--outcome", outcome, "--show", "estimates"),
                    ),
                    model=model, outcome=outcome, metric=condition.metric,
                )  # fmt: skip


def _condition(rule: Rule) -> OfGap:
    assert isinstance(rule.condition, OfGap)
    return rule.condition
