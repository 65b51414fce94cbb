"""Two shares: of missing values, of invalid ones, of true among true and false."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from .numeric import Floats

_EXACT_UP_TO = 100_000
"""Possible outcomes for which the exact test is done; beyond, the score test has the same p-value."""


class RateTest(NamedTuple):
    """`difference` is current minus reference; `method` says which test gave the p-value."""

    difference: float
    standardised: float
    """The difference by the deviation of one value, were both the same."""
    p_value: float
    method: str


def rate_test(reference: int, of_reference: int, current: int, of_current: int) -> RateTest:
    """Whether `current` of `of_current` is the same share as `reference` of `of_reference`, two-sided.

    Fisher's exact test; for large counts the score test (Pearson's χ² with one degree of freedom).

    Raises:
        ValueError: a count is negative, or larger than what it is a part of; or one side is empty.

    >>> found = rate_test(10, 1000, 30, 1000)
    >>> round(found.difference, 3), round(found.p_value, 4), found.method
    (0.02, 0.002, 'exact')
    """
    for part, whole in ((reference, of_reference), (current, of_current)):
        if whole < 1 or not 0 <= part <= whole:
            raise ValueError(f"a share has a part between 0 and the whole, which is at least 1: {part} of {whole}")
    difference = current / of_current - reference / of_reference
    total, whole = reference + current, of_reference + of_current
    share = total / whole
    spread = share * (1 - share)
    if spread == 0:
        return RateTest(0.0, 0.0, 1.0, "exact")
    standardised = difference / spread**0.5
    least, most = max(0, total - of_reference), min(total, of_current)
    if most - least > _EXACT_UP_TO:
        z = standardised / (1 / of_reference + 1 / of_current) ** 0.5
        return RateTest(difference, standardised, float(2 * stats.norm.sf(abs(z))), "score")
    chances = _chances(least, most, total, of_reference, of_current)
    # The same as scipy's: outcomes that are as unlikely, up to rounding.
    p = float(chances[chances <= chances[current - least] * (1 + 1e-7)].sum())
    return RateTest(difference, standardised, min(1.0, p), "exact")


def _chances(least: int, most: int, total: int, of_reference: int, of_current: int) -> Floats:
    """Hypergeometric chances of each outcome, from the ratios of neighbours: fast, and no large logarithms cancel."""
    k = np.arange(least, most, dtype=np.float64)
    ratios = np.log((total - k) * (of_current - k)) - np.log((k + 1) * (of_reference - total + k + 1))
    logs = np.concatenate(([0.0], ratios.cumsum()))
    chances = np.exp(logs - logs.max())
    return chances / chances.sum()
