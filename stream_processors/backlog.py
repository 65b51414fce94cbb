"""For how long the next record of each partition has waited, by when the broker was first seen to have it.

Records carry times, but those of a replay are of the past, and clocks of producers are their own.
"""

from collections import deque
from collections.abc import Mapping

from faust.types import TP

_EVERY_S = 1.0
_MOST = 1000


class Backlog:
    """Remembers how far the broker was, about every second. `now_s` is any clock that only goes forward."""

    def __init__(self) -> None:
        self._seen: dict[TP, deque[tuple[int, float]]] = {}

    def observe(self, ends: Mapping[TP, tuple[int, int]], now_s: float) -> dict[TP, float]:
        """Take in the next offset to store and the end of each partition; returns how long (s) the former waits.

        What was there before the first look waits from that look on.

        >>> backlog, tp = Backlog(), TP("t", 0)
        >>> for stored, end, now_s in ((0, 5, 0.0), (0, 9, 10.0), (5, 9, 12.0), (9, 9, 13.0)):
        ...     print(backlog.observe({tp: (stored, end)}, now_s)[tp])
        0.0
        10.0
        2.0
        0.0
        """
        waits: dict[TP, float] = {}
        for tp, (stored, end) in ends.items():
            seen = self._seen.setdefault(tp, deque())
            while seen and seen[0][0] <= stored:
                seen.popleft()
            if end > stored and (not seen or (end > seen[-1][0] and now_s - seen[-1][1] >= _EVERY_S)):
                seen.append((end, now_s))
                if len(seen) > _MOST:
                    # The first stays: how long it waits is what is asked.
                    self._seen[tp] = seen = deque(each for n, each in enumerate(seen) if n % 2 == 0)
            waits[tp] = now_s - seen[0][1] if seen else 0.0
        for tp in self._seen.keys() - ends.keys():
            del self._seen[tp]
        return waits
