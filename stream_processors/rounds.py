"""Batches of several partitions that are joined together, so that one look into ClickHouse serves them all."""

from collections.abc import Mapping, Sequence
from typing import Any

from .join.state import Stored
from .output import Flush
from .partition import PartitionProcessor
from .records import SortedOut


class Round:
    """Add batches, look up `unknown`, then `join`. In between no entry may leave memory, and no flush be sealed.

    Batches before the first one with an unknown id are joined as they are added: their events live no longer than that.

    The lookup must leave out what is stored from `next_offsets` on, those of predictions and of actions of each
    partition: a flush that did not end stored it, and it is read again.
    """

    def __init__(self, flush: Flush, now_us: int) -> None:
        self._flush = flush
        self._now_us = now_us
        self._prepared: list[tuple[PartitionProcessor, str, SortedOut[Any]]] = []
        self._unknown: dict[str, None] = {}
        self.next_offsets: dict[int, tuple[int, int]] = {}

    def add(self, processor: PartitionProcessor, topic: str, records: Sequence[Any]) -> None:
        """Decode a batch, and join it, or note which of its ids memory can't tell about.

        Raises:
            PoisonLimitExceeded: most of the latest records are no events; nothing of this batch was taken.
        """
        self.next_offsets.setdefault(processor.partition, processor.next_offsets)
        sorted_out = processor.prepare(topic, records)
        unknown = processor.unknown_to_memory(sorted_out)
        if unknown or self._prepared:
            self._unknown |= dict.fromkeys(unknown)
            self._prepared.append((processor, topic, sorted_out))
        else:
            processor.apply(topic, sorted_out, {}, self._flush, self._now_us)

    @property
    def unknown(self) -> list[str]:
        """Ids that ClickHouse may know more about than memory does."""
        return list(self._unknown)

    def join(self, stored: Mapping[str, Stored]) -> None:
        """Join all batches that wait, in the order they were added, with what was found of the unknown ids."""
        for processor, topic, sorted_out in self._prepared:
            processor.apply(topic, sorted_out, stored, self._flush, self._now_us)
