"""Who is told what, who asked not to be, and how telling went."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from .alerting import Matcher
from .alerts import Alert

HEARTBEAT = "heartbeat"
"""Group key of what only says that alerting is alive: it is not stored, and tried once."""


class Silence(Struct, frozen=True):
    """Alerts that all the matchers hold of are not told from `begins_at` to before `ends_at`."""

    silence_id: str
    matchers: tuple[Matcher, ...]
    author: str
    reason: str
    begins_at: datetime
    ends_at: datetime


class Acknowledgement(Struct, frozen=True):
    """Somebody looks after an alert, this time that it fires: it is not repeated, only resolved."""

    fingerprint: str
    fired_at: datetime
    author: str
    comment: str


class Muted(StrEnum):
    """Why an alert that fires is not told."""

    SILENCED = "silenced"
    INHIBITED = "inhibited"


class Occasion(StrEnum):
    """Why a group is told something now."""

    NEW = "new"
    """It is the first, or the first since all of it was resolved; `group_wait` is over."""
    CHANGED = "changed"
    """Alerts came, were resolved or got worse since; `group_interval` is over."""
    REPEATED = "repeated"
    """Something fires still, `repeat_interval` is over, and not all of it is acknowledged."""


class Notice(Struct, frozen=True, kw_only=True):
    """What one receiver is to be told of one group: what fires, and what was resolved since it was told of it."""

    notification_id: str
    """``msg_`` and 32 characters; the same at each try."""
    receiver: str
    group_key: str
    group_labels: Mapping[str, str]
    occasion: Occasion
    alerts: tuple[Alert, ...]
    """Those that fire, the most severe and oldest first, then those that were resolved: all, though not all may fit."""
    news: frozenset[str]
    """Fingerprints of those that fire and that the receiver doesn't know of, or not how severe they are."""
    believed: frozenset[str] = frozenset()
    """Fingerprints of those that the receiver believes to fire, the muted ones too."""
    created_at: datetime

    def firing_after(self, told: Iterable[Alert]) -> frozenset[str]:
        """Fingerprints of those that the receiver believes to fire once it was told these."""
        begun, over = set[str](), set[str]()
        for alert in told:
            (begun if alert.is_told else over).add(alert.fingerprint)
        return (self.believed | begun) - over

    def left_out(self, told: Iterable[Alert]) -> int:
        """How many are still to be told after these."""
        fingerprints = {alert.fingerprint for alert in told}
        return sum(
            alert.fingerprint not in fingerprints and (alert.fingerprint in self.news or not alert.is_told)
            for alert in self.alerts
        )


class NotificationState(StrEnum):
    """What became of a notification."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Tries are over: `give_up_after`, or the receiver said it is gone (410)."""
    DROPPED = "dropped"
    """Its receiver is configured no longer."""


class Notification(Struct, frozen=True, kw_only=True):
    """A notice on its way, as table `notifications` has it."""

    notification_id: str
    receiver: str
    group_key: str
    state: NotificationState = NotificationState.PENDING
    told: Mapping[str, int]
    """Fingerprints in it, with their revision."""
    firing: tuple[str, ...]
    """Fingerprints of those that its receiver believes to fire from then on."""
    left_out: int = 0
    """Alerts that did not fit, and that the receiver is told next."""
    body: str
    """What is sent, before it is signed."""
    attempts: int = 0
    next_at: datetime
    created_at: datetime


class Result(StrEnum):
    """How a try to deliver went."""

    DELIVERED = "delivered"
    """Status 2xx."""
    REFUSED = "refused"
    """Another status: tried again."""
    GONE = "gone"
    """410: not tried again, and its receiver is not called any more until the configuration changes."""
    REDIRECTED = "redirected"
    """3xx, which is not followed: tried again."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    """No connection, no TLS, or the answer broke off."""
    FORBIDDEN = "forbidden"
    """The address is in no network that may be called."""
    MISCONFIGURED = "misconfigured"
    """A secret is missing, or the address is none."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One try to deliver, a row of table `alert_deliveries`."""

    notification_id: str
    attempt: int
    receiver: str
    result: Result
    status: int = 0
    error: str = ""
    duration_ms: float
    attempted_at: datetime
