"""Alerting, turn by turn: rules find, the life cycle decides, that is stored, groups are told.

What is decided is stored before anybody is told of it, under the lease: a process that takes over goes on from there,
and what was decided twice around a crash has the same ids. The one exception is ClickHouse itself being away: then
rules can't be evaluated, and that is told from memory, and stored later.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ...infra import metrics
from ...infra.clickhouse import ClickHouse
from ...infra.logs import logger
from ...schemas.alerting import Alerting, Rule
from ...schemas.alerts import Alert, AlertState
from ...schemas.errors import FencedError, ServiceUnavailable
from ...schemas.notifications import HEARTBEAT, Acknowledgement, Attempt, Notice, Notification, Silence
from .conditions.evaluate import Evaluation, is_of_metrics
from .grouping import GroupKey, GroupState, due
from .lease import Lease
from .lifecycle import advance
from .own_rules import BLIND, FAILING, OWN_RULES, blind_findings, failing_findings
from .store import AlertStore, read_acknowledgements, read_last_told, read_living, read_pending, read_silences

log = logger(__name__)

_REMEMBERED = timedelta(days=7)
"""How long what is over counts: alerts that come back flap, groups that were told are not told as new."""
_TOLD = timedelta(days=90)
"""How far back notifications are looked at: what fires is repeated by then, or acknowledged and nearly forgotten."""
_LOOK_FOR_PENDING = timedelta(seconds=10)
"""Notifications that are not in memory: more than it takes, or put back by `loopwatch webhook replay`."""
MOST_UNSTORED = 10_000
"""Alerts and notifications that wait for ClickHouse, each."""


class Delivery(Protocol):
    """What tells people. No call waits for a receiver."""

    @property
    def room(self) -> int:
        """How many notifications it takes now."""
        ...

    def offer(self, notifications: Sequence[Notification]) -> bool:
        """Deliver these; returns whether there was room for all. What it has already is not taken twice."""
        ...

    def results(self) -> list[tuple[Notification, Attempt | None]]:
        """What became of notifications since the last call, each with the try that made it so, if any."""
        ...

    def forget(self) -> None:
        """Begin no try any more: another process delivers what is left."""
        ...


class Alerter:
    """Decides on alerts while it holds the lease, and stands by otherwise. One thread may use it."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        alerting: Alerting,
        lease: Lease,
        store: AlertStore,
        evaluate: Callable[[Sequence[Rule], datetime], Evaluation],
        delivery: Delivery,
        notification_of: Callable[[Notice], Notification],
        publish: Callable[[list[Alert]], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clickhouse = clickhouse
        self._alerting = alerting
        self._rules: tuple[Rule, ...] = (*alerting.rules, *OWN_RULES)
        self._lease = lease
        self._store = store
        self._evaluate = evaluate
        self._delivery = delivery
        self._notification_of = notification_of
        self._publish = publish
        self._now = now
        self.holds = False
        """Whether it held the lease when it last could ask."""
        self._alerts: dict[str, Alert] = {}
        self._groups: dict[GroupKey, GroupState] = {}
        self._silences: list[Silence] = []
        self._acknowledged: list[Acknowledgement] = []
        self._unstored_alerts: list[Alert] = []
        self._unstored: dict[str, Notification] = {}
        self._unstored_attempts: list[Attempt] = []
        self._all_offered = True
        self._looked_at = datetime.min.replace(tzinfo=UTC)

    def tick(self, *, only_metrics: bool = False) -> None:
        """One turn, of all rules or of those on metrics: there are new ones, and what else there is was just seen.

        Another process holding the lease is no error, nor is ClickHouse being away.
        """
        with metrics.ALERTING_SECONDS.time():
            now = self._now()
            try:
                self._turn(now, only_metrics=only_metrics)
            except FencedError:
                self._stand_by()
            except ServiceUnavailable as exc:
                if self.holds:
                    log.warning("alerting can't see", error=str(exc)[:300])
                    found = tuple(blind_findings(self._clickhouse.address, exc.detail[:300]))
                    self._decide(Evaluation(found, frozenset({BLIND.name}), {}), now)
            metrics.ALERTING.set(self.holds)

    def close(self) -> None:
        """Let another process take over."""
        if self.holds:
            self._stand_by()
            self._lease.give_up()

    def _turn(self, now: datetime, *, only_metrics: bool) -> None:
        if not self._lease.hold():
            if self.holds:
                self._stand_by()
            return
        if not self.holds:
            self._take_over(now)
            only_metrics = False
        self.settle()
        if only_metrics:
            rules, own = [rule for rule in self._rules if is_of_metrics(rule)], {BLIND.name}
        else:
            self._silences = read_silences(self._clickhouse, now)
            first_fired = min((alert.fired_at for alert in self._alerts.values() if alert.fired_at), default=now)
            self._acknowledged = read_acknowledgements(self._clickhouse, first_fired)
            rules, own = self._alerting.rules, {BLIND.name, FAILING.name}
        found = self._evaluate(rules, now)
        # That may have taken long.
        if not self._lease.hold():
            self._stand_by()
            return
        findings = (*found.findings, *failing_findings(found.errors))
        self._decide(Evaluation(findings, found.evaluated | own, found.errors), now)
        self.settle()
        self._look_for_pending(now)

    def _take_over(self, now: datetime) -> None:
        """Go on from what is stored."""
        told = read_last_told(self._clickhouse, now - _TOLD)
        self._groups = {(each.receiver, each.group_key): GroupState.after(each) for each in told}
        self._alerts = {alert.fingerprint: alert for alert in read_living(self._clickhouse, now - _REMEMBERED)}
        self._publish(list(self._alerts.values()))
        self.holds = True
        log.info("alerting begins", alerts=len(self._alerts), groups=len(self._groups))
        # Before anything new: what a group was told follows what it was to be told before.
        self._all_offered = False
        self._look_for_pending(now)

    def _look_for_pending(self, now: datetime) -> None:
        """Notifications of the table that are not in memory, the oldest first."""
        if self._all_offered and now - self._looked_at < _LOOK_FOR_PENDING:
            return
        room = self._delivery.room
        pending = read_pending(self._clickhouse, room)
        self._all_offered = self._delivery.offer(pending) and len(pending) < room
        self._looked_at = now

    def _decide(self, found: Evaluation, now: datetime) -> None:
        """The new revisions, and who is told; stored at once, or as soon as ClickHouse is back."""
        changed = advance(self._rules, self._alerts, found.findings, found.evaluated, now)
        self._alerts |= {alert.fingerprint: alert for alert in changed}
        self._unstored_alerts += changed
        for alert in changed:
            metrics.ALERT_CHANGES.labels(alert.change.value).inc()
        notices = due(
            self._alerting, list(self._alerts.values()), self._silences, self._acknowledged, self._groups, now
        ).notices
        notifications = [self._notification_of(notice) for notice in notices]
        self._unstored |= {each.notification_id: each for each in notifications}
        is_blind = BLIND.name not in found.evaluated or any(each.rule == BLIND.name for each in found.findings)
        if not is_blind:
            self._store_decided(now)
        for each in notifications:
            self._groups[each.receiver, each.group_key] = GroupState.after(each)
        # Behind those that are not in memory they are not in memory either.
        if self._all_offered:
            self._all_offered = self._delivery.offer(notifications)
        self._publish(changed)
        self._prune(now)

    def settle(self) -> None:
        """Store how tries went: what isn't known to be delivered when this process dies is delivered again.

        Raises:
            FencedError: another process alerts now.
            ServiceUnavailable: ClickHouse doesn't answer; it is stored later.
        """
        for notification, attempt in self._delivery.results():
            if attempt is not None:
                metrics.DELIVERIES.labels(attempt.result.value).inc()
            if notification.group_key != HEARTBEAT:
                self._unstored[notification.notification_id] = notification
                self._unstored_attempts += [attempt] if attempt is not None else []
        self._store_decided(self._now())

    def _store_decided(self, now: datetime) -> None:
        alerts, notifications, attempts = self._unstored_alerts, self._unstored, self._unstored_attempts
        self._store.store_alerts(alerts)
        self._unstored_alerts = []
        self._store.store_attempts(attempts)
        self._unstored_attempts = []
        self._store.store_notifications(list(notifications.values()), now)
        self._unstored = {}

    def _stand_by(self) -> None:
        """Another process decides now."""
        log.info("alerting is another process's")
        self.holds = False
        self._delivery.forget()
        self._alerts, self._groups, self._unstored = {}, {}, {}
        self._unstored_alerts, self._unstored_attempts = [], []

    def _prune(self, now: datetime) -> None:
        """Forget what is over and was told, and of what waits for ClickHouse the oldest beyond a limit."""
        told = {fingerprint for group in self._groups.values() for fingerprint in group.firing}
        self._alerts = {
            fingerprint: alert
            for fingerprint, alert in self._alerts.items()
            if alert.state is not AlertState.RESOLVED or fingerprint in told or now - alert.updated_at < _REMEMBERED
        }
        self._groups = {
            key: group for key, group in self._groups.items() if group.firing or now - group.at < _REMEMBERED
        }
        for waiting in (self._unstored_alerts, self._unstored_attempts):
            del waiting[: max(0, len(waiting) - MOST_UNSTORED)]
        for notification_id in list(self._unstored)[: max(0, len(self._unstored) - MOST_UNSTORED)]:
            del self._unstored[notification_id]
