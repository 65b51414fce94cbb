"""How much more a stream's means vary from one stretch to the next than they would if its values were independent.

Errors come in waves: evenings, storms, campaigns. A test that takes them for independent calls each wave a change. What
counts is evidence beyond the usual waves, so evidence is divided by this factor, as quasi-likelihood does with
overdispersed counts (McCullagh and Nelder, "Generalized Linear Models", 1989, §4.5).
"""

from collections.abc import Mapping
from typing import Any, Self

from msgspec import Struct, convert, to_builtins

_LEAST = 20
_REMEMBERED = 168
_MOST = 100.0


class _Memory(Struct):
    stretch: int | None = None
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0
    ratios: float = 0.0
    weight_of_ratios: float = 0.0


class Dispersion:
    """Learns from stretches as long as the caller wants, about the last 168; those of fewer than 20 values are joined.

    The mean of each is held against the mean so far, in units of what independent values of the variance so far would
    differ by. One stretch counts as 100 at most: a change must not hide itself.
    """

    def __init__(self) -> None:
        self._memory = _Memory()

    @property
    def factor(self) -> float:
        """1 where values are as good as independent, and more where their means come in waves."""
        memory = self._memory
        return max(1.0, memory.ratios / memory.weight_of_ratios) if memory.weight_of_ratios else 1.0

    def add(self, stretch: int, value: float) -> bool:
        """Take a value of a stretch, by its number; whether `factor` may be another one since."""
        memory = self._memory
        ended = memory.stretch is not None and stretch > memory.stretch and memory.n >= _LEAST
        if ended:
            self._learn()
        if memory.stretch is None or stretch > memory.stretch:
            memory.stretch = stretch
        memory.n += 1
        memory.total += value
        memory.squares += value * value
        return ended

    def snapshot(self) -> dict[str, Any]:
        """As plain data."""
        return to_builtins(self._memory)

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """From its snapshot."""
        restored = cls()
        restored._memory = convert(snapshot, _Memory)
        return restored

    def _learn(self) -> None:
        memory, kept = self._memory, 1 - 1 / _REMEMBERED
        mean = memory.total / memory.n
        if memory.weight:
            usual = memory.mean / memory.weight
            variance = memory.square / memory.weight - usual * usual
            if variance > 1e-12 * max(1e-12, usual * usual):
                # Of the mean of so many values, and of the usual mean itself.
                of_mean = variance / memory.n * (1 + 1 / max(1.0, memory.weight))
                memory.ratios = memory.ratios * kept + min(_MOST, (mean - usual) ** 2 / of_mean)
                memory.weight_of_ratios = memory.weight_of_ratios * kept + 1
        memory.mean = memory.mean * kept + mean
        memory.square = memory.square * kept + memory.squares / memory.n
        memory.weight = memory.weight * kept + 1
        memory.n, memory.total, memory.squares = 0, 0.0, 0.0
