"""PagerDuty's Events API v2: one incident a group, triggered while something in it fires, resolved when nothing does.

A page for each alert would wake somebody ten times for one bad deployment. The routing key is a secret: it is put in
when the event is sent. https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from ....schemas.alerts import Alert, Severity
from ....schemas.notifications import Notice
from .alertmanager import link_to
from .slack import title_of

_LONGEST_SUMMARY = 1024
_SEVERITIES = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}


def body(notice: Notice, shown: Sequence[Alert], external_url: str) -> bytes:
    """The event as JSON, without its routing key."""
    first = shown[0]
    key = hashlib.sha256(notice.group_key.encode()).hexdigest()
    event: dict[str, Any] = {
        "event_action": "trigger" if notice.firing_after(notice.alerts) else "resolve",
        "dedup_key": f"loopwatch/{notice.receiver[:128]}/{key}",
        "client": "Loopwatch",
        "payload": {
            "summary": f"{title_of(notice)}: {first.annotations.get('summary', '')}"[:_LONGEST_SUMMARY],
            "source": first.labels.get("model") or "loopwatch",
            "severity": _SEVERITIES[min((alert.severity for alert in notice.alerts), key=list(Severity).index)],
            "timestamp": msgspec.to_builtins(first.fired_at or first.active_at),
            "component": first.labels.get("alertname", ""),
            "group": ", ".join(value for value in notice.group_labels.values() if value),
            "class": first.labels.get("category", ""),
            "custom_details": {
                "alerts": [
                    {
                        "status": "firing" if alert.is_told else "resolved", "fingerprint": alert.fingerprint,
                        "labels": alert.labels, "summary": alert.annotations.get("summary", ""),
                        "message": alert.details.message, "command": alert.details.command,
                    }
                    for alert in shown
                ],
                "truncated": len(notice.alerts) - len(shown),
            },
        },
    }  # fmt: skip
    link = link_to(first, external_url)
    if link:
        event["client_url"] = link
    runbook = first.annotations.get("runbook_url", "")
    if runbook:
        event["links"] = [{"href": runbook, "text": "runbook"}]
    return msgspec.json.encode(event)


def with_routing_key(body: bytes, routing_key: str) -> bytes:
    """What is sent.

    >>> with_routing_key(b'{"event_action":"resolve"}', "R1")
    b'{"event_action":"resolve","routing_key":"R1"}'
    """
    return msgspec.json.encode(msgspec.json.decode(body) | {"routing_key": routing_key})
