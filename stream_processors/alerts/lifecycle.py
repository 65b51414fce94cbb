"""What becomes of alerts when rules were evaluated: pure, from what was known and what was found to new revisions.

An alert that keeps coming back is damped, as Nagios damps flapping: each return within an hour counts, and from the
third on it stays `recovering` for twice as long as before, up to an hour, instead of being resolved and told again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from ...schemas.alerting import Rule
from ...schemas.alerts import (
    ALERTNAME,
    SEVERITY,
    Alert,
    AlertState,
    Change,
    Details,
    Finding,
    Severity,
    fingerprint_of,
)
from ...schemas.templates import render

MOST_OF_A_RULE = 1000
"""Alerts of one rule: what it finds beyond is one alert more, which says how much that is."""

_FLAP_WINDOW = timedelta(hours=1)
_FLAPS = 3
_LONGEST_DAMPING = timedelta(hours=1)
_SHORTEST_DAMPING = timedelta(minutes=1)
_SEVERITIES = list(Severity)
_MORE = "more"


def advance(
    rules: Sequence[Rule],
    known: Mapping[str, Alert],
    findings: Iterable[Finding],
    evaluated: Collection[str],
    now: datetime,
) -> list[Alert]:
    """The new revisions, in the order of fingerprints; nothing where nothing changed.

    Args:
        known: alerts by fingerprint, the resolved ones too: they say whether one that comes back flaps.
        findings: what holds now.
        evaluated: names of rules that were evaluated without an error: alerts of others stay as they are.
    """
    by_rule = {rule.name: rule for rule in rules}
    found = _bounded(findings, by_rule)
    changed: list[Alert] = []
    for fingerprint in sorted({*found, *known}):
        alert, finding = known.get(fingerprint), found.get(fingerprint)
        rule = by_rule.get(finding.rule if finding else alert.rule if alert else "")
        if finding is not None and rule is not None:
            revision = _holds(alert, finding, rule, fingerprint, now)
        elif alert is None or alert.state is AlertState.RESOLVED:
            continue
        elif rule is None:
            revision = _end(alert, Change.RULE_GONE, now)
        elif alert.rule in evaluated:
            revision = _gone(alert, rule, now)
        else:
            continue
        if revision is not None:
            changed.append(revision)
    return changed


def annotations_of(rule: Rule, labels: Mapping[str, str], details: Details) -> dict[str, str]:
    """What people are told, from the rule's templates."""
    told = {name: render(text, labels, details) for name, text in rule.annotations.items()}
    told.setdefault("summary", details.message)
    if rule.runbook:
        told["runbook_url"] = rule.runbook
    if rule.owner:
        told["owner"] = rule.owner
    return told


def _bounded(findings: Iterable[Finding], rules: Mapping[str, Rule]) -> dict[str, Finding]:
    """By fingerprint, with the rule's labels; of one rule at most `MOST_OF_A_RULE`."""
    of_rule: dict[str, dict[str, Finding]] = defaultdict(dict)
    for finding in findings:
        rule = rules.get(finding.rule)
        if rule is not None:
            labels = {**finding.labels, **rule.labels}
            labels = {ALERTNAME: rule.name, SEVERITY: rule.severity.value} | labels
            of_rule[rule.name][fingerprint_of(labels)] = Finding(rule.name, labels, finding.details)
    chosen: dict[str, Finding] = {}
    for name, found in of_rule.items():
        # The same ones each time: by fingerprint, not by what they measured.
        kept = sorted(found)[:MOST_OF_A_RULE]
        chosen |= {fingerprint: found[fingerprint] for fingerprint in kept}
        if len(found) > len(kept):
            first = found[kept[0]].labels
            shared = {each: first[each] for each in (ALERTNAME, SEVERITY, "category") if each in first}
            labels = {**shared, _MORE: "true"}
            left = len(found) - len(kept)
            details = Details(f"{name} found {left:,} more than the {len(kept):,} that are kept", value=float(left))
            chosen[fingerprint_of(labels)] = Finding(name, labels, details)
    return chosen


def _holds(alert: Alert | None, finding: Finding, rule: Rule, fingerprint: str, now: datetime) -> Alert | None:
    if alert is None or alert.state is AlertState.RESOLVED:
        return _begin(alert, finding, rule, fingerprint, now)
    annotations = annotations_of(rule, finding.labels, finding.details)
    more = {"labels": dict(finding.labels), "annotations": annotations, "details": finding.details}
    match alert.state:
        case AlertState.PENDING if now - alert.active_at >= rule.held_for:
            return _revised(alert, now, state=AlertState.FIRING, change=Change.HELD, fired_at=now, **more)
        case AlertState.RECOVERING:
            flaps = _recent((*alert.flaps, now), now)
            return _revised(alert, now, state=AlertState.FIRING, change=Change.BACK, gone_at=None, flaps=flaps, **more)
        case _:
            before = _SEVERITIES.index(alert.severity)
            if _SEVERITIES.index(Severity(finding.labels[SEVERITY])) < before:
                return _revised(alert, now, change=Change.WORSE, **more)
            return None


def _begin(former: Alert | None, finding: Finding, rule: Rule, fingerprint: str, now: datetime) -> Alert:
    fires = rule.held_for <= timedelta()
    came_back = former is not None and former.fired_at is not None
    return Alert(
        fingerprint=fingerprint,
        rule=rule.name,
        state=AlertState.FIRING if fires else AlertState.PENDING,
        change=Change.FOUND,
        labels=dict(finding.labels),
        annotations=annotations_of(rule, finding.labels, finding.details),
        details=finding.details,
        active_at=now,
        fired_at=now if fires else None,
        updated_at=now,
        revision=1 if former is None else former.revision + 1,
        flaps=_recent((*former.flaps, now), now) if former is not None and came_back else (),
    )


def _gone(alert: Alert, rule: Rule, now: datetime) -> Alert | None:
    if alert.state is AlertState.PENDING:
        return _end(alert, Change.DROPPED, now)
    lasting = max(rule.keep_firing_for, damping(alert.flaps, now))
    if alert.state is AlertState.FIRING:
        if lasting <= timedelta():
            return _end(alert, Change.OVER, now)
        return _revised(alert, now, state=AlertState.RECOVERING, change=Change.GONE, gone_at=now)
    since = alert.gone_at or alert.updated_at
    return _end(alert, Change.OVER, now) if now - since >= lasting else None


def damping(flaps: Sequence[datetime], now: datetime) -> timedelta:
    """How long an alert that came back at these instants has to stay away, whatever its rule says.

    >>> at = datetime(2026, 1, 1)
    >>> [str(damping([at] * times, at)) for times in (2, 3, 4, 20)]
    ['0:00:00', '0:01:00', '0:02:00', '1:00:00']
    """
    beyond = len(_recent(flaps, now)) - _FLAPS
    if beyond < 0:
        return timedelta()
    return min(_LONGEST_DAMPING, _SHORTEST_DAMPING * 2 ** min(beyond, 10))


def _recent(flaps: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    return tuple(at for at in flaps if now - at <= _FLAP_WINDOW)[-16:]


def _end(alert: Alert, change: Change, now: datetime) -> Alert:
    return _revised(alert, now, state=AlertState.RESOLVED, change=change, gone_at=alert.gone_at or now, resolved_at=now)


def _revised(alert: Alert, now: datetime, **changes: object) -> Alert:
    return msgspec.structs.replace(alert, updated_at=now, revision=alert.revision + 1, **changes)
