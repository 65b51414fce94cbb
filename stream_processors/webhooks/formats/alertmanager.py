"""Alertmanager's webhook payload, version 4, so that its receivers work; what we know beyond is under `loopwatch`.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from ....schemas.alerts import Alert
from ....schemas.notifications import Notice

VERSION = "4"
_NEVER = "0001-01-01T00:00:00Z"


def body(notice: Notice, shown: Sequence[Alert], external_url: str) -> bytes:
    """The payload as JSON."""
    firing = any(alert.is_told for alert in notice.alerts)
    document = {
        "version": VERSION,
        "groupKey": notice.group_key,
        "truncatedAlerts": len(notice.alerts) - len(shown),
        "status": "firing" if firing else "resolved",
        "receiver": notice.receiver,
        "groupLabels": dict(notice.group_labels),
        "commonLabels": _common([alert.labels for alert in shown]),
        "commonAnnotations": _common([alert.annotations for alert in shown]),
        "externalURL": external_url,
        "alerts": [_alert(alert, external_url) for alert in shown],
        "loopwatch": {"notification_id": notice.notification_id, "occasion": notice.occasion.value},
    }
    return msgspec.json.encode(document)


def link_to(alert: Alert, external_url: str) -> str:
    """Where the alert is shown; empty where nobody said where that is."""
    return f"{external_url.rstrip('/')}/alerts/{quote(alert.fingerprint)}" if external_url else ""


def _alert(alert: Alert, external_url: str) -> dict[str, Any]:
    ends_at = alert.resolved_at if not alert.is_told else None
    return {
        "status": "firing" if alert.is_told else "resolved",
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": _instant(alert.fired_at or alert.active_at),
        "endsAt": _NEVER if ends_at is None else _instant(ends_at),
        "generatorURL": link_to(alert, external_url),
        "fingerprint": alert.fingerprint,
        "loopwatch": _evidence(alert),
    }


def _evidence(alert: Alert) -> dict[str, Any]:
    """What is known, by name; nothing of what is not."""
    known = msgspec.to_builtins(alert.details) | {"revision": alert.revision, "change": alert.change.value}
    return {name: value for name, value in known.items() if value not in (None, "", [])}


def _common(each: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = each
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
