"""A flush on its way out, in the one order that loses and doubles nothing.

1. Rows: predictions and then feedback; at the same time actions and then what became of held ones; and dead letters.
   Stored again, each is dropped or replaced: by its token within this worker's life, by its offset after a restart,
   feedback by its key and revision.
2. Kafka: feedback, forwarded records, dead letters; flushed and checked.
3. The ledger: from here on the stretch counts as done, and a restart begins behind it.
4. The caller commits the offsets to Kafka.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime

import pyarrow as pa

from ...infra.kafka_admin import TopicInfo
from ...schemas.dead_letters import DeadLetter
from ..output import Flush
from . import columns
from .inserts import Inserter, token_of
from .publisher import Publisher
from .source import Source

_TABLES_AT_ONCE = 2


class FlushWriter:
    """Writes one flush at a time; blocks, so the caller runs it in a thread."""

    def __init__(
        self,
        inserter: Inserter,
        publisher: Publisher,
        topics: tuple[TopicInfo, TopicInfo],
        worker: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._inserter = inserter
        self._publisher = publisher
        self._predictions, self._actions = topics
        self._worker = worker
        self._now = now
        self._failed = False
        self._threads = ThreadPoolExecutor(_TABLES_AT_ONCE, thread_name_prefix="insert")

    def write(self, flush: Flush) -> None:
        """Store and publish everything of the flush.

        Raises:
            FencedError: a partition was taken over; what was not stored yet is not.
            ServiceUnavailable: ClickHouse or Kafka did not take it in time.
            RuntimeError: a flush before it failed; a ledger row behind a gap would lose that one.
        """
        if self._failed:
            raise RuntimeError("a flush before this one was not stored")
        self._failed = True
        self._write(flush)
        self._failed = False

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _write(self, flush: Flush) -> None:
        now = self._now()
        source = Source(self._predictions, self._actions, int(now.timestamp() * 1000))
        letters = [
            DeadLetter.of(
                row.topic, row.partition, row.record.offset, row.rejected.reason, row.rejected.detail, row.record.key,
                row.record.value, now,
            )
            for row in flush.refused
        ]  # fmt: skip
        storing = [self._threads.submit(store, flush, source) for store in (self._store_outcomes, self._store_actions)]
        feedback = self._publisher.messages(flush.output.outcomes)
        self._store_dead_letters(flush, letters, source)
        wait(storing)
        for stored in storing:
            stored.result()
        self._publisher.feedback(feedback)
        self._publisher.forwards(flush.forwards)
        self._publisher.dead_letters(letters)
        self._publisher.flush()
        if flush.checkpoints:
            rows = columns.ledger(flush.checkpoints, flush.output.counts, source, self._worker)
            self._insert("ledger", rows, flush, sorted({mark.partition for mark in flush.checkpoints}))

    def _store_outcomes(self, flush: Flush, source: Source) -> None:
        # In this order: recovery finds a timeout that was not published by its prediction.
        predictions, outcomes = flush.predictions, flush.output.outcomes
        if predictions:
            rows = columns.predictions(predictions, source)
            self._insert("predictions", rows, flush, predictions.partitions)
        if outcomes:
            rows = columns.feedback(outcomes, source)
            self._insert("feedback", rows, flush, {row.partition for row in outcomes})

    def _store_actions(self, flush: Flush, source: Source) -> None:
        # In this order: what became of an action means nothing without it.
        out = flush.output
        if out.actions:
            rows = columns.actions(out.actions, source)
            self._insert("actions", rows, flush, {row.partition for row in out.actions})
        if out.settled:
            rows = columns.action_status(out.settled, source)
            self._insert("action_status", rows, flush, {row.partition for row in out.settled})

    def _store_dead_letters(self, flush: Flush, letters: Sequence[DeadLetter], source: Source) -> None:
        if letters:
            rows = columns.dead_letters(flush.refused, letters, source)
            self._insert("dead_letters", rows, flush, {row.partition for row in flush.refused})

    def _insert(self, table: str, rows: pa.Table, flush: Flush, partitions: Sequence[int] | set[int]) -> None:
        # A timeout moves no offset: the number of the flush keeps the tokens of two timeouts apart.
        ranges = [
            f"{mark.topic}:{mark.topic_id}:{mark.partition}:{mark.first_offset}-{mark.last_offset}"
            for mark in flush.checkpoints
        ]
        token = token_of([table, self._worker, str(flush.number), *ranges])
        self._inserter.insert(table, rows, token, partitions)
