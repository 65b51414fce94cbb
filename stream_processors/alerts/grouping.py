"""Who is told what, now: pure, from alerts and what groups were told before to notices.

What a group was told is known from its last notification, whatever became of that: it is on its way. So a process that
takes over decides as the one before would have.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from ...schemas.alerting import Alerting, Route
from ...schemas.alerts import Alert, Change, Severity
from ...schemas.notifications import Acknowledgement, Muted, Notice, Notification, Occasion, Silence
from .inhibition import inhibited
from .routing import group_key, group_labels, routes_of
from .silences import silence_of

_SEVERITIES = list(Severity)

# Of a group in which nothing fires that may be told: that it is over is told at once.
_NO_ROUTE = Route(receiver="", group_by=(), group_wait=timedelta(), group_interval=timedelta())

GroupKey = tuple[str, str]
"""Receiver and group key."""


class GroupState(Struct, frozen=True):
    """What a group was told last."""

    notification_id: str
    told: Mapping[str, int]
    """Fingerprints, with the revision in which they were told."""
    firing: frozenset[str]
    """Those that its receiver believes to fire."""
    at: datetime
    unfinished: bool = False
    """There was more to say than fitted."""

    @classmethod
    def after(cls, notification: Notification) -> "GroupState":
        """What a group knows once it was told this."""
        firing = frozenset(notification.firing)
        return cls(
            notification.notification_id, notification.told, firing, notification.created_at, notification.left_out > 0
        )


class Due(Struct, frozen=True):
    """What is to be told, and what is not."""

    notices: list[Notice]
    muted: dict[str, Muted]
    """Alerts that fire and are not told, by fingerprint."""


def due(
    alerting: Alerting,
    alerts: Sequence[Alert],
    silences: Sequence[Silence],
    acknowledgements: Sequence[Acknowledgement],
    groups: Mapping[GroupKey, GroupState],
    now: datetime,
) -> Due:
    """Notices whose time has come, by group.

    Args:
        alerts: all that fire or recover, and those that were resolved and that a group may not know of yet.
        groups: what each receiver and group was told last. One that no route leads to any more is still told when
            what it believes to fire is over.
    """
    muted = dict.fromkeys(inhibited(alerts, alerting.inhibitions, now), Muted.INHIBITED)
    muted |= {
        alert.fingerprint: Muted.SILENCED for alert in alerts if silence_of(alert.labels, silences, now) is not None
    }
    audible = [alert for alert in alerts if alert.is_told and alert.fingerprint not in muted]
    by_fingerprint = {alert.fingerprint: alert for alert in alerts}
    acknowledged = {(each.fingerprint, each.fired_at) for each in acknowledgements}
    wants_resolved = {each.name: each.send_resolved for each in alerting.receivers}
    members = {} if alerting.route is None else _members(alerting.route, audible)
    notices: list[Notice] = []
    for receiver, key in sorted({*members, *(each for each, state in groups.items() if state.firing)}):
        if receiver in wants_resolved:
            route, firing = members.get((receiver, key), (_NO_ROUTE, []))
            group = _Group(receiver, key, route, firing, groups.get((receiver, key)), by_fingerprint)
            notice = group.notice(acknowledged, wants_resolved[receiver], now)
            if notice is not None:
                notices.append(notice)
    told = {alert.fingerprint for alert in alerts if alert.is_told}
    return Due(notices, {fingerprint: why for fingerprint, why in muted.items() if fingerprint in told})


def _members(root: Route, alerts: Iterable[Alert]) -> dict[GroupKey, tuple[Route, list[Alert]]]:
    """Alerts by group, with the route that makes it one."""
    groups: dict[GroupKey, tuple[Route, list[Alert]]] = {}
    for alert in alerts:
        for route in routes_of(root, alert.labels):
            groups.setdefault((route.receiver, group_key(route, alert.labels)), (route, []))[1].append(alert)
    return groups


class _Group:
    """One group as it is now: `firing` is what may be told, `before` what was."""

    def __init__(
        self,
        receiver: str,
        key: str,
        route: Route,
        firing: Sequence[Alert],
        before: GroupState | None,
        alerts: Mapping[str, Alert],
    ) -> None:
        self._receiver = receiver
        self._key = key
        self._route = route
        self._before = before
        self._firing = sorted(firing, key=_urgency)
        believed = [alerts[each] for each in sorted(before.firing) if each in alerts] if before else []
        self._believed = [alert for alert in believed if alert.is_told]
        # That something is over is told though it be muted by now: who was told that it fires waits for that.
        over = (alert for alert in believed if not alert.is_told)
        self._over = sorted(over, key=lambda alert: (alert.resolved_at or alert.updated_at, alert.fingerprint))

    def notice(
        self, acknowledged: Collection[tuple[str, datetime | None]], wants_resolved: bool, now: datetime
    ) -> Notice | None:
        """What it is told now, if anything."""
        over = self._over if wants_resolved else []
        occasion = self._occasion(over, acknowledged, now)
        if occasion is None:
            return None
        alerts = (*self._firing, *over)
        known = None if occasion is Occasion.NEW else self._before
        news = (alert for alert in self._firing if known is None or self._is_news(alert, known))
        return Notice(
            notification_id=self._id(alerts),
            receiver=self._receiver,
            group_key=self._key,
            group_labels=group_labels(self._route, alerts[0].labels),
            occasion=occasion,
            alerts=alerts,
            news=frozenset(alert.fingerprint for alert in news),
            believed=frozenset(alert.fingerprint for alert in (*self._believed, *over)),
            created_at=now,
        )

    def _occasion(
        self, over: Sequence[Alert], acknowledged: Collection[tuple[str, datetime | None]], now: datetime
    ) -> Occasion | None:
        route, before = self._route, self._before
        if before is None or not (self._believed or over):
            waited = self._firing and now - min(alert.fired_at or now for alert in self._firing) >= route.group_wait
            return Occasion.NEW if waited else None
        news = [alert for alert in self._firing if self._is_news(alert, before)]
        worst = min((_urgency(alert)[0] for alert in self._believed), default=len(_SEVERITIES))
        # What is more severe than all that was told doesn't wait for the next round of that.
        is_worse = any(_urgency(alert)[0] < worst for alert in news)
        interval = min(route.group_wait, route.group_interval) if is_worse else route.group_interval
        if before.unfinished:
            interval = timedelta()
        if news or over:
            return Occasion.CHANGED if now - before.at >= interval else None
        unattended = any((alert.fingerprint, alert.fired_at) not in acknowledged for alert in self._firing)
        return Occasion.REPEATED if unattended and now - before.at >= route.repeat_interval else None

    @staticmethod
    def _is_news(alert: Alert, before: GroupState) -> bool:
        """Whether the group doesn't know of it, of this time that it fires, or of how severe it is."""
        if alert.fingerprint not in before.firing or (alert.fired_at is not None and alert.fired_at > before.at):
            return True
        return alert.change is Change.WORSE and alert.revision > before.told.get(alert.fingerprint, alert.revision)

    def _id(self, alerts: Iterable[Alert]) -> str:
        """The same for the same decision: about these revisions, after that notification."""
        before = self._before.notification_id if self._before is not None else ""
        revisions = sorted((alert.fingerprint, alert.revision) for alert in alerts)
        made_of = msgspec.json.encode([self._receiver, self._key, before, revisions])
        return f"msg_{hashlib.sha256(made_of).hexdigest()[:32]}"


def _urgency(alert: Alert) -> tuple[int, float, str]:
    fired_at = alert.fired_at or alert.active_at
    return _SEVERITIES.index(alert.severity), fired_at.timestamp(), alert.fingerprint
