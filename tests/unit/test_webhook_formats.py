"""What is sent: in the shape that receivers know, of a size that they take, and without what is not to be said."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest
from loopwatch.schemas.alerting import Format, Receiver
from loopwatch.schemas.alerts import Alert, AlertState, Change, Details, fingerprint_of
from loopwatch.schemas.notifications import Notice, Occasion
from loopwatch.schemas.signals import Shift
from loopwatch.stream_processors.webhooks.formats import notification_of
from loopwatch.stream_processors.webhooks.formats.fitting import LARGEST

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
# As Alertmanager's webhook.Message and template.Data marshal (notify/webhook/webhook.go, template/template.go).
ALERTMANAGER = {
    "type": "object",
    "required": [
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    ],
    "properties": {
        "version": {"const": "4"},
        "groupKey": {"type": "string"},
        "truncatedAlerts": {"type": "integer", "minimum": 0},
        "status": {"enum": ["firing", "resolved"]},
        "receiver": {"type": "string"},
        "groupLabels": TEXTS,
        "commonLabels": TEXTS,
        "commonAnnotations": TEXTS,
        "externalURL": {"type": "string"},
        "alerts": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": [
                    "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint",
                ],
                "properties": {
                    "status": {"enum": ["firing", "resolved"]},
                    "labels": TEXTS,
                    "annotations": TEXTS,
                    "startsAt": {"type": "string", "format": "date-time"},
                    "endsAt": {"type": "string", "format": "date-time"},
                    "generatorURL": {"type": "string"},
                    "fingerprint": {"type": "string"},
                },
            },
        },
    },
}  # fmt: skip


def alert(name: str = "Drifted", *, firing: bool = True, severity: str = "warning", **more: Any) -> Alert:
    labels = {"alertname": name, "model": "fraud", "severity": severity, "category": "drift", "subject": "country"}
    made = Alert(
        fingerprint=fingerprint_of(labels), rule=name, state=AlertState.FIRING if firing else AlertState.RESOLVED,
        change=Change.FOUND, labels=labels, annotations={"summary": "<country> & co drifted", "team": "x"},
        details=Details(
            "country drifted", value=0.0, n=4000, since=NOW, shifts=(Shift("Wonderland", 0.1, 0.4),),
            examples=("p-1",), command="loopwatch drift fraud",
        ),
        active_at=NOW, fired_at=NOW, resolved_at=None if firing else NOW + timedelta(minutes=5), updated_at=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def sent(*alerts: Alert, url: str = "https://loopwatch.example/", format_: Format = Format.WEBHOOK, **more: Any) -> Any:
    notice = Notice(
        notification_id="msg_1", receiver="r", group_key='r:{"model":"fraud"}', group_labels={"model": "fraud"},
        occasion=Occasion.NEW, alerts=alerts, news=frozenset(each.fingerprint for each in alerts if each.is_told),
        believed=frozenset(each.fingerprint for each in alerts if not each.is_told), created_at=NOW,
    )  # fmt: skip
    receiver = Receiver(name="r", url="https://h", format=format_, **more)
    notification = notification_of([receiver], url, notice)
    assert notification.notification_id == "msg_1"
    assert len(notification.told) + notification.left_out == len(alerts)
    assert len(notification.body.encode()) <= LARGEST
    return json.loads(notification.body)


def test_the_webhook_is_alertmanager_s_and_has_our_evidence_beside() -> None:
    document = sent(alert(), alert("Low", firing=False, severity="critical"))
    jsonschema.Draft202012Validator(
        ALERTMANAGER, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(document)
    assert (document["status"], document["groupLabels"]) == ("firing", {"model": "fraud"})
    assert document["commonLabels"] == {"model": "fraud", "category": "drift", "subject": "country"}
    first, second = document["alerts"]
    assert (first["status"], first["startsAt"], first["endsAt"]) == (
        "firing", "2026-05-04T12:30:00Z", "0001-01-01T00:00:00Z",
    )  # fmt: skip
    assert (second["status"], second["endsAt"]) == ("resolved", "2026-05-04T12:35:00Z")
    assert first["generatorURL"] == f"https://loopwatch.example/alerts/{first['fingerprint']}"
    assert first["loopwatch"]["message"] == "country drifted"
    assert first["loopwatch"]["value"] == 0.0
    assert first["loopwatch"]["examples"] == ["p-1"]
    assert sent(alert(firing=False))["status"] == "resolved"
    assert sent(alert(), url="")["alerts"][0]["generatorURL"] == ""


@pytest.mark.parametrize("format_", list(Format))
def test_values_of_features_are_said_only_where_that_is_allowed(format_: Format) -> None:
    assert "Wonderland" not in json.dumps(sent(alert(), format_=format_))
    shown = json.dumps(sent(alert(), send_values=True))
    assert "Wonderland" in shown


@pytest.mark.parametrize("format_", list(Format))
def test_what_is_large_is_cut_and_counted(format_: Format) -> None:
    huge = Details(
        "m" * 5000, shifts=tuple(Shift("s" * 300, 0.1, 0.2) for _ in range(50)), query="q" * 50_000,
        examples=("e" * 128,) * 100, command="c" * 4000,
    )  # fmt: skip
    alerts = [
        alert(f"A{n}", details=huge, annotations={f"{k}": "ü" * 4000 for k in range(20)}, severity="critical")
        for n in range(57)
    ]
    document = sent(*alerts, format_=format_, send_values=True)
    if format_ is Format.WEBHOOK:
        jsonschema.validate(document, ALERTMANAGER)
        assert document["truncatedAlerts"] + len(document["alerts"]) == 57


@pytest.mark.parametrize("format_", list(Format))
def test_one_alert_always_fits_whatever_a_query_named_its_model(format_: Format) -> None:
    long = alert()
    labels = {**long.labels, **{f"l{n}": "ü" * 5000 for n in range(30)}, "model": "m" * 50_000}
    texts = {f"a{n}": "ü" * 4000 for n in range(10)}
    document = sent(msgspec.structs.replace(long, labels=labels, annotations=texts), format_=format_)
    if format_ is Format.WEBHOOK:
        assert (len(document["alerts"]), document["truncatedAlerts"]) == (1, 0)


def test_slack_gets_blocks_within_its_limits_and_no_markup_of_others() -> None:
    document = sent(*(alert(f"A{n}") for n in range(30)), format_=Format.SLACK)
    assert "30 firing" in document["text"]
    assert len(document["blocks"]) <= 50
    texts = [block["text"]["text"] for block in document["blocks"]]
    assert all(len(text) <= 3000 for text in texts)
    assert "&lt;country&gt; &amp; co" in texts[1]
    assert texts[-1].startswith("and 20 more")


def test_pagerduty_gets_one_incident_a_group_that_ends_with_the_last_alert() -> None:
    trigger = sent(alert(), alert("Low", severity="critical"), format_=Format.PAGERDUTY)
    over = sent(alert(firing=False), format_=Format.PAGERDUTY)
    assert (trigger["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == over["dedup_key"]
    assert len(trigger["dedup_key"]) <= 255
    assert trigger["payload"]["severity"] == "critical"
    assert {"summary", "source", "severity"} <= trigger["payload"].keys()
    assert "routing_key" not in trigger
    still = sent(alert(firing=False), alert("Low"), format_=Format.PAGERDUTY)
    assert still["event_action"] == "trigger"
