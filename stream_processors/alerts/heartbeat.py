"""Tells a receiver, again and again, that alerting is alive: it is the silence that alarms."""

from collections.abc import Callable, Sequence
from datetime import datetime

from ...schemas.alerting import Alerting
from ...schemas.notifications import HEARTBEAT, Notice, Notification, Occasion
from .own_rules import heartbeat


class Heartbeat:
    """Heartbeats of the process that alerts. None is stored, and none is tried twice."""

    def __init__(
        self,
        alerting: Alerting,
        notification_of: Callable[[Notice], Notification],
        offer: Callable[[Sequence[Notification]], object],
    ) -> None:
        self._receiver = alerting.heartbeat_to
        self._every = alerting.heartbeat_every
        self._notification_of = notification_of
        self._offer = offer
        self._last: datetime | None = None

    def beat(self, now: datetime) -> None:
        """Send one if it is time."""
        if not self._receiver or (self._last is not None and now - self._last < self._every):
            return
        self._last = now
        alert = heartbeat(now)
        notice = Notice(
            notification_id=f"msg_{int(now.timestamp() * 1000):032d}",
            receiver=self._receiver,
            group_key=HEARTBEAT,
            group_labels={},
            occasion=Occasion.REPEATED,
            alerts=(alert,),
            news=frozenset({alert.fingerprint}),
            created_at=now,
        )
        self._offer([self._notification_of(notice)])
