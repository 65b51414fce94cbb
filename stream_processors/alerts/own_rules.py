"""What alerting says of itself: that it can't see, that a rule of it fails, and that it is alive."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from ...schemas.alerting import OfAlerting, Rule
from ...schemas.alerts import (
    ALERTNAME,
    CATEGORY,
    SEVERITY,
    Alert,
    AlertState,
    Category,
    Change,
    Details,
    Finding,
    Severity,
    fingerprint_of,
)

BLIND = Rule(
    name="AlertingBlind",
    condition=OfAlerting(),
    held_for=timedelta(minutes=1),
    severity=Severity.CRITICAL,
    annotations={
        "summary": "ClickHouse does not answer: no rule can be evaluated",
        "description": "{{ message }}. What fired before is still told; what began since is not seen.",
    },
)
FAILING = Rule(
    name="RuleFailing",
    condition=OfAlerting(),
    held_for=timedelta(minutes=1),
    severity=Severity.WARNING,
    annotations={
        "summary": "rule {{ labels.rule }} can't be evaluated",
        "description": "{{ message }}. Alerts that it found before stay as they are meanwhile.",
    },
)
OWN_RULES = (BLIND, FAILING)

_HEARTBEAT = "Heartbeat"


def blind_findings(address: str, error: str) -> list[Finding]:
    """ClickHouse at `address` is away."""
    return [_finding(BLIND, f"ClickHouse at {address} does not answer: {error}", {})]


def failing_findings(errors: Mapping[str, str]) -> list[Finding]:
    """What went wrong, by rule."""
    return [_finding(FAILING, f"{rule} fails: {error}", {"rule": rule}) for rule, error in sorted(errors.items())]


def heartbeat(now: datetime) -> Alert:
    """An alert that fires as long as alerting is alive: for a receiver that notices when it is not told any more."""
    labels = {ALERTNAME: _HEARTBEAT, CATEGORY: Category.ALERTING.value, SEVERITY: Severity.INFO.value}
    return Alert(
        fingerprint=fingerprint_of(labels),
        rule=_HEARTBEAT,
        state=AlertState.FIRING,
        change=Change.FOUND,
        labels=labels,
        annotations={"summary": "alerting is alive"},
        details=Details("alerting is alive"),
        active_at=now,
        fired_at=now,
        updated_at=now,
    )


def _finding(rule: Rule, message: str, labels: Mapping[str, str]) -> Finding:
    own = {ALERTNAME: rule.name, CATEGORY: Category.ALERTING.value, SEVERITY: rule.severity.value}
    return Finding(rule.name, {**own, **labels}, Details(message[:1000]))
