"""Whether the last values, as a pattern, are like any that there were: a course may be new where no value of it is."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

PATTERN = 24
"""Values of a pattern."""
BACK = 42 * PATTERN
"""Values back that the like of it is looked for."""
_LEAST = 8
_KEPT = BACK + 2 * PATTERN


class Novelty:
    """Distance of the last values to the nearest of the stretches of as many before them, the root mean square.

    0 until there are eight such stretches that do not overlap the last one. What is far from all of them is a discord
    (Keogh, Lin, Fu, ICDM 2005); nearest neighbours among the past of a stream: Burnaev, Ishimtsev, arXiv 1608.04585.

    Sums over a pattern are that of its values since a multiple of `PATTERN` and that of those before; so nothing is
    ever subtracted from a sum, and the largest values leave no error behind.

    >>> novelty = Novelty()
    >>> for n in range(200):
    ...     distance = novelty.take(float(n % 10))
    >>> distance, round(novelty.take(24.0), 2)
    (0.0, 4.12)
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._n = 0
        self._end = _KEPT
        # Before the first value all is infinitely far. Values move to the front once in a while, not each time.
        self._line = np.full(3 * _KEPT, math.inf)
        lags = BACK - PATTERN + 1
        self._since = np.zeros(lags)
        # Of places to come: sums over the values after them of the pattern before; of places past: their own squares.
        self._rest = np.zeros((PATTERN, lags))

    def take(self, value: float) -> float:
        """Take a value, a finite one."""
        if self._end == len(self._line):
            self._line[:_KEPT] = self._line[-_KEPT:]
            self._end = _KEPT
        at = self._n % PATTERN
        squares = self._line[self._end - BACK : self._end - PATTERN + 1] - value
        np.multiply(squares, squares, out=squares)
        self._line[self._end] = value
        self._end += 1
        self._n += 1
        if at == 0:
            self._since[:] = squares
        else:
            self._since += squares
        nearest = float((self._since + self._rest[at]).min())
        self._rest[at] = squares
        if at == PATTERN - 1:
            self._begin_pattern()
        return math.sqrt(nearest / PATTERN) if self._n >= 2 * PATTERN + _LEAST - 1 else 0.0

    def _begin_pattern(self) -> None:
        after = np.zeros_like(self._since)
        for row in self._rest[::-1]:
            squares = row.copy()
            row[:] = after
            after += squares

    def state(self) -> dict[str, Any]:
        """As plain data."""
        kept = min(self._n, BACK + PATTERN + self._n % PATTERN)
        return {"n": self._n, "values": self._line[self._end - kept : self._end].tolist()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        n, values = int(state["n"]), [float(each) for each in state["values"]]
        if len(values) != min(n, BACK + PATTERN + n % PATTERN):
            raise ValueError(f"{len(values)} values of {n}")
        self._begin()
        old = max(len(values) - PATTERN - n % PATTERN, 0)
        self._line[_KEPT : _KEPT + old] = values[:old]
        self._end += old
        self._n = n - len(values) + old
        for value in values[old:]:
            self.take(value)
