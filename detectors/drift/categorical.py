"""How far two distributions over categories, or over bins in any order, are apart.

Counts have shape (..., K), results (...), as in `numeric`. A category that one side has never seen is one with count 0.
NaN where one of the two sides is empty.
"""

import numpy as np

from .numeric import Counts, Floats


def jensen_shannon(reference: Counts, current: Counts) -> Floats:
    """The Jensen–Shannon distance (the root of the divergence, natural logarithm), from 0 to 0.833; as scipy's.

    Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 1991.

    >>> round(float(jensen_shannon(np.array([10, 0]), np.array([0, 3]))), 4)
    0.8326
    """
    p, q = _shares(reference), _shares(current)
    middle = (p + q) / 2
    with np.errstate(all="ignore"):
        terms = np.where(p > 0, p * np.log(p / middle), 0.0) + np.where(q > 0, q * np.log(q / middle), 0.0)
    return np.where(np.isnan(p + q).any(-1), np.nan, np.sqrt(np.maximum(0.0, terms.sum(-1) / 2)))


def psi(reference: Counts, current: Counts) -> Floats:
    """The population stability index. Empty cells count as half a value, so that it is finite.

    >>> round(float(psi(np.array([50, 50]), np.array([60, 40]))), 3)
    0.041
    """
    r, c = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    here = r + c > 0
    p, q = (_shares(np.where(here & (each == 0), 0.5, each)) for each in (r, c))
    with np.errstate(all="ignore"):
        terms = np.where(here, (q - p) * np.log(q / p), 0.0)
    return np.where((r.sum(-1) > 0) & (c.sum(-1) > 0), terms.sum(-1), np.nan)


def chi_square(reference: Counts, current: Counts) -> Floats:
    """Pearson's statistic of the 2 × K table, without Yates's correction; empty columns have no part in it."""
    r, c = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    n, m = r.sum(-1, keepdims=True), c.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        terms = np.where(r + c > 0, (c * n - r * m) ** 2 / (r + c), 0.0)
        return terms.sum(-1) / (n * m)[..., 0]


def largest_residual(reference: Counts, current: Counts) -> Floats:
    """The largest standardised residual of any category: one that changed is not lost among many that did not."""
    r, c = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    pooled, m = r + c, c.sum(-1, keepdims=True)
    total = pooled.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        share = m / total
        variance = pooled * share * (1 - share) * (1 - pooled / total)
        # Half a value off: else a category that was seen once would be the most remarkable of all.
        residuals = np.maximum(0.0, np.abs(c - pooled * share) - 0.5) / np.sqrt(variance)
        return np.where(variance > 0, residuals, 0.0).max(-1, initial=0.0)


def unseen_share(reference: Counts, current: Counts) -> Floats:
    """Share of current values in categories that the reference has never seen."""
    r, c = np.asarray(reference), np.asarray(current, np.float64)
    with np.errstate(all="ignore"):
        return np.where(r == 0, c, 0.0).sum(-1) / c.sum(-1)


def _shares(counts: Counts) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(counts, np.float64) / np.sum(counts, -1, keepdims=True)
