"""When the values of a detector were: its findings name positions, people want instants."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

_MOST = 512


class Timeline:
    """Instants (µs) of positions from 0 on. The longer ago, the fewer are kept; it interpolates between them.

    It never goes back: what comes late counts as of the latest instant before it.
    """

    def __init__(self) -> None:
        self.n = 0
        self._positions: list[int] = []
        self._instants: list[int] = []

    def add(self, instants_us: Sequence[int]) -> None:
        """The instants of the next positions."""
        for at_us in instants_us:
            self._instants.append(max(at_us, self._instants[-1]) if self._instants else at_us)
            self._positions.append(self.n)
            self.n += 1
            if len(self._positions) > _MOST:
                for kept in (self._positions, self._instants):
                    kept[: _MOST // 2] = kept[: _MOST // 2 : 2]

    def at(self, position: int) -> int:
        """The instant (µs) of a position that was added.

        >>> timeline = Timeline()
        >>> timeline.add(range(0, 100_000, 10))
        >>> timeline.at(0), timeline.at(1234), timeline.at(9_999)
        (0, 12340, 99990)
        """
        after = bisect_right(self._positions, position)
        before = max(0, after - 1)
        start, start_us = self._positions[before], self._instants[before]
        if after in (0, len(self._positions)):
            return start_us
        return start_us + (self._instants[after] - start_us) * (position - start) // (self._positions[after] - start)

    def snapshot(self) -> dict[str, Any]:
        """As plain data."""
        return {"n": self.n, "positions": list(self._positions), "instants_us": list(self._instants)}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """From its snapshot.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.
        """
        restored = cls()
        restored.n = int(snapshot["n"])
        restored._positions = list(map(int, snapshot["positions"]))
        restored._instants = list(map(int, snapshot["instants_us"]))
        is_whole = len(restored._positions) == len(restored._instants) <= _MOST
        in_order = all(a < b for a, b in pairwise([*restored._positions, restored.n]))
        if not is_whole or not in_order or any(a > b for a, b in pairwise(restored._instants)):
            raise ValueError("a timeline that contradicts itself")
        return restored
