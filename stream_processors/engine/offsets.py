"""What is read of each partition since its position was set, and which offset of it may be committed."""

from collections import deque

from faust.types import TP

from .batches import RecordBatch


class CommitWatermark:
    """The commit position of each partition that is read in batches, from `begin` until `forget`.

    Faust's own tracking knows offsets one by one, and a batch's own range looks like a gap to it: with two batches in
    flight it commits past the first one once the second is acknowledged. Here a position moves only while the oldest
    fetched batch is done, whatever was done behind it.
    """

    def __init__(self) -> None:
        self._fetched: dict[TP, deque[RecordBatch]] = {}
        self._last: dict[TP, int] = {}

    @property
    def reading(self) -> set[TP]:
        """Partitions whose read position is set."""
        return set(self._last)

    def begin(self, tp: TP, offset: int) -> None:
        """The read position is this offset now; what was fetched before says nothing any more."""
        self.forget(tp)
        self._last[tp] = offset - 1

    def fetched(self, batch: RecordBatch) -> bool:
        """Note a batch in the order of fetching, before anybody can have worked on it.

        False: its partition is not read at present, and nobody may work on it.
        """
        after = self._last.get(batch.tp)
        if after is None:
            return False
        self._fetched.setdefault(batch.tp, deque()).append(batch)
        batch.after = after
        self._last[batch.tp] = batch.offset
        return True

    def forget(self, tp: TP) -> None:
        """The partition is not read any more: what was fetched of it, and is not committed, is outdated."""
        for batch in self._fetched.pop(tp, ()):
            batch.outdated = True
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
