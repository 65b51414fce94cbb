"""What is due at which event time: buckets of ids, a heap of buckets."""

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")
_BUCKET_US = 1_000_000


class Timers(Generic[T]):
    """Items by the event time (µs) at which they are due. Adding is cheap: one list a second of event time.

    >>> timers = Timers()
    >>> timers.add(5_000_000, "early"); timers.add(9_000_000, "late")
    >>> timers.due(8_000_000), timers.due(10_000_000), timers.due(99_000_000)
    (['early'], ['late'], [])
    """

    def __init__(self) -> None:
        self._buckets: dict[int, list[T]] = {}
        self._heap: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, at_us: int, item: T) -> None:
        """Have `item` come due once the watermark is past `at_us`."""
        key = at_us // _BUCKET_US
        bucket = self._buckets.get(key)
        if bucket is None:
            self._buckets[key] = [item]
            heapq.heappush(self._heap, key)
        else:
            bucket.append(item)

    @property
    def next_us(self) -> int | None:
        """No item is due before this; None when there is none."""
        return self._heap[0] * _BUCKET_US if self._heap else None

    def due(self, watermark_us: int) -> list[T]:
        """Take out every item of the seconds that lie wholly before the watermark.

        An item comes up to a second of event time late, never early.
        """
        now = watermark_us // _BUCKET_US
        items: list[T] = []
        while self._heap and self._heap[0] < now:
            items += self._buckets.pop(heapq.heappop(self._heap))
        return items
