"""Numbers in stable bins as arrays: from values, or from the histogram of a pane."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..histogram import Histogram

_FRACTION_BITS = 46
_STEPS = 65_536
_BINS = 1 << 17
_FRACTION = (1 << _FRACTION_BITS) - 1
_ROUND = 1 << 29
_STEP_BITS = 30


class Numbers(NamedTuple):
    """Counts `n` of the bins that hold any, in ascending order of the numbers; all arrays have one entry a bin.

    `mean` is where the numbers of the bin are on average, `within` the sum of their squared distances from there.
    """

    bins: NDArray[np.int64]
    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    within: NDArray[np.float64]

    @property
    def total(self) -> int:
        """How many numbers."""
        return int(self.n.sum())

    @property
    def average(self) -> float:
        """NaN of nothing."""
        return float(self.n @ self.mean) / self.total if self.n.size else float("nan")

    @property
    def variance(self) -> float:
        """Mean squared distance from the average (n, not n - 1). NaN of nothing."""
        if not self.n.size:
            return float("nan")
        # The largest number decides the scale: squares of 1e200 would be infinite.
        scale = float(np.abs(self.mean).max()) or 1.0
        about = (self.mean - self.average) / scale
        return float(self.n @ about**2 + (self.within / scale / scale).sum()) / self.total * scale * scale


def of_histogram(histogram: Histogram) -> Numbers:
    """The bins of a pane.

    >>> from ..histogram import Bin, bin_of
    >>> of_histogram(Histogram((Bin(bin_of(-2.0), 1), Bin(bin_of(1.0), 3)))).mean.tolist()
    [-2.0, 1.0]
    """
    kept = sorted((each.bin, each.n, each.steps, each.squares) for each in histogram.bins if each.n)
    bins, n, steps, squares = np.array(kept, np.int64).reshape(-1, 4).T
    return of_bins(bins, n, steps.astype(np.float64), squares.astype(np.float64))


class Counts(NamedTuple):
    """The same with the sums of steps and of their squares, as panes have them: whole numbers, exact below 2⁵³."""

    bins: NDArray[np.int64]
    n: NDArray[np.int64]
    steps: NDArray[np.float64]
    squares: NDArray[np.float64]


def of_values(values: NDArray[np.floating] | Sequence[float]) -> Numbers:
    """The bins of an array, the same as those of the panes; NaN and infinities are left out.

    >>> of_values([1.0, 1.0, float("nan"), 6.0]).n.tolist()
    [2, 1]
    """
    return of_bins(*counts_of(values))


def counts_of(values: NDArray[np.floating] | Sequence[float]) -> Counts:
    """The bins of an array in ascending order, ready to be added to others."""
    numbers = np.ascontiguousarray(values, np.float64)
    if not np.isfinite(numbers.sum()):
        numbers = numbers[np.isfinite(numbers)]
    bits = numbers.view(np.int64)
    # The upper bits with the sign: an index into a table of all bins, then one of those that hold anything. Counting
    # into a short table takes half the time.
    index = (bits.view(np.uint64) >> np.uint64(_FRACTION_BITS)).view(np.int64)
    seen = np.zeros(2 * _BINS, np.bool_)
    seen[index] = True
    held = np.flatnonzero(seen)
    places = np.empty(2 * _BINS, np.int32)
    places[held] = np.arange(held.size)
    place = places[index]
    up = (((bits & _FRACTION) + _ROUND) >> _STEP_BITS).astype(np.float64)
    n = np.bincount(place, minlength=held.size).astype(np.int64)
    steps = np.bincount(place, up, held.size).astype(np.float64)
    squares = np.bincount(place, up * up, held.size).astype(np.float64)
    bins = np.where(held < _BINS, held, _BINS - held)
    # Minus zero is zero.
    order = np.argsort(bins, kind="stable")
    bins, n, steps, squares = bins[order], n[order], steps[order], squares[order]
    if bins.size and np.any(bins[1:] == bins[:-1]):
        bins, start = np.unique(bins, return_index=True)
        n, steps, squares = (np.add.reduceat(each, start) for each in (n, steps, squares))
    return Counts(bins, n, steps, squares)


def of_bins(
    bins: NDArray[np.int64], n: NDArray[np.int64], steps: NDArray[np.float64], squares: NDArray[np.float64]
) -> Numbers:
    """The bins of a pane as arrays, in ascending order, each with at least one number."""
    magnitude = np.abs(bins)
    inner = (magnitude << _FRACTION_BITS).view(np.float64)
    width = ((magnitude + 1) << _FRACTION_BITS).view(np.float64) - inner
    # Behind the last finite bin lies infinity.
    width = np.where(np.isfinite(width), width, inner / 64)
    sign = np.where(bins < 0, -1.0, 1.0)
    step = width / _STEPS
    safe = np.maximum(n, 1)
    # The largest numbers there are have no finite squares.
    with np.errstate(over="ignore"):
        apart = np.maximum(0.0, squares - steps**2 / safe)
        within = np.where(apart > 0, step**2, 0.0) * apart
        mean = np.minimum(inner + step * (steps / safe), np.finfo(np.float64).max)
    return Numbers(bins, n, sign * mean, within)
