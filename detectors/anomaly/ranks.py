"""How unusual a statistic is among the last ones."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any


class Ranks:
    """Of `kept` of the last values of a statistic that is larger the more unusual things are.

    The first `kept` values are kept; from then on one in `one_in` takes the place of the oldest, so that they come to
    span `kept` x `one_in`. They are rounded to 4 digits, so that their state is small; equal ones count as as unusual.

    >>> ranks = Ranks(100)
    >>> ps = [ranks.take(float(n % 10)) for n in range(99)]
    >>> ranks.take(50.0)
    0.01
    """

    def __init__(self, kept: int, one_in: int = 1) -> None:
        self.kept, self.one_in = kept, one_in
        self._passed = 0
        """Values since the last one that was kept."""
        self._last, self._in_order = array("d"), array("d")

    def __len__(self) -> int:
        return len(self._last)

    def take(self, value: float) -> float:
        """The share of the kept values that are as large or larger, this one included."""
        value = float(f"{value:.4g}")
        as_large = len(self._in_order) - bisect_left(self._in_order, value)
        p = (1 + as_large) / (1 + len(self._in_order))
        self._passed += 1
        if len(self._last) < self.kept or self._passed >= self.one_in:
            self._keep(value)
        return p

    def _keep(self, value: float) -> None:
        self._passed = 0
        self._last.append(value)
        insort(self._in_order, value)
        if len(self._last) > self.kept:
            del self._in_order[bisect_left(self._in_order, self._last.pop(0))]

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {"passed": self._passed, "last": self._last.tolist()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        passed, last = int(state["passed"]), [float(value) for value in state["last"]]
        if len(last) > self.kept or any(value != value for value in last) or not 0 <= passed < self.one_in:
            raise ValueError(f"{len(last)} values of {self.kept}, or one that is no number, or {passed} passed over")
        self._passed, self._last, self._in_order = passed, array("d", last), array("d", sorted(last))
