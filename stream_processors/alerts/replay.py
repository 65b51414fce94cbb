"""What rules would have found and fired in the past: a simulated clock, the same conditions, the same life cycle."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from ...infra.clickhouse import ClickHouse
from ...schemas.alerting import Rule
from ...schemas.alerts import Alert, AlertState
from .conditions.context import Context
from .conditions.evaluate import evaluate
from .conditions.facts import Facts
from .lifecycle import advance


class Fired(Struct, frozen=True):
    """An alert that would have fired; `until` is when it would have been resolved, None: not by the end."""

    alert: Alert
    since: datetime
    until: datetime | None

    def lasted(self, end: datetime) -> timedelta:
        """How long it fired, up to the end of the replay."""
        return (self.until or end) - self.since


def revisions(
    clickhouse: ClickHouse, rules: Sequence[Rule], facts: Facts, since: datetime, until: datetime, every: timedelta
) -> Iterator[Alert]:
    """Every change of every alert, as `every` so long all rules are asked from `since` to `until`.

    Raises:
        RuntimeError: a rule can't be evaluated; it would have stayed as it was.
    """
    context = Context(None, facts=facts)
    known: dict[str, Alert] = {}
    now = since
    while now < until:
        found = evaluate(clickhouse, rules, context, now)
        for rule, why in found.errors.items():
            raise RuntimeError(f"rule {rule}: {why}")
        for alert in advance(rules, known, found.findings, found.evaluated, now):
            known[alert.fingerprint] = alert
            yield alert
        now += every


def fired(changes: Iterator[Alert]) -> list[Fired]:
    """Those that people would have been told of, in the order of time; each as it was when it began to fire."""
    open_: dict[str, Fired] = {}
    done: list[Fired] = []
    for alert in changes:
        before = open_.get(alert.fingerprint)
        if before is None and alert.is_told and alert.fired_at is not None:
            open_[alert.fingerprint] = Fired(alert, alert.fired_at, None)
        elif before is not None and alert.state is AlertState.RESOLVED:
            done.append(Fired(before.alert, before.since, alert.resolved_at))
            del open_[alert.fingerprint]
    return sorted([*done, *open_.values()], key=lambda each: (each.since, each.alert.fingerprint))
