"""What is known of the pipeline itself at present: reports of workers, dead letters, and the ledger."""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from ....infra.clickhouse import ClickHouse, quoted
from ....schemas.ledger import LedgerReport
from ...lookups import instant
from ...records import from_micros, micros_of
from .dead_letters import Letters, Sent, Why
from .pipeline import Pipeline, Report

_EXAMPLES = 5
_MOST_MODELS = 100
_FORGOTTEN = timedelta(days=7)
_LEDGER_EVERY = timedelta(minutes=1)
# Reading the ledger counts all rows there are: it may take so small a part of the time.
_REST = 50


def read_pipeline(
    clickhouse: ClickHouse, topics: Collection[str], partitions: int | None, since: datetime | None, now: datetime
) -> Pipeline:
    """The last report of each partition of these topics (all without any); of so many partitions, if that is known.

    A partition that nobody has had for a week is none any more.
    """
    of_topics = f"AND _topic IN ({quoted(sorted(topics))}) " if topics else ""
    reports = [
        Report(
            topic, partition, owner, lag, waiting_s, stuck_s, None if failed is None else failed.replace(tzinfo=UTC),
            failure, reported.replace(tzinfo=UTC),
        )
        for topic, partition, owner, lag, waiting_s, stuck_s, failed, failure, reported in clickhouse.rows(
            "SELECT _topic, partition, owner, lag, waiting_s, stuck_s, failed_at, failure, reported_at "
            f"FROM {clickhouse.database}.worker_reports FINAL "
            f"WHERE reported_at >= {instant(micros_of(now - _FORGOTTEN))} {of_topics}ORDER BY _topic, partition"
        )
    ]  # fmt: skip
    if partitions is None:
        return Pipeline(reports)
    known = {each.place for each in reports}
    places = [f"{topic}[{partition}]" for topic in sorted(topics) for partition in range(partitions)]
    return Pipeline(
        [each for each in reports if each.partition < partitions],
        [place for place in places if place not in known],
        since,
    )


def count_letters(clickhouse: ClickHouse, within: timedelta, now: datetime) -> Mapping[Sent, Letters]:
    """What came in so much time before `now`, and what of it could not be read: by topic, and by model of a topic.

    Models are those that dead letters name and of which predictions have come, the first hundred.
    """
    database = clickhouse.database
    written = f"_ingested_at >= {instant(micros_of(now - within))} AND _ingested_at <= {instant(micros_of(now))}"
    counted: dict[Sent, Letters] = {}
    accepted: dict[Sent, int] = {}
    for topic, model, received, dead, taken in clickhouse.rows(
        "SELECT _topic, model, sumIf(n, class = 'received'), sumIf(n, class = 'invalid'), "
        f"sumIf(n, class IN ('accepted', 'duplicate')) FROM {database}.ledger "
        f"WHERE {written} AND class IN ('received', 'invalid', 'accepted', 'duplicate') GROUP BY _topic, model"
    ):
        accepted[Sent(topic, model)] = int(taken)
        if not model:
            counted[Sent(topic)] = Letters(int(received), int(dead))
    if not any(letters.dead for letters in counted.values()):
        return counted
    for topic, model, dead in clickhouse.rows(
        "SELECT _topic, JSONExtractString(value, 'model') AS model, count() AS dead "
        f"FROM {database}.dead_letters WHERE {written} "
        f"AND model IN (SELECT model FROM {database}.arrivals WHERE kind = 'predictions') "
        f"GROUP BY _topic, model ORDER BY dead DESC, model LIMIT {_MOST_MODELS}"
    ):
        sent = Sent(topic, model)
        counted[sent] = Letters(accepted.get(sent, 0) + int(dead), int(dead))
    return counted


def why_dead(clickhouse: ClickHouse, sent: Sent, within: timedelta, now: datetime) -> Why | None:
    """What is wrong with the dead letters in that time; None if there are none any more."""
    where = f"{sent.condition} AND _ingested_at >= {instant(micros_of(now - within))}"
    rows = clickhouse.rows(
        "SELECT reason, any(detail), toUnixTimestamp64Milli(min(min(_ingested_at)) OVER ()), "
        f"groupArray({_EXAMPLES})(concat(_topic, '[', toString(_partition), '] offset ', toString(_offset))) "
        f"FROM {clickhouse.database}.dead_letters WHERE {where} GROUP BY reason ORDER BY count() DESC LIMIT 1"
    )
    for reason, detail, since_ms, places in rows:
        return Why(from_micros(since_ms * 1000), reason, detail, tuple(places))
    return None


class LedgerWatch:
    """Reads the ledger once in a while, on a thread of its own, so that nothing else waits for it."""

    def __init__(self, read: Callable[[], LedgerReport], *, in_background: bool = True) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(1, "ledger") if in_background else None
        self._running: Future[LedgerReport] | None = None
        self._began: datetime | None = None
        self._next: datetime | None = None
        self._report: LedgerReport | None = None

    def report(self, now: datetime) -> LedgerReport | None:
        """The last reading that there is; None before the first one. At most one a minute, in 2 % of the time.

        Raises:
            ServiceUnavailable: ClickHouse did not answer; it is tried again a minute later.
            DatabaseError: it refused a query.
        """
        if self._running is None and (self._next is None or now >= self._next):
            self._began = now
            self._running = self._begin()
        if self._running is not None and self._running.done():
            done, self._running = self._running, None
            assert self._began is not None
            self._next = now + max(_LEDGER_EVERY, _REST * (now - self._began))
            self._report = done.result()
        return self._report

    def close(self) -> None:
        """Let the thread go; a reading that runs is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> "Future[LedgerReport]":
        if self._pool is not None:
            return self._pool.submit(self._read)
        future: Future[LedgerReport] = Future()
        try:
            future.set_result(self._read())
        except Exception as exc:
            future.set_exception(exc)
        return future
