"""`OfBudget`: a model costs more than its budget allows, over a long time and still over a short one."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from ....infra.clickhouse import quote
from ....schemas.alerting import OfBudget, Rule
from ....schemas.alerts import Category, Details, Finding
from .wording import command, finding, is_meant, long, number

# As in the SRE workbook: the short time is a twelfth, so that it is over soon after the cause is.
_SHORT = 12


def spans_of(condition: OfBudget) -> tuple[timedelta, timedelta]:
    """The long time and the short one."""
    return condition.within, max(timedelta(minutes=1), condition.within / _SHORT)


def findings(
    rule: Rule, condition: OfBudget, costs: Mapping[str, Mapping[timedelta, float]], now: datetime
) -> Iterator[Finding]:
    """A finding a model whose budget burns `burn` times as fast as it may. The budget is each model's own."""
    spans = spans_of(condition)
    allowed = condition.usd / condition.per.total_seconds()
    for model, usd in costs.items():
        if not is_meant(rule, model):
            continue
        rates = [usd.get(span, 0.0) / span.total_seconds() for span in spans]
        if min(rates) > condition.burn * allowed:
            yield _finding(rule, condition, model, rates, allowed, now)


def _finding(rule: Rule, condition: OfBudget, model: str, rates: list[float], allowed: float, now: datetime) -> Finding:
    since, times = now - condition.within, rates[0] / allowed
    details = Details(
        message=f"{model} cost {number(rates[0] * 3600)} USD an hour in the last {long(condition.within)} and "
        f"{number(rates[1] * 3600)} in the last {long(spans_of(condition)[1])}, {times:.1f} times the "
        f"{number(allowed * 3600)} that its budget of {number(condition.usd)} USD in {long(condition.per)} allows",
        value=rates[0] * 3600,
        threshold=condition.burn * allowed * 3600,
        expected=allowed * 3600,
        since=since,
        query="SELECT toStartOfHour(minute) AS hour, sum(usd) AS cost_usd, sum(live) AS predictions FROM arrivals "
        f"WHERE kind = 'predictions' AND model = {quote(model)} GROUP BY hour ORDER BY hour DESC LIMIT 48",
        command=command("drift", model, "--feature", "cost_usd"),
    )
    return finding(rule, Category.COST, details, model=model, subject="cost_usd", window=long(condition.within))
