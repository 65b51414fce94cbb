"""Few cells for many bins or categories, so that a comparison costs the same whatever there is.

Which bins share a cell depends on the counts of both sides together alone, so a permutation test on cells is exact.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .numbers import Numbers
from .numeric import Floats

Ints = NDArray[np.int64]
_MIDDLE = 64
_NAMED = 256


class Pair(NamedTuple):
    """Counts of both sides in the same bins, in ascending order; `points` are the means of the bins."""

    reference: Ints
    current: Ints
    points: Floats

    def grouped(self) -> "Pair":
        """At most about 100 cells: 64 of the same share of all numbers, the first and the last halved on and on.

        So the tails stay apart, down to single numbers.
        """
        pooled = self.reference + self.current
        if pooled.size <= _MIDDLE:
            return self
        middle = (pooled.cumsum() - pooled / 2) / pooled.sum()
        tail = np.minimum(middle, 1 - middle) * _MIDDLE
        cell = np.where(tail >= 1, np.floor(middle * _MIDDLE), 0.0)
        halvings = np.ceil(-np.log2(np.minimum(tail, 1.0)))
        cell = np.where(tail < 1, np.where(middle < 0.5, -halvings, _MIDDLE + halvings), cell)
        start = np.flatnonzero(np.diff(cell, prepend=np.nan))
        reference, current, sums = (
            np.add.reduceat(each, start) for each in (self.reference, self.current, pooled * self.points)
        )
        return Pair(reference, current, sums / (reference + current))


def pair(reference: Numbers, current: Numbers) -> Pair:
    """Both sides in the bins that either has."""
    bins = np.sort(np.concatenate((reference.bins, current.bins)), kind="stable")
    bins = bins[np.diff(bins, append=bins[-1:] + 1) > 0]
    counts = np.zeros((2, bins.size), np.int64)
    sums = np.zeros(bins.size)
    for side, numbers in enumerate((reference, current)):
        at = np.searchsorted(bins, numbers.bins)
        counts[side, at] = numbers.n
        sums[at] += numbers.n * numbers.mean
    return Pair(counts[0], counts[1], sums / counts.sum(0))


class Categories(NamedTuple):
    """Counts of both sides by category, the most frequent of both together first."""

    names: list[str]
    reference: Ints
    current: Ints

    def grouped(self) -> tuple[Ints, Ints]:
        """Counts of the 256 most frequent categories; the others by how often they are there (once, twice, up to 4 …).

        Values that were all seen once, or in new categories, still show: they gather in the same cell.
        """
        if len(self.names) <= _NAMED:
            return self.reference, self.current
        pooled = self.reference + self.current
        cell = np.arange(pooled.size)
        rare = np.ceil(np.log2(np.maximum(pooled[_NAMED:], 1))).astype(np.int64)
        cell[_NAMED:] = _NAMED + rare
        grouped = [np.bincount(cell, side).astype(np.int64) for side in (self.reference, self.current)]
        held = grouped[0] + grouped[1] > 0
        return grouped[0][held], grouped[1][held]


def categories(reference: Mapping[str, int], current: Mapping[str, int]) -> Categories:
    """Both sides by the categories that either has; equally frequent ones in the order of their names."""
    pooled = {name: reference.get(name, 0) + current.get(name, 0) for name in reference.keys() | current.keys()}
    names = sorted((name for name, n in pooled.items() if n), key=lambda name: (-pooled[name], name))
    counts = [np.array([side.get(name, 0) for name in names], np.int64) for side in (reference, current)]
    return Categories(names, counts[0], counts[1])
