"""Which offset of a partition may be committed: fetched stretches in order, done from the front."""

from collections import deque

from faust.types import TP

from .batches import RecordBatch


class CommitWatermark:
    """The commit position of each partition read in batches.

    Faust's own tracking knows offsets one by one, and a batch's own range looks like a gap to it: with two batches in
    flight it commits past the first one once the second is acknowledged. Here a position moves only while the oldest
    fetched batch is done, whatever was done behind it.
    """

    def __init__(self) -> None:
        self._fetched: dict[TP, deque[RecordBatch]] = {}
        self._last: dict[TP, int] = {}

    def fetched(self, batch: RecordBatch) -> None:
        """Note a batch in the order of fetching, before anybody can have worked on it."""
        self._fetched.setdefault(batch.tp, deque()).append(batch)
        batch.after = self._last.get(batch.tp, -1)
        self._last[batch.tp] = batch.offset

    def forget(self, tp: TP) -> None:
        """The partition was revoked or its read position moved: what was fetched before says nothing any more."""
        self._fetched.pop(tp, None)
        self._last.pop(tp, None)

    def position(self, tp: TP) -> int | None:
        """The offset to commit (that of the next record to read), or None if nothing new is done."""
        batches = self._fetched.get(tp)
        position = None
        while batches and batches[0].done:
            position = batches.popleft().offset + 1
        return position

    def partitions(self) -> list[TP]:
        """Partitions with batches that are not committed yet."""
        return [tp for tp, batches in self._fetched.items() if batches]

    def in_flight(self, tp: TP) -> int:
        """Batches fetched and not yet passed by the position."""
        return len(self._fetched.get(tp, ()))
