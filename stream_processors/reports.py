"""What a worker says of itself in table `worker_reports`, every few seconds: its silence is bad news."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa
from faust.types import TP

from ..infra import metrics
from ..infra.logs import logger
from ..schemas.errors import LoopwatchError
from .sink.inserts import Inserter, token_of

log = logger(__name__)

EVERY_S = 5.0
_NOTED_EVERY_S = 1.0
# The worker looks at its partitions several times a second.
_HELD_UP_S = 10.0
_FAILING = {
    "loopwatch_evaluation_errors_total": "metrics could not be evaluated: see the log of its worker",
    "loopwatch_monitor_errors_total": "detectors broke off: see the log of its worker",
}
_MOST_NOTED = 3600

_INSTANT = pa.timestamp("ms", "UTC")
_SCHEMA = pa.schema(
    [
        ("_topic", pa.string()), ("partition", pa.uint32()), ("owner", pa.string()), ("lag", pa.uint64()),
        ("waiting_s", pa.float64()), ("stuck_s", pa.float64()), ("failed_at", _INSTANT), ("failure", pa.string()),
        ("reported_at", _INSTANT),
    ]
)  # fmt: skip


class PartitionReport(NamedTuple):
    """How one partition of a topic is: records that wait, and seconds that the first has, and that it is stuck."""

    topic: str
    partition: int
    lag: int
    waiting_s: float
    stuck_s: float
    seen_s: float
    """When the worker saw it so, by the monotonic clock."""

    def as_of(self, now_s: float) -> "PartitionReport":
        """The same later: a worker that sees nothing new, because a call holds it up, is stuck.

        >>> PartitionReport("t", 0, 7, 3.0, 2.0, 100.0).as_of(160.0)[2:5]
        (7, 63.0, 62.0)
        >>> PartitionReport("t", 0, 0, 0.0, 0.0, 100.0).as_of(101.0)[2:5]
        (0, 0.0, 0.0)
        """
        since_s = max(0.0, now_s - self.seen_s)
        return self._replace(
            waiting_s=self.waiting_s + since_s if self.lag else 0.0,
            stuck_s=self.stuck_s + since_s if self.lag or since_s > _HELD_UP_S else 0.0,
        )


class Waiting:
    """How long records have been in Kafka, by when they were first seen to be there: their own clocks don't count."""

    def __init__(self) -> None:
        self._seen: dict[TP, deque[tuple[float, int]]] = {}

    def since(self, tp: TP, stored: int, lag: int, now_s: float) -> float:
        """Seconds since the record behind `stored` was first known to be there; 0 where none waits.

        >>> waiting, tp = Waiting(), TP("t", 0)
        >>> seen = ((5, 3, 0.0), (6, 9, 2.0), (9, 6, 3.0), (15, 0, 4.0))
        >>> [waiting.since(tp, stored, lag, at) for stored, lag, at in seen]
        [0.0, 2.0, 1.0, 0.0]
        """
        seen = self._seen.setdefault(tp, deque(maxlen=_MOST_NOTED))
        end = stored + lag
        if not seen or (end > seen[-1][1] and now_s - seen[-1][0] >= _NOTED_EVERY_S):
            seen.append((now_s, end))
        # What is noted with an end up to here says nothing of the record behind it.
        while len(seen) > 1 and seen[0][1] <= stored:
            seen.popleft()
        return now_s - seen[0][0] if lag and seen[0][1] > stored else 0.0


class Failures:
    """When something of the worker failed last, by the counts that it shows."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_FAILING, 0.0)
        self.last: tuple[datetime | None, str] = (None, "")
        """When, and what."""

    def look(self, now: datetime) -> None:
        """Whether more has failed since the last look."""
        for name, what in _FAILING.items():
            count = metrics.REGISTRY.get_sample_value(name) or 0.0
            if count > self._counts[name]:
                self._counts[name], self.last = count, (now, what)


class Reporter:
    """Writes reports on a thread of its own. What can't be written is not written: that says the same."""

    def __init__(self, inserter: Inserter, reports: Callable[[], Sequence[PartitionReport]]) -> None:
        self._inserter = inserter
        self._reports = reports
        self._failures = Failures()
        self._owner = inserter.fence.owner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(EVERY_S)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self._write(datetime.now(UTC))
            except LoopwatchError as exc:
                log.warning("a report was not written", error=str(exc)[:300])
            except Exception as exc:
                log.exception("a report was not written", exc)

    def _write(self, now: datetime) -> None:
        self._failures.look(now)
        failed_at, failure = self._failures.last
        clock_s = time.monotonic()
        rows = [
            (each.topic, each.partition, self._owner, each.lag, each.waiting_s, each.stuck_s, failed_at, failure, now)
            for each in (report.as_of(clock_s) for report in self._reports())
        ]
        if rows:
            columns = [pa.array(each, field.type) for each, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)]
            self._inserter.insert("worker_reports", pa.table(columns, _SCHEMA), token_of([f"{self._owner}:{now}"]), ())
