"""Hands Faust a whole fetch of a topic partition as one record, in place of a record at a time."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from .batches import RecordBatch


class BatchScheduler(DefaultSchedulingStrategy):
    """Faust's ConsumerScheduler for topics that are read in batches; other topics go record by record.

    A subclass made by `for_topics` says which ones: Faust builds the scheduler itself, without arguments.
    """

    batch_topics: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def for_topics(cls, topics: frozenset[str]) -> type["BatchScheduler"]:
        """A scheduler class that batches these topics."""
        return type("BatchSchedulerForTopics", (cls,), {"batch_topics": topics})

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """One `RecordBatch` for each fetched partition of a batch topic, then the rest in Faust's own order."""
        others: dict[TP, list[Any]] = {}
        for tp, fetched in records.items():
            if tp.topic not in self.batch_topics:
                others[tp] = fetched
            elif fetched:
                yield tp, RecordBatch(tp, fetched)
        if others:
            yield from super().iterate(others)
