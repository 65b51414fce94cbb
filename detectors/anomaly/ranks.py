"""How unusual a statistic is among the last ones."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence


class Ranks:
    """Of the last `kept` values of a statistic that is larger the more unusual things are.

    Values are rounded to 4 digits, so that their state is small; equal ones count as as unusual.

    >>> ranks = Ranks(100)
    >>> ps = [ranks.take(float(n % 10)) for n in range(99)]
    >>> ranks.take(50.0)
    0.01
    """

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._last: deque[float] = deque()
        self._in_order: list[float] = []

    def __len__(self) -> int:
        return len(self._last)

    def take(self, value: float) -> float:
        """The share of the values that are as large or larger, this one included."""
        value = float(f"{value:.4g}")
        as_large = len(self._in_order) - bisect_left(self._in_order, value)
        p = (1 + as_large) / (1 + len(self._in_order))
        self._last.append(value)
        insort(self._in_order, value)
        if len(self._last) > self.kept:
            del self._in_order[bisect_left(self._in_order, self._last.popleft())]
        return p

    def state(self) -> list[float]:
        """As plain data."""
        return list(self._last)

    def load(self, state: Sequence[float]) -> None:
        """Become what `state` says."""
        last = [float(value) for value in state]
        if len(last) > self.kept or any(value != value for value in last):
            raise ValueError(f"{len(last)} values of {self.kept}, or one that is no number")
        self._last, self._in_order = deque(last), sorted(last)
