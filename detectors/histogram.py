"""Numbers counted in bins that never move, so that counts of any two stretches can be added and compared.

A bin holds the numbers whose sign, exponent and first six bits of the fraction agree (IEEE 754, binary64): 64 bins of
equal width between two powers of two, as in HdrHistogram (Tene, 2012). Within a bin, 65,536 steps say where its numbers
are on average. All sums are of integers: neither the order of numbers nor that of additions shows.
"""

import math
import struct
from collections.abc import Sequence

from msgspec import Struct

_FRACTION_BITS = 46
_STEPS = 65_536


class Bin(Struct, frozen=True):
    """`n` numbers of one bin: `steps` is the sum of their distances from its lower end, in 1/65,536 of its width."""

    bin: int
    n: int
    steps: int = 0
    squares: int = 0


class Histogram(Struct, frozen=True):
    """Bins in order of their numbers.

    Quantiles, `least` and `most` are off by at most 1/128 of the number they stand for, means and deviations by what
    2⁻²³ of each number makes. Integers below 128 are exact in all of them; magnitudes below 2⁻¹⁰²² count as about 0.

    >>> three = Histogram((Bin(bin_of(1.0), 1), Bin(bin_of(2.0), 1), Bin(bin_of(6.0), 1)))
    >>> three.n, three.mean, three.quantile(0.5), three.most
    (3, 3.0, 2.0, 6.0)
    """

    bins: Sequence[Bin] = ()

    @property
    def n(self) -> int:
        """How many numbers."""
        return sum(each.n for each in self.bins)

    @property
    def mean(self) -> float:
        """NaN of nothing."""
        n = self.n
        return math.fsum(each.n * _mean(each) for each in self.bins) / n if n else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation of the numbers as a sample (n - 1). NaN of fewer than two."""
        n, mean = self.n, self.mean
        if n < 2:
            return math.nan
        between = math.fsum(each.n * (_mean(each) - mean) ** 2 for each in self.bins)
        return math.sqrt((between + math.fsum(map(_within, self.bins))) / (n - 1))

    @property
    def least(self) -> float:
        """NaN of nothing."""
        return self.quantile(0.0)

    @property
    def most(self) -> float:
        """NaN of nothing."""
        return self.quantile(1.0)

    def quantile(self, level: float) -> float:
        """The number at rank ⌊level · (n - 1)⌋ in ascending order, as numpy's method "lower". NaN of nothing.

        Raises:
            ValueError: the level is not between 0 and 1.
        """
        if not 0 <= level <= 1:
            raise ValueError(f"a quantile's level is between 0 and 1, not {level}")
        rank = math.floor(level * (self.n - 1))
        below = 0
        for each in self.bins:
            below += each.n
            if below > rank:
                return _mean(each) if each.n == 1 or each.squares * each.n == each.steps**2 else _middle(each.bin)
        return math.nan


def bin_of(number: float) -> int:
    """The bin that a number falls into.

    >>> bin_of(0.0), bin_of(1.0), bin_of(-1.0), bin_of(1.01) == bin_of(1.0), bin_of(1.02) == bin_of(1.0)
    (0, 65472, -65472, True, False)
    """
    (bits,) = struct.unpack("<Q", struct.pack("<d", abs(number)))
    return (bits >> _FRACTION_BITS) * (-1 if number < 0 else 1)


def edges(bin_: int) -> tuple[float, float]:
    """Where a bin begins and ends, the end towards zero first: it belongs to the bin, the other does not.

    >>> edges(bin_of(-1.0))
    (-1.0, -1.015625)
    """
    sign = -1.0 if bin_ < 0 else 1.0
    return sign * _magnitude(abs(bin_)), sign * _magnitude(abs(bin_) + 1)


def _magnitude(bin_: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bin_ << _FRACTION_BITS))[0]


def _middle(bin_: int) -> float:
    inner, outer = edges(bin_)
    return 0.0 if bin_ == 0 else inner + (outer - inner) / 2


def _mean(each: Bin) -> float:
    inner, outer = edges(each.bin)
    return inner + (outer - inner) / _STEPS * (each.steps / each.n)


def _within(each: Bin) -> float:
    """Sum of squared distances from the mean of the bin."""
    inner, outer = edges(each.bin)
    exact = each.n * each.squares - each.steps**2
    return ((outer - inner) / _STEPS) ** 2 * exact / each.n
