"""What a worker says of itself every few seconds, as rows of table `worker_reports`: alerts miss who says nothing."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from faust.types import TP
from msgspec import Struct

from ..infra import metrics
from ..infra.clickhouse import ClickHouse, quote
from ..infra.logs import logger
from .lookups import instant
from .records import micros_of

log = logger(__name__)

EVERY_S = 5.0
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
# The worker looks at its partitions several times a second: if it has not for so long, it is held up.
_HELD_UP_S = 10.0
_ERRORS = ("loopwatch_evaluation_errors_total", "loopwatch_monitor_errors_total")


class Observed(Struct, frozen=True):
    """A partition as the worker saw it at `at_s` of the monotonic clock; the others as the columns of the table."""

    lag: int
    waits_s: float
    behind_s: float
    at_s: float


class Reporter:
    """Writes reports. A failed one is counted, and the next one comes a few seconds later anyway."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        owner: str,
        observed: Callable[[], Mapping[TP, Observed]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`observed` gives all partitions that the worker has, and is called on another thread."""
        self._clickhouse = clickhouse
        self._owner = owner
        self._observed = observed
        self._now = now
        self._clock_s = clock_s
        self._errors = 0
        self._failed_at = _EVER

    async def run(self) -> None:
        """Report every few seconds until cancelled, on a thread."""
        while True:
            await asyncio.to_thread(self.report)
            await asyncio.sleep(EVERY_S)

    def report(self) -> int:
        """Write a row a partition; returns how many."""
        now, clock_s = self._now(), self._clock_s()
        errors = int(sum(metrics.REGISTRY.get_sample_value(name) or 0 for name in _ERRORS))
        if errors > self._errors:
            self._errors, self._failed_at = errors, now
        rows = [self._row(tp, each, now, clock_s) for tp, each in sorted(self._observed().items())]
        if not rows:
            return 0
        columns = "_topic, partition, owner, lag, waits_s, behind_s, errors, failed_at, reported_at"
        try:
            self._clickhouse.command(
                f"INSERT INTO {self._clickhouse.database}.worker_reports ({columns}) VALUES {', '.join(rows)}"
            )
        except Exception as exc:
            metrics.REPORT_ERRORS.inc()
            log.warning("report failed", error=str(exc)[:300])
            return 0
        return len(rows)

    def _row(self, tp: TP, each: Observed, now: datetime, clock_s: float) -> str:
        # What it saw last holds no longer where it is held up, in a call for example: that is just what to report.
        since_s = max(0.0, clock_s - each.at_s)
        waits_s = each.waits_s + since_s if each.lag else 0.0
        behind_s = each.behind_s + since_s if each.lag or since_s > _HELD_UP_S else 0.0
        return (
            f"({quote(tp.topic)}, {tp.partition}, {quote(self._owner)}, {each.lag}, {waits_s:.3f}, {behind_s:.3f}, "
            f"{self._errors}, {instant(micros_of(self._failed_at))}, {instant(micros_of(now))})"
        )
