"""Alerts: what rules find, and what is said of it. The value of topic ``loopwatch.alerts`` (key = fingerprint)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .events import Instant
from .signals import Shift

ALERTNAME, MODEL, SEVERITY, CATEGORY = "alertname", "model", "severity", "category"
"""Labels that every alert has; `model` is missing where no single one is meant."""


class Severity(StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"
    """Now, also at night."""
    WARNING = "warning"
    """Today."""
    INFO = "info"
    """When there is time."""


class Category(StrEnum):
    """What it is about: causes come before what they cause, so one can inhibit the other."""

    PIPELINE = "pipeline"
    """Loopwatch itself, or what feeds it: nothing else can be trusted meanwhile."""
    DATA = "data"
    """What services send: predictions or labels missing, events that can't be read."""
    DRIFT = "drift"
    ANOMALY = "anomaly"
    QUALITY = "quality"
    BUSINESS = "business"
    COST = "cost"
    ALERTING = "alerting"
    """Alerting itself: rules that can't be evaluated."""


class AlertState(StrEnum):
    """Where an alert is in its life. What is not active has none."""

    PENDING = "pending"
    """Its condition holds, but not for long enough yet (`for`)."""
    FIRING = "firing"
    RECOVERING = "recovering"
    """Its condition holds no longer, but it is still said to fire (`keep_firing_for`, or it flaps)."""
    RESOLVED = "resolved"


class Change(StrEnum):
    """Why an alert has a new revision."""

    FOUND = "found"
    """Its condition holds: pending, or firing at once."""
    HELD = "held"
    """It held for as long as `for` asks: firing."""
    WORSE = "worse"
    """What is known of it changed while it fires: its severity, or what its annotations say."""
    GONE = "gone"
    """Its condition holds no longer: recovering."""
    BACK = "back"
    """It holds again while recovering: firing on."""
    OVER = "over"
    """It stayed gone for as long as `keep_firing_for` and its flapping ask: resolved."""
    DROPPED = "dropped"
    """It was gone before it fired: nobody was told."""
    RULE_GONE = "rule_gone"
    """Its rule, or its model, is configured no longer: resolved."""


class Details(Struct, frozen=True):
    """What an alert knows: what changed, since when, how sure that is, and where to look. Ids, never values."""

    message: str
    """All of it in one sentence, with numbers and their units."""
    value: float | None = None
    threshold: float | None = None
    expected: float | None = None
    lower: float | None = None
    """Of the value's 95 % interval."""
    upper: float | None = None
    n: int = 0
    completeness: float | None = None
    since: datetime | None = None
    """Event time at which it began, as far as can be told."""
    until: datetime | None = None
    shifts: tuple[Shift, ...] = ()
    examples: tuple[str, ...] = ()
    """Ids of some of the predictions."""
    query: str = ""
    """SQL that shows it."""
    command: str = ""
    """Command line that shows more."""
    signal_id: str = ""


class Finding(Struct, frozen=True):
    """A rule's condition holds for these labels."""

    rule: str
    labels: Mapping[str, str]
    details: Details


class Alert(Struct, frozen=True, kw_only=True):
    """One alert, as of one revision."""

    fingerprint: Annotated[str, Meta(description="Of its labels but severity. Also the record key.")]
    rule: Annotated[str, Meta(description="Rule that found it.")]
    state: Annotated[AlertState, Meta(description="Where it is in its life.")]
    change: Annotated[Change, Meta(description="Why there is this revision.")]
    labels: Annotated[dict[str, str], Meta(description="What it is about; alertname, severity and category always.")]
    annotations: Annotated[
        dict[str, str], Meta(description="What to tell people: summary, description, runbook_url, …")
    ]
    details: Annotated[Details, Meta(description="The evidence.")]
    active_at: Annotated[Instant, Meta(description="When it was first found (wall clock).")]
    fired_at: Annotated[Instant | None, Meta(description="When it began to fire.")] = None
    gone_at: Annotated[Instant | None, Meta(description="When its condition was first seen not to hold.")] = None
    resolved_at: Annotated[Instant | None, Meta(description="When it was resolved.")] = None
    updated_at: Annotated[Instant, Meta(description="When this revision was made.")]
    revision: Annotated[int, Meta(ge=1, description="Grows with every change; the highest holds.")] = 1
    flaps: Annotated[tuple[Instant, ...], Meta(description="When it came back of late: what damping goes by.")] = ()

    @property
    def severity(self) -> Severity:
        """How soon somebody should look."""
        return Severity(self.labels[SEVERITY])

    @property
    def is_told(self) -> bool:
        """Whether people see it as firing."""
        return self.state in (AlertState.FIRING, AlertState.RECOVERING)


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """What makes an alert the same one: its labels, but for how severe it is.

    >>> fingerprint_of({"alertname": "A", "severity": "info"}) == fingerprint_of({"alertname": "A"})
    True
    """
    pairs = sorted((name, value) for name, value in labels.items() if name != SEVERITY)
    return hashlib.sha256(msgspec.json.encode(pairs)).hexdigest()[:32]
