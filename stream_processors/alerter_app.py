"""The composition root of alerting: in every worker, and in `loopwatch alerter` by itself."""

import contextlib
import threading
import time
from datetime import UTC, datetime
from functools import partial

from ..infra import metrics
from ..infra.clickhouse import ClickHouse
from ..infra.logs import logger
from ..infra.settings import Settings
from ..schemas.errors import LoopwatchError
from ..schemas.outcomes import LoopwatchConfig
from .alerts.alerter import Alerter
from .alerts.conditions.context import Context
from .alerts.conditions.evaluate import evaluate
from .alerts.heartbeat import Heartbeat
from .alerts.lease import Lease
from .alerts.publisher import AlertPublisher
from .alerts.store import AlertStore
from .sink.fence import Fence
from .sink.inserts import Inserter
from .webhooks.deliverer import Deliverer
from .webhooks.formats import notification_of

log = logger(__name__)

# One query may take so long; alerting has to notice that ClickHouse is away.
_QUERY_TIMEOUT_S = 20.0
_GIVE_UP_AFTER_S = 5.0
_CLOSE_S = 5.0
# A turn of all rules is followed by a rest of so many times its length, one of those on metrics by as much: joins come
# first.
_REST, _REST_OF_METRICS = 2, 1
_SETTLE_EVERY_S = 0.25


class AlertingService:
    """Alerting on a thread of its own, with a connection of its own: nothing that it waits for holds up joins."""

    def __init__(self, settings: Settings, config: LoopwatchConfig, owner: str, partitions: int | None) -> None:
        """`owner` names this process, as in table `fences`; the input topics have so many `partitions`, if known."""
        self._every_s = settings.alert_every_s
        self._stop, self._hint = threading.Event(), threading.Event()
        self._clickhouse = ClickHouse(settings, timeout_s=_QUERY_TIMEOUT_S)
        topic = settings.topics.predictions
        fence = Fence(self._clickhouse, topic, owner)
        inserter = Inserter(self._clickhouse, fence, give_up_after_s=_GIVE_UP_AFTER_S, stop=self._stop)
        alerting = config.alerting
        self._context = Context(
            config,
            topics=settings.topics.inputs,
            partitions=partitions,
            since=datetime.now(UTC),
            ttl_days=settings.ttl_days,
        )
        self._publisher = AlertPublisher(settings)
        self._deliverer = Deliverer(alerting.receivers, proxy=settings.egress_proxy)
        make = partial(notification_of, alerting.receivers, settings.external_url)
        self._alerter = Alerter(
            self._clickhouse,
            alerting,
            Lease(self._clickhouse, fence, topic, settings.alert_lease_s),
            AlertStore(inserter),
            lambda rules, now: evaluate(self._clickhouse, rules, self._context, now),
            self._deliverer,
            make,
            self._publisher.publish,
        )
        self._heartbeat = Heartbeat(alerting, make, self._deliverer.offer)
        self._thread = threading.Thread(target=self._run, name="alerting", daemon=True)

    def start(self) -> None:
        """Begin, unless the settings say that this process doesn't alert."""
        if self._every_s:
            self._deliverer.start()
            self._thread.start()

    def look(self) -> None:
        """Look soon at the rules on metrics: there are new ones."""
        self._hint.set()

    def stop(self) -> None:
        """End the turn under way, and let another process take over."""
        self._stop.set()
        self._hint.set()
        if self._thread.is_alive():
            self._thread.join(_QUERY_TIMEOUT_S)
        self._deliverer.close(_CLOSE_S)
        self._context.close()
        self._clickhouse.close()

    def wait(self) -> None:
        """Return when it has ended."""
        self._thread.join()

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._stop.is_set():
            began_s = time.monotonic()
            only_metrics = began_s < next_s
            self._hint.clear()
            self._turn(only_metrics=only_metrics)
            took_s = time.monotonic() - began_s
            if not only_metrics:
                next_s = began_s + max(self._every_s, (1 + _REST) * took_s)
            self._rest(_REST_OF_METRICS * took_s, next_s)
        try:
            self._alerter.close()
        except Exception as exc:
            log.warning("the lease of alerting was not given up: it expires", error=str(exc)[:300])
        self._publisher.close(_CLOSE_S)

    def _turn(self, *, only_metrics: bool) -> None:
        try:
            self._alerter.tick(only_metrics=only_metrics)
            if self._alerter.holds:
                self._heartbeat.beat(datetime.now(UTC))
        except Exception as exc:
            metrics.ALERTING_ERRORS.inc()
            log.exception("a turn of alerting failed, tried again", exc)

    def _rest(self, least_s: float, until_s: float) -> None:
        """Until it is time for all rules, or there are new metrics; meanwhile, store how tries to deliver went."""
        least_until_s = time.monotonic() + least_s
        while not self._stop.is_set() and (left_s := until_s - (now_s := time.monotonic())) > 0:
            if now_s < least_until_s:
                self._stop.wait(min(_SETTLE_EVERY_S, least_until_s - now_s, left_s))
            elif self._hint.wait(min(_SETTLE_EVERY_S, left_s)):
                break
            with contextlib.suppress(LoopwatchError):
                self._alerter.settle()
