"""Alerts as rows to print, one of them whole, and what became of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from ..infra.clickhouse import ClickHouse, quote, quoted
from ..schemas.alerting import Matcher
from ..schemas.alerts import ALERTNAME, MODEL, Alert, AlertState, Severity
from ..schemas.errors import LoopwatchError
from ..schemas.notifications import Acknowledgement, Silence
from ..stream_processors.alerts.silences import silence_of
from ..stream_processors.alerts.store import read_alerts
from ..stream_processors.lookups import instant
from ..stream_processors.records import micros_of
from .tabular import Report, print_table

_SHORT = 8
_SEVERITIES = list(Severity)
_STATES = [AlertState.FIRING, AlertState.RECOVERING, AlertState.PENDING, AlertState.RESOLVED]


class Wanted(Struct, frozen=True):
    """Which alerts."""

    model: str | None = None
    states: tuple[AlertState, ...] = (AlertState.PENDING, AlertState.FIRING, AlertState.RECOVERING)
    severity: Severity | None = None
    print_begins: str = ""

    @property
    def condition(self) -> str:
        """Of rows of `alerts_current`."""
        said = [f"startsWith(fingerprint, {quote(self.print_begins)})", f"state IN ({quoted(self.states)})"]
        if self.model is not None:
            said.append(f"model = {quote(self.model)}")
        if self.severity is not None:
            said.append(f"severity = {quote(self.severity.value)}")
        return " AND ".join(said)


def alerts_of(clickhouse: ClickHouse, wanted: Wanted, limit: int) -> list[Alert]:
    """Those that fire first, the most severe of them first."""
    found = read_alerts(clickhouse, wanted.condition, limit)
    return sorted(
        found, key=lambda alert: (_STATES.index(alert.state), _SEVERITIES.index(alert.severity), alert.active_at)
    )


def one_alert(clickhouse: ClickHouse, print_begins: str) -> Alert:
    """The one whose fingerprint begins so.

    Raises:
        LoopwatchError: there is none, or more than one.
    """
    found = read_alerts(clickhouse, f"startsWith(fingerprint, {quote(print_begins)})", 2)
    if not found:
        raise LoopwatchError(f"{print_begins}: there is no such alert; `loopwatch alerts --all` has them")
    if len(found) > 1:
        raise LoopwatchError(f"{print_begins}: more than one alert begins so; write more of it")
    return found[0]


def overview(
    alerts: Sequence[Alert], silences: Sequence[Silence], acknowledged: Sequence[Acknowledgement], now: datetime
) -> Report:
    """A row an alert."""
    by_alert = {(each.fingerprint, each.fired_at): each.author for each in acknowledged}
    rows: list[list[Any]] = []
    for alert in alerts:
        silence = silence_of(alert.labels, silences, now)
        author = by_alert.get((alert.fingerprint, alert.fired_at)) if alert.fired_at else None
        notes = [f"acknowledged by {author}"] if author else []
        notes += [f"silenced by {silence.author} until {_minute(silence.ends_at)}"] if silence else []
        since = alert.fired_at or alert.active_at
        rows.append(
            [
                alert.fingerprint[:_SHORT], alert.severity.value, alert.state.value,
                _span((alert.resolved_at or now) - since), alert.labels.get(MODEL, ""), alert.labels[ALERTNAME],
                alert.annotations.get("summary") or alert.details.message, ", ".join(notes),
            ]
        )  # fmt: skip
    return Report(("id", "severity", "state", "for", "model", "alert", "what", ""), rows)


def whole(alerts: Sequence[Alert]) -> Report:
    """Everything, for programs."""
    names = Alert.__struct_fields__
    return Report(names, [[msgspec.to_builtins(getattr(alert, name)) for name in names] for alert in alerts])


def print_alert(clickhouse: ClickHouse, alert: Alert) -> None:
    """One alert, with its evidence, its life, who was told, and where to look on."""
    details = alert.details
    print(f"{details.message}\n")
    lines = {
        "id": alert.fingerprint,
        "rule": alert.rule,
        "state": f"{alert.state.value} since {_minute(alert.updated_at)} UTC",
        "severity": alert.severity.value,
        "labels": ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items())),
        "value": _value(details.value, details.lower, details.upper, details.threshold),
        "from": f"{details.n:,} values" if details.n else "",
        "complete": "" if details.completeness is None else f"{details.completeness:.0%} of the labels",
        "began": "" if details.since is None else f"{_minute(details.since)} UTC (event time)",
    }
    for name, text in (lines | _annotations(alert.annotations)).items():
        if text:
            print(f"{name:<12} {text}")
    if details.shifts:
        print()
        rows = [[each.name, each.expected, each.seen, each.seen - each.expected] for each in details.shifts]
        print_table(("evidence", "expected", "seen", "difference"), rows)
    if details.examples:
        print("Predictions, for example: " + ", ".join(details.examples))
    print_table(*_life(clickhouse, alert.fingerprint))
    told = _told(clickhouse, alert.fingerprint)
    if told.rows:
        print_table(*told)
    if details.command:
        print(f"Look on with\n  {details.command}")
    if details.query:
        print(f"or, by `loopwatch sql -`:\n{details.query}")


def history(clickhouse: ClickHouse, wanted: Wanted, since: datetime | None, limit: int) -> Report:
    """What changed, the latest first: a row a revision."""
    after = "1" if since is None else f"updated_at >= {instant(micros_of(since))}"
    rows = clickhouse.rows(
        "SELECT updated_at, fingerprint, severity, state, change, model, labels['alertname'], message "
        f"FROM {clickhouse.database}.alerts WHERE {wanted.condition} AND {after} "
        f"ORDER BY updated_at DESC, fingerprint, revision DESC LIMIT {limit}"
    )
    return Report(
        ("at", "id", "severity", "state", "change", "model", "alert", "what"),
        [[row[0].replace(tzinfo=UTC), row[1][:_SHORT], *row[2:]] for row in rows],
    )


def silences_report(silences: Sequence[Silence]) -> Report:
    """A row a silence."""
    return Report(
        ("id", "alerts", "author", "reason", "from", "until"),
        [
            [each.silence_id[:_SHORT], ", ".join(map(_said, each.matchers)), each.author, each.reason,
             _minute(each.begins_at), _minute(each.ends_at)]
            for each in silences
        ],
    )  # fmt: skip


def _life(clickhouse: ClickHouse, fingerprint: str) -> Report:
    rows = clickhouse.rows(
        f"SELECT updated_at, state, change, value, message FROM {clickhouse.database}.alerts "
        f"WHERE fingerprint = {quote(fingerprint)} ORDER BY revision DESC LIMIT 20"
    )
    return Report(
        ("at (UTC)", "state", "change", "value", "what"), [[_minute(row[0]), *row[1:]] for row in reversed(rows)]
    )


def _told(clickhouse: ClickHouse, fingerprint: str) -> Report:
    database = clickhouse.database
    rows = clickhouse.rows(
        f"SELECT n.created_at, n.receiver, n.state, n.attempts, d.result, d.error "
        f"FROM (SELECT * FROM {database}.notifications FINAL WHERE mapContains(told, {quote(fingerprint)}) "
        f"ORDER BY created_at DESC LIMIT 20) AS n LEFT JOIN "
        f"(SELECT notification_id, argMax(result, attempt) AS result, argMax(error, attempt) AS error "
        f"FROM {database}.alert_deliveries GROUP BY notification_id) AS d ON n.notification_id = d.notification_id "
        "ORDER BY n.created_at"
    )
    return Report(
        ("told at (UTC)", "receiver", "state", "tries", "last try", ""), [[_minute(r[0]), *r[1:]] for r in rows]
    )


def _value(value: float | None, lower: float | None, upper: float | None, threshold: float | None) -> str:
    if value is None:
        return ""
    surely = "" if lower is None or upper is None else f" (95 %: {lower:.4g} to {upper:.4g})"
    return f"{value:.4g}{surely}" + ("" if threshold is None else f", bound {threshold:.4g}")


def _annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in sorted(annotations.items()) if text}


def _said(matcher: Matcher) -> str:
    return f'{matcher.label}{matcher.match.value}"{matcher.value}"'


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _span(span: timedelta) -> str:
    """How long, in the largest unit that fits.

    >>> _span(timedelta(seconds=5)), _span(timedelta(minutes=90)), _span(timedelta(days=3))
    ('5s', '90m', '3d')
    """
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
