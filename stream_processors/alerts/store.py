"""What alerting remembers, in ClickHouse: alerts, what groups were told, silences and acknowledgements.

What is decided is stored first, in blocks that only the holder of the lease can insert, and told then.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from ...infra.clickhouse import ClickHouse, quote
from ...schemas.alerting import Matcher
from ...schemas.alerts import MODEL, Alert, Details
from ...schemas.notifications import (
    Acknowledgement,
    Attempt,
    Notification,
    Silence,
)
from ..lookups import instant
from ..records import micros_of
from ..sink.inserts import Inserter, token_of
from .lease import ALERTING

MOST_ALERTS = 50_000
"""Alerts that are read when alerting is taken over, those that fire first."""
MOST_PENDING = 10_000
"""Notifications on their way that are read at once, the oldest first."""
MOST_SILENCES = 10_000

_INSTANT = pa.timestamp("us", "UTC")
_TEXTS = pa.map_(pa.string(), pa.string())
_ALERTS = pa.schema(
    [
        ("fingerprint", pa.string()), ("revision", pa.uint64()), ("rule", pa.string()), ("model", pa.string()),
        ("severity", pa.string()), ("state", pa.string()), ("change", pa.string()), ("labels", _TEXTS),
        ("annotations", _TEXTS), ("value", pa.float64()), ("message", pa.string()), ("details", pa.string()),
        ("flaps", pa.list_(_INSTANT)), ("active_at", _INSTANT), ("fired_at", _INSTANT), ("gone_at", _INSTANT),
        ("resolved_at", _INSTANT), ("updated_at", _INSTANT),
    ]
)  # fmt: skip
_NOTIFICATIONS = pa.schema(
    [
        ("notification_id", pa.string()), ("receiver", pa.string()), ("group_key", pa.string()),
        ("state", pa.string()), ("told", pa.map_(pa.string(), pa.uint64())), ("firing", pa.list_(pa.string())),
        ("left_out", pa.uint32()), ("body", pa.string()), ("attempts", pa.uint32()), ("next_at", _INSTANT),
        ("created_at", _INSTANT), ("updated_at", _INSTANT),
    ]
)  # fmt: skip
_ATTEMPTS = pa.schema(
    [
        ("notification_id", pa.string()), ("attempt", pa.uint32()), ("receiver", pa.string()),
        ("result", pa.string()), ("status", pa.uint16()), ("error", pa.string()), ("duration_ms", pa.float64()),
        ("attempted_at", _INSTANT),
    ]
)  # fmt: skip
_SILENCES = pa.schema(
    [
        ("silence_id", pa.string()),
        ("matchers", pa.list_(pa.struct([("label", pa.string()), ("match", pa.string()), ("value", pa.string())]))),
        ("author", pa.string()), ("reason", pa.string()), ("begins_at", pa.timestamp("ms", "UTC")),
        ("ends_at", pa.timestamp("ms", "UTC")), ("_written_at", _INSTANT),
    ]
)  # fmt: skip
_ACKNOWLEDGEMENTS = pa.schema(
    [
        ("fingerprint", pa.string()), ("fired_at", _INSTANT), ("author", pa.string()), ("comment", pa.string()),
        ("_written_at", _INSTANT),
    ]
)  # fmt: skip
_READ_ALERTS = [name for name in _ALERTS.names if name not in ("model", "severity", "value", "message")]


class AlertStore:
    """Writes for the holder of the lease: the inserter's fence refuses anybody else's blocks."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter

    def store_alerts(self, alerts: Sequence[Alert]) -> None:
        """A row each.

        Raises:
            FencedError: another process alerts now; nothing was stored.
            ServiceUnavailable: ClickHouse doesn't answer.
        """
        rows = [
            msgspec.structs.asdict(alert)
            | {
                "model": alert.labels.get(MODEL, ""), "severity": alert.severity.value, "state": alert.state.value,
                "change": alert.change.value, "labels": list(alert.labels.items()),
                "annotations": list(alert.annotations.items()), "value": alert.details.value,
                "message": alert.details.message, "details": msgspec.json.encode(alert.details).decode(),
            }
            for alert in alerts
        ]  # fmt: skip
        self._insert("alerts", rows, _ALERTS, [f"{alert.fingerprint}:{alert.revision}" for alert in alerts])

    def store_notifications(self, notifications: Sequence[Notification], now: datetime) -> None:
        """A row each, in place of the one before. Raises as `store_alerts` does."""
        rows = [
            msgspec.structs.asdict(each)
            | {"state": each.state.value, "told": list(each.told.items()), "updated_at": now}
            for each in notifications
        ]
        self._insert(
            "notifications", rows, _NOTIFICATIONS,
            [f"{each.notification_id}:{each.state}:{each.attempts}:{now}" for each in notifications],
        )  # fmt: skip

    def store_attempts(self, attempts: Sequence[Attempt]) -> None:
        """A row each. Raises as `store_alerts` does."""
        rows = [msgspec.structs.asdict(each) | {"result": each.result.value} for each in attempts]
        self._insert(
            "alert_deliveries", rows, _ATTEMPTS,
            [f"{each.notification_id}:{each.attempt}:{each.attempted_at}" for each in attempts],
        )  # fmt: skip

    def _insert(self, table: str, rows: Sequence[dict[str, Any]], schema: pa.Schema, names: Sequence[str]) -> None:
        if rows:
            token = token_of([table, *names])
            self._inserter.insert(table, pa.Table.from_pylist(rows, schema), token, {ALERTING})


def read_alerts(clickhouse: ClickHouse, which: str, most: int) -> list[Alert]:
    """Alerts as they are now; `which` is a condition on `alerts_current`. Those that fire, and the latest, first."""
    rows = clickhouse.rows(
        f"SELECT {', '.join(_READ_ALERTS)} FROM {clickhouse.database}.alerts_current WHERE {which} "
        f"ORDER BY state = 'resolved', updated_at DESC, fingerprint LIMIT {most}"
    )
    return [alert_of(dict(zip(_READ_ALERTS, row, strict=True))) for row in rows]


def read_living(clickhouse: ClickHouse, since: datetime) -> list[Alert]:
    """Alerts that aren't over, and those that were resolved since."""
    return read_alerts(clickhouse, f"(state != 'resolved' OR updated_at > {_literal(since)})", MOST_ALERTS)


def alert_of(row: dict[str, Any]) -> Alert:
    """An alert from a row of table `alerts`."""
    details = msgspec.json.decode(row["details"], type=Details)
    flaps = [each.replace(tzinfo=UTC) for each in row["flaps"]]
    return msgspec.convert({**_aware(row), "details": details, "flaps": flaps}, Alert)


def read_last_told(clickhouse: ClickHouse, since: datetime) -> list[Notification]:
    """The last notification of each receiver and group, whatever became of it, without what was sent."""
    which = f"created_at > {_literal(since)}"
    order = "ORDER BY created_at DESC, notification_id LIMIT 1 BY receiver, group_key"
    return _read_notifications(clickhouse, which, order, body="''")


def read_pending(clickhouse: ClickHouse, most: int = MOST_PENDING) -> list[Notification]:
    """Notifications on their way, the oldest first."""
    return _read_notifications(clickhouse, "state = 'pending'", f"ORDER BY created_at, notification_id LIMIT {most}")


def read_silences(clickhouse: ClickHouse, now: datetime) -> list[Silence]:
    """Those that aren't over."""
    return [
        msgspec.convert({**_aware(row), "matchers": _matchers(row["matchers"])}, Silence)
        for row in _rows(
            clickhouse, Silence.__struct_fields__, "silences",
            f"ends_at > {_literal(now)} AND ends_at > begins_at ORDER BY begins_at, silence_id LIMIT {MOST_SILENCES}",
        )
    ]  # fmt: skip


def read_acknowledgements(clickhouse: ClickHouse, since: datetime) -> list[Acknowledgement]:
    """Those of alerts that fired since."""
    columns, which = Acknowledgement.__struct_fields__, f"fired_at >= {_literal(since)}"
    return [
        msgspec.convert(_aware(row), Acknowledgement) for row in _rows(clickhouse, columns, "acknowledgements", which)
    ]


def store_silence(inserter: Inserter, silence: Silence, now: datetime) -> None:
    """A row in place of the one before. Anybody may: raises ServiceUnavailable if ClickHouse doesn't answer."""
    row = msgspec.to_builtins(silence, builtin_types=(datetime,)) | {"_written_at": now}
    token = token_of(["silences", silence.silence_id, str(now)])
    inserter.insert("silences", pa.Table.from_pylist([row], _SILENCES), token, ())


def store_acknowledgement(inserter: Inserter, said: Acknowledgement, now: datetime) -> None:
    """A row in place of the one before. Raises as `store_silence` does."""
    row = msgspec.structs.asdict(said) | {"_written_at": now}
    token = token_of(["acknowledgements", said.fingerprint, str(now)])
    inserter.insert("acknowledgements", pa.Table.from_pylist([row], _ACKNOWLEDGEMENTS), token, ())


def revive_dead(clickhouse: ClickHouse, id_begins: str, receiver: str, since: datetime | None, now: datetime) -> int:
    """Put notifications that were given up on their way again, to be given up after as long as before."""
    database = clickhouse.database
    said = ["state = 'dead'", f"startsWith(notification_id, {quote(id_begins)})"]
    said += [f"receiver = {quote(receiver)}"] if receiver else []
    said += [f"created_at >= {_literal(since)}"] if since is not None else []
    which = " AND ".join(said)
    ((n,),) = clickhouse.rows(f"SELECT count() FROM {database}.notifications FINAL WHERE {which}")
    clickhouse.command(
        f"INSERT INTO {database}.notifications (notification_id, receiver, group_key, state, told, firing, "
        "left_out, body, attempts, next_at, created_at, updated_at) "
        "SELECT notification_id, receiver, group_key, 'pending', told, firing, left_out, body, attempts, "
        f"{_literal(now)}, {_literal(now)}, {_literal(now)} "
        f"FROM {database}.notifications FINAL WHERE {which}"
    )
    return int(n)


def _read_notifications(clickhouse: ClickHouse, which: str, order: str, body: str = "body") -> list[Notification]:
    columns = [f"{body} AS body" if name == "body" else name for name in Notification.__struct_fields__]
    rows = clickhouse.rows(
        f"SELECT {', '.join(columns)} FROM {clickhouse.database}.notifications FINAL WHERE {which} {order}"
    )
    named = (dict(zip(Notification.__struct_fields__, row, strict=True)) for row in rows)
    return [msgspec.convert(_aware(row), Notification) for row in named]


def _rows(clickhouse: ClickHouse, columns: Sequence[str], table: str, which: str) -> list[dict[str, Any]]:
    sql = f"SELECT {', '.join(columns)} FROM {clickhouse.database}.{table} FINAL WHERE {which}"
    return [dict(zip(columns, row, strict=True)) for row in clickhouse.rows(sql)]


def _aware(row: dict[str, Any]) -> dict[str, Any]:
    """Instants are the wall clock's; ClickHouse hands them out without a zone."""
    return {name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for name, value in row.items()}


def _matchers(rows: Sequence[Any]) -> list[dict[str, str]]:
    return [row if isinstance(row, dict) else dict(zip(Matcher.__struct_fields__, row, strict=True)) for row in rows]


def _literal(at: datetime) -> str:
    return instant(micros_of(at))
