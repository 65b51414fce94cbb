"""Fetched batches on their way to the join: in the order they came, but no actions ahead of their predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

from faust.types import TP

from .alignment import Alignment
from .engine.batches import RecordBatch
from .engine.transport import BatchConsumer
from .partition import PartitionProcessor

Ready = tuple[Any, RecordBatch]
"""A Faust event and its batch."""


class Intake:
    """The inbox, and behind it the action batches that wait for predictions of their partition."""

    def __init__(self, predictions: str, actions: str) -> None:
        self._predictions = predictions
        self._actions = actions
        self._inbox: list[Any] = []
        self._alignments: dict[int, Alignment] = {}
        self.consumer: BatchConsumer | None = None

    def __len__(self) -> int:
        """Batches in the inbox."""
        return len(self._inbox)

    def put(self, event: Any) -> None:
        """Take in the Faust event of a batch."""
        self._inbox.append(event)

    def next_round(self, room: int) -> list[Any]:
        """Take out events, oldest first, until their records fill `room`; one at least, unless all are outdated."""
        events: list[Any] = []
        size = taken = 0
        while taken < len(self._inbox) and (size < room or not events):
            event = self._inbox[taken]
            taken += 1
            if event.value.outdated:
                event.ack()
            else:
                events.append(event)
                size += len(event.value.records)
        self._inbox = self._inbox[taken:]
        return events

    def ready_with(self, events: Sequence[Any], partitions: Mapping[int, PartitionProcessor]) -> list[Ready]:
        """What may be joined now that these have come: they themselves, unless they run ahead, and what waited."""
        ready: list[Ready] = []
        for event in events:
            batch: RecordBatch = event.value
            processor = partitions[batch.partition]
            alignment = self._alignments.setdefault(batch.partition, Alignment())
            if batch.topic == self._predictions:
                alignment.predictions_read(batch)
                ready.append((event, batch))
                ready += self._aligned(processor, alignment)
            elif alignment or (self._predictions_left(processor) and alignment.is_ahead(batch)):
                alignment.put_aside(event, batch)
                self._hold_back(batch.tp)
                ready += self._aligned(processor, alignment)
            else:
                ready.append((event, batch))
        return ready

    def waited(self, partitions: Mapping[int, PartitionProcessor]) -> list[Ready]:
        """Batches that waited and need not any more, though nothing new came."""
        return [
            ready
            for partition, alignment in self._alignments.items()
            if alignment
            for ready in self._aligned(partitions[partition], alignment)
        ]

    def all_waiting(self) -> list[Ready]:
        """Take out all batches that wait, whatever for."""
        return [ready for alignment in self._alignments.values() for ready in alignment.take(everything=True)]

    def drop(self) -> None:
        """Forget what was not joined: acknowledged to Faust, which waits for that, but never committed.

        For the end of an assignment: nothing of the next one was fetched yet.
        """
        for event in (*self._inbox, *(event for event, _ in self.all_waiting())):
            event.ack()
        self._inbox, self._alignments = [], {}

    def _aligned(self, processor: PartitionProcessor, alignment: Alignment) -> list[Ready]:
        ready = alignment.take(everything=not self._predictions_left(processor))
        if ready and not alignment and self.consumer is not None:
            self.consumer.on_buffer_drop(TP(self._actions, processor.partition))
        return ready

    def _predictions_left(self, processor: PartitionProcessor) -> bool:
        """Whether Kafka has predictions of the partition that were not read yet."""
        tp, next_offset = TP(self._predictions, processor.partition), processor.next_offset(self._predictions)
        return self.consumer is not None and self.consumer.lag(tp, next_offset) > 0

    def _hold_back(self, tp: TP) -> None:
        """Fetch no more of a topic partition until what was put aside is joined."""
        if self.consumer is not None:
            self.consumer.on_buffer_full(tp)
