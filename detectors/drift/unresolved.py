"""Changes smaller than a bin: values far from zero beside how much they vary, such as 1000 ± 1, share a few bins."""

import math

import numpy as np
from scipy import stats

from .numbers import Numbers

_SHARE = 0.01


def within_bins(reference: Numbers, current: Numbers) -> float | None:
    """p-value, two-sided, of the mean shift inside of the bins; None where bins resolve 99 % of the variance.

    A bin knows mean and variance of its numbers: the shifts are weighted by how many numbers their bins hold, and held
    against the normal distribution.
    """
    total = reference.variance
    if not total > 0 or float(reference.within.sum()) / reference.total < _SHARE * total:
        return None
    _, before, after = np.intersect1d(reference.bins, current.bins, assume_unique=True, return_indices=True)
    n, m = reference.n[before].astype(np.float64), current.n[after].astype(np.float64)
    weight, gap = (n + m), current.mean[after] - reference.mean[before]
    # The variance as if nothing had changed: that of both sides together.
    squares = reference.within[before] + current.within[after] + gap**2 * n * m / weight
    error = math.sqrt(float(np.sum(weight**2 * (squares / np.maximum(1.0, weight - 1)) * (1 / n + 1 / m))))
    if error == 0:
        return 1.0
    return float(2 * stats.norm.sf(abs(float(weight @ gap)) / error))
