"""A flush on its way out, in the one order that loses and doubles nothing.

1. Rows: predictions, actions, what became of held actions, dead letters, feedback. Stored again, each is dropped or
   replaced: by its token within this worker's life, by its offset after a restart, feedback by its key and revision.
2. Kafka: feedback, forwarded records, dead letters; flushed and checked.
3. The ledger: from here on the stretch counts as done, and a restart begins behind it.
4. The caller commits the offsets to Kafka.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from ...infra.kafka_admin import TopicInfo
from ...schemas.dead_letters import DeadLetter
from ..output import Flush
from . import columns
from .inserts import Inserter, token_of
from .publisher import Publisher
from .source import Source


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

    def write(self, flush: Flush) -> None:
        """Store and publish everything of the flush.

        Raises:
            FencedError: a partition was taken over; what was not stored yet is not.
            ServiceUnavailable: ClickHouse or Kafka did not take it in time.
        """
        now = self._now()
        source = Source(self._predictions, self._actions, int(now.timestamp() * 1000))
        letters = [
            DeadLetter.of(
                row.topic, row.partition, row.record.offset, row.rejected.reason, row.rejected.detail, row.record.key,
                row.record.value, now,
            )
            for row in flush.refused
        ]  # fmt: skip
        self._insert_rows(flush, letters, source)
        self._publisher.feedback(flush.output.outcomes)
        self._publisher.forwards(flush.forwards)
        self._publisher.dead_letters(letters)
        self._publisher.flush()
        if flush.checkpoints:
            rows = columns.ledger(flush.checkpoints, flush.output.counts, source, self._worker)
            self._insert("ledger", rows, flush, sorted({mark.partition for mark in flush.checkpoints}))

    def _insert_rows(self, flush: Flush, letters: Sequence[DeadLetter], source: Source) -> None:
        out = flush.output
        if out.predictions:
            rows = columns.predictions(out.predictions, source)
            self._insert("predictions", rows, flush, set(out.predictions.partitions))
        if out.actions:
            rows = columns.actions(out.actions, source)
            self._insert("actions", rows, flush, {row.partition for row in out.actions})
        if out.settled:
            rows = columns.action_status(out.settled, source)
            self._insert("action_status", rows, flush, {row.partition for row in out.settled})
        if letters:
            rows = columns.dead_letters(flush.refused, letters, source)
            self._insert("dead_letters", rows, flush, {row.partition for row in flush.refused})
        if out.outcomes:
            rows = columns.feedback(out.outcomes, source)
            self._insert("feedback", rows, flush, {row.partition for row in out.outcomes})

    def _insert(self, table: str, rows: pa.Table, flush: Flush, partitions: Sequence[int] | set[int]) -> None:
        # A timeout moves no offset: the number of the flush keeps the tokens of two timeouts apart.
        ranges = [
            f"{mark.topic}:{mark.topic_id}:{mark.partition}:{mark.first_offset}-{mark.last_offset}"
            for mark in flush.checkpoints
        ]
        token = token_of([table, self._worker, str(flush.number), *ranges])
        self._inserter.insert(table, rows, token, partitions)
