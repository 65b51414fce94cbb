"""Bounds on p-values that no number of draws can reach."""

import numpy as np
from scipy import optimize, stats

from .categorical import chi_square
from .cells import Ints, Pair

_LEAST_EXPECTED = 20


def anderson_darling_bound(pair: Pair) -> float:
    """An upper bound on the p-value of the Anderson–Darling statistic; 1 where none is proven.

    The distribution functions' gap is a Brownian bridge wherever at least 20 values of the smaller side are expected on
    both sides of a cut, so the statistic over these cuts is a weighted sum of squared normals, whose tail is bounded by
    Chernoff's inequality: too large by a small factor, never too small.
    """
    pooled = pair.reference + pair.current
    n, m = int(pair.reference.sum()), int(pair.current.sum())
    below = pooled.cumsum() / (n + m)
    cuts = np.minimum(below, 1 - below) * min(n, m) >= _LEAST_EXPECTED
    if not cuts.any():
        return 1.0
    gap = (pair.current.cumsum() / m - pair.reference.cumsum() / n)[cuts]
    share = below[cuts]
    scaled = gap * np.sqrt((n + m - 1) * n * m / (n + m) ** 2 / (share * (1 - share)))
    weight = np.sqrt((pooled / (n + m))[cuts])
    low, high = np.minimum.outer(share, share), np.maximum.outer(share, share)
    together = np.sqrt(low * (1 - high) / (high * (1 - low))) * np.outer(weight, weight)
    return _chernoff(float(np.sum((weight * scaled) ** 2)), np.clip(np.linalg.eigvalsh(together), 0.0, None))


def chi_square_bound(reference: Ints, current: Ints) -> float:
    """The p-value of Pearson's χ² of the cells with at least 20 expected values on both sides, the others as one."""
    pooled = reference + current
    smaller = min(int(reference.sum()), int(current.sum())) / int(pooled.sum())
    large = pooled * smaller >= _LEAST_EXPECTED
    tables = np.array([[*side[large], side[~large].sum()] for side in (reference, current)])
    if tables[:, -1].sum() * smaller < _LEAST_EXPECTED:
        tables = tables[:, :-1]
    if tables.shape[1] < 2:
        return 1.0
    return float(stats.chi2.sf(chi_square(tables[0], tables[1]), tables.shape[1] - 1))


def _chernoff(observed: float, weights: np.ndarray) -> float:
    """Bound of P(Σ wᵢ zᵢ² ≥ observed) for independent standard normal z."""
    if observed <= weights.sum():
        return 1.0

    def exponent(tilt: float) -> float:
        return -tilt * observed - 0.5 * float(np.log1p(-2 * tilt * weights).sum())

    most = 0.5 / weights.max()
    found = optimize.minimize_scalar(exponent, bounds=(0.0, most * (1 - 1e-9)), method="bounded")
    return float(np.exp(min(0.0, found.fun)))
