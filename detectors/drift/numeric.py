"""How far two distributions of numbers are apart, from counts of the same bins.

All functions take counts of shape (..., K) of the reference and of what is compared with it, and return shape (...):
one pair, or as many at once as there are. NaN where one of the two is empty. The K bins are in ascending order.
"""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer] | NDArray[np.floating]
Floats = NDArray[np.float64]


def wasserstein(reference: Counts, current: Counts, points: Floats) -> Floats:
    """The least mean distance by which the numbers would have to move; bin k lies at `points[..., k]`.

    Divide it by the reference's standard deviation to compare columns.

    >>> float(wasserstein(np.array([1, 1, 0]), np.array([0, 1, 1]), np.array([0.0, 1.0, 5.0])))
    2.5
    """
    return (np.abs(_gaps(reference, current))[..., :-1] * np.diff(points)).sum(-1)


def kolmogorov_smirnov(reference: Counts, current: Counts) -> Floats:
    """The largest distance of the two distribution functions."""
    return np.abs(_gaps(reference, current)).max(-1, initial=0.0)


def cramer_von_mises(reference: Counts, current: Counts) -> Floats:
    """Anderson's (1962) two-sample criterion T, with midranks where values are tied; as scipy's."""
    r, c = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    n, m = r.sum(-1), c.sum(-1)
    pooled = r + c
    middle = pooled.cumsum(-1) - (pooled - 1) / 2
    u = n * _squares(middle, r) + m * _squares(middle, c)
    with np.errstate(all="ignore"):
        return u / (n * m * (n + m)) - (4 * n * m - 1) / (6 * (n + m))


def anderson_darling(reference: Counts, current: Counts) -> Floats:
    """Squared distances of the distribution functions, each by its variance if nothing changed: the tails count too.

    A² of Scholz and Stephens (JASA 1987), equation 6, for two samples; ties are met in the middle. Where nothing
    changed it is about 1 on average, as long as no bin holds most of the numbers.
    """
    r, c = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    pooled = r + c
    below = pooled.cumsum(-1)
    n = below[..., -1:]
    share = (below - pooled / 2) / n
    with np.errstate(all="ignore"):
        gap = (c.cumsum(-1) - c / 2) / c.sum(-1, keepdims=True) - (r.cumsum(-1) - r / 2) / r.sum(-1, keepdims=True)
        spread = share * (1 - share) - pooled / (4 * n)
        terms = np.where(spread > 1e-12, gap**2 / spread, 0.0) * pooled / n
    return terms.sum(-1) * r.sum(-1) * c.sum(-1) * (n[..., 0] - 1) / n[..., 0] ** 2


def rank_shift(reference: Counts, current: Counts) -> Floats:
    """The Wasserstein distance of their ranks among all numbers, by the deviation of evenly spread ranks.

    No unit and no outlier shows in it. Two normal distributions that are δ deviations apart have about δ.
    """
    pooled = np.asarray(reference, np.float64) + current
    with np.errstate(all="ignore"):
        mass = pooled / pooled.sum(-1, keepdims=True)
    ahead = (mass[..., :-1] + mass[..., 1:]) / 2
    return np.sqrt(12) * (np.abs(_gaps(reference, current))[..., :-1] * ahead).sum(-1)


def _gaps(reference: Counts, current: Counts) -> Floats:
    with np.errstate(all="ignore"):
        return (
            np.cumsum(current, -1) / np.sum(current, -1, keepdims=True)
            - np.cumsum(reference, -1) / np.sum(reference, -1, keepdims=True)
        )  # fmt: skip


def _squares(middle: Floats, counts: Floats) -> Floats:
    """Sum of (midrank among all - i)² over the ranks i in a sample of its own."""
    own = counts.cumsum(-1) - (counts - 1) / 2
    return (counts * (middle - own) ** 2 + (counts**3 - counts) / 12).sum(-1)
