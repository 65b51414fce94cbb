"""A value, on how many it rests, and how far it may be off."""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

# Two-sided, 95 %.
_Z = 1.959963984540054


class Estimate(NamedTuple):
    """A metric of a window. `lower` and `upper` bound its 95 % confidence interval; None where there is none."""

    value: float
    n: int
    lower: float | None = None
    upper: float | None = None


def proportion(successes: int, n: int) -> Estimate | None:
    """A share of `n`, with Wilson's score interval (Wilson, JASA 1927). None of nothing.

    >>> share = proportion(9, 10)
    >>> share.value, round(share.lower, 4), round(share.upper, 4)
    (0.9, 0.5958, 0.9821)
    """
    if n == 0:
        return None
    share, z2 = successes / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # Rounding must not put the value outside: at 0 and n the interval touches it.
    return Estimate(share, n, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def mean(total: float, total_of_squares: float, n: int) -> Estimate | None:
    """A mean of `n` values from their sum and the sum of their squares, with the normal interval. None of nothing.

    >>> mean(6.0, 14.0, 3).value, mean(2.0, 4.0, 1).lower
    (2.0, None)
    """
    if n == 0:
        return None
    value = total / n
    if n == 1:
        return Estimate(value, n)
    half = _Z * math.sqrt(max(0.0, total_of_squares - total * value) / (n - 1) / n)
    return Estimate(value, n, value - half, value + half)


K = TypeVar("K")


def from_counts(value: float, gradient: Mapping[K, float], counts: Mapping[K, int]) -> Estimate:
    """A smooth function of multinomial counts, between 0 and 1, with the delta method's interval.

    `gradient` holds its derivatives by each count's *share*, `counts` the counts; as for F1 in Takahashi et al.,
    "Confidence interval for micro-averaged F1 and macro-averaged F1 scores", Applied Intelligence 2022.
    The order of the counts doesn't show.
    """
    n = sum(counts.values())
    first = math.fsum(gradient[name] * count / n for name, count in counts.items())
    second = math.fsum(gradient[name] ** 2 * count / n for name, count in counts.items())
    half = _Z * math.sqrt(max(0.0, second - first * first) / n)
    return Estimate(value, n, max(0.0, value - half), min(1.0, value + half))


def half_width(standard_error: float) -> float:
    """Half of a 95 % interval."""
    return _Z * standard_error
