"""STEPD: is the share of errors among the newest the same as before? (Nishida and Yamauchi, Discovery Science 2007)."""

import math
from collections import deque

from msgspec import Struct

from ..interface import Finding
from .numbers import NumberDetector, require, strength


class Memory(Struct):
    """The newest errors, and number and sum of those before them."""

    newest: list[float]
    older: int
    older_errors: float


class Stepd(NumberDetector):
    """The test of equal proportions, with a correction for continuity, after each error once there are 2 · window_size.

    For errors: 0 and 1, or shares of an error between them, for which the test is too careful. Rises and falls are both
    found (the test is two-sided), and each makes it begin anew. At alpha = 0.003 it finds something about once in a few
    thousand values even where nothing changes. `since` is where the newest errors begin; missing values make it late.

    Parameters: `window_size`, the newest errors; `alpha`, the significance level of each test.

    Raises:
        ValueError: by `update`, at a value below 0 or above 1; those before it are taken.

    >>> [finding.at for finding in Stepd().update([0] * 100 + [1] * 10)]
    [104]
    """

    name = "stepd"
    Memory = Memory

    def __init__(self, *, window_size: int = 30, alpha: float = 0.003) -> None:
        require("window_size", 2 <= window_size <= 100_000, "from 2 to 100,000")
        require("alpha", 0 < alpha < 1, "between 0 and 1")
        super().__init__(window_size=window_size, alpha=alpha)
        self._begin()

    def _begin(self) -> None:
        self._newest: deque[float] = deque()
        self._older, self._older_errors = 0, 0.0

    def _take_number(self, value: float) -> Finding | None:
        if not 0 <= value <= 1:
            raise ValueError(f"stepd takes errors, from 0 to 1: value {self.n} is {value}")
        size = self.parameters["window_size"]
        self._newest.append(value)
        if len(self._newest) > size:
            self._older += 1
            self._older_errors += self._newest.popleft()
        self.score = 0.0
        if self._older < size:
            return None
        errors = math.fsum(self._newest)
        p_value = equal_proportions(self._older_errors, self._older, errors, size)
        alpha = self.parameters["alpha"]
        self.score = strength(-math.log(max(p_value, 1e-300)), -math.log(alpha))
        if p_value >= alpha:
            return None
        found = Finding(self.n, max(0, self.n - size + 1), self.score, self._older_errors / self._older, errors / size)
        self._begin()
        return found

    def _memory(self) -> Memory:
        return Memory(list(self._newest), self._older, self._older_errors)

    def _remember(self, memory: Memory) -> None:
        require("newest", len(memory.newest) <= self.parameters["window_size"], "no longer than window_size")
        require("older_errors", 0 <= memory.older_errors <= memory.older, "from 0 to older")
        self._newest = deque(memory.newest)
        self._older, self._older_errors = memory.older, memory.older_errors


def equal_proportions(errors: float, n: int, other_errors: float, other_n: int) -> float:
    """P-value of two proportions being equal, by the normal distribution, with the correction for continuity.

    >>> round(equal_proportions(10, 100, 10, 30), 6)
    0.004829
    """
    p, inverse = (errors + other_errors) / (n + other_n), 1 / n + 1 / other_n
    variance = p * (1 - p) * inverse
    if variance <= 0:
        return 1.0
    distance = max(0.0, abs(errors / n - other_errors / other_n) - inverse / 2)
    return math.erfc(distance / math.sqrt(2 * variance))
