"""`OfLabelDelay`: labels come later than they may, or than they did."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from ....infra.clickhouse import quote
from ....schemas.alerting import OfLabelDelay, Rule
from ....schemas.alerts import Category, Details, Finding
from .facts import Facts, Stream
from .wording import command, finding, is_meant, minute

WEEKS_BEFORE = timedelta(days=14)
_TIMES = 2.0
_LEAST_RISE_S = 60.0
_BINS_A_DOUBLING = 8


def findings(rule: Rule, condition: OfLabelDelay, facts: Facts, now: datetime) -> Iterator[Finding]:
    """A finding an outcome of a model, from labels that came in the last time."""
    begin = now - condition.within
    before = facts.delays(begin - WEEKS_BEFORE, begin) if condition.above is None else {}
    for stream, bins in facts.delays(begin, now).items():
        if not is_meant(rule, stream.model) or sum(bins.values()) < condition.min_n:
            continue
        delay_s = quantile_s(bins, condition.of)
        usual_s = quantile_s(before[stream], condition.of) if _is_enough(condition, before.get(stream)) else None
        if condition.above is not None:
            limit_s: float | None = condition.above.total_seconds()
        else:
            limit_s = None if usual_s is None else max(_TIMES * usual_s, usual_s + _LEAST_RISE_S)
        if limit_s is not None and delay_s > limit_s:
            yield _finding(rule, condition, stream, sum(bins.values()), delay_s, limit_s, usual_s, begin)


def _is_enough(condition: OfLabelDelay, bins: Mapping[int, int] | None) -> bool:
    return bins is not None and sum(bins.values()) >= condition.min_n


def quantile_s(bins: Mapping[int, int], of: float) -> float:
    """A quantile (s) of delays, by their bins: at most 9 % above it.

    >>> round(quantile_s({bin_of(3600.0): 10}, 0.9) / 3600, 1)
    1.0
    """
    rank, passed = of * sum(bins.values()), 0
    for bin_, n in sorted(bins.items()):
        passed += n
        if passed >= rank:
            return 2 ** ((bin_ + 1) / _BINS_A_DOUBLING) - 1
    return 0.0


def bin_of(delay_s: float) -> int:
    """The bin of a delay, as table `arrivals` has it."""
    return min(255, int(_BINS_A_DOUBLING * math.log2(1 + max(0.0, delay_s))))


def _finding(
    rule: Rule, condition: OfLabelDelay, stream: Stream, n: int, delay_s: float, limit_s: float, usual_s: float | None,
    since: datetime,
) -> Finding:  # fmt: skip
    share = f"{1 - condition.of:.0%}"
    came = f"take longer than {_long(delay_s)}"
    before = "" if usual_s is None else f", where {_long(usual_s)} was usual in the weeks before"
    details = Details(
        message=f"{share} of the labels of {stream.model} ({stream.outcome}) that came since {minute(since)} {came}"
        f"{before}, above {_long(limit_s)} (n = {n:,}): metrics of new predictions wait for them",
        value=delay_s,
        threshold=limit_s,
        expected=usual_s,
        n=n,
        since=since,
        query="SELECT toStartOfHour(assumeNotNull(action_ts)) AS hour, count() AS labels, "
        f"quantile({condition.of})(delay_ms) / 1000 AS delay_s FROM feedback_current "
        f"WHERE model = {quote(stream.model)} AND outcome = {quote(stream.outcome)} AND action_ts IS NOT NULL "
        "GROUP BY hour ORDER BY hour DESC LIMIT 48",
        command=command("metrics", stream.model, "--outcome", stream.outcome, "--show", "estimates"),
    )
    return finding(rule, Category.DATA, details, model=stream.model, outcome=stream.outcome, subject="label_delay")


def _long(seconds: float) -> str:
    for unit, of_unit in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * of_unit:
            return f"{seconds / of_unit:.1f} {unit}"
    return f"{seconds:.0f} seconds"
