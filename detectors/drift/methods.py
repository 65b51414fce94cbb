"""The statistics by name, as a permutation test takes them."""

from collections.abc import Callable

import numpy as np

from .categorical import chi_square, jensen_shannon, largest_residual, psi
from .cells import Ints, Pair
from .numeric import anderson_darling, cramer_von_mises, kolmogorov_smirnov, wasserstein
from .permutation import Statistics

NUMERIC: dict[str, Callable[[Pair], Statistics]] = {
    "wasserstein+anderson_darling": lambda at: lambda r, c: (wasserstein(r, c, at.points), anderson_darling(r, c)),
    "wasserstein": lambda at: lambda r, c: (wasserstein(r, c, at.points),),
    "anderson_darling": lambda at: lambda r, c: (anderson_darling(r, c),),
    "cramer_von_mises": lambda at: lambda r, c: (cramer_von_mises(r, c),),
    "kolmogorov_smirnov": lambda at: lambda r, c: (kolmogorov_smirnov(r, c),),
    "jensen_shannon": lambda at: lambda r, c: (jensen_shannon(r, c),),
    "psi": lambda at: lambda r, c: (psi(r, c),),
}
CATEGORICAL: dict[str, Statistics] = {
    "chi_square+largest_residual": lambda r, c: (chi_square(r, c), largest_residual(r, c)),
    "chi_square": lambda r, c: (chi_square(r, c),),
    "largest_residual": lambda r, c: (largest_residual(r, c),),
    "jensen_shannon": lambda r, c: (jensen_shannon(r, c),),
    "psi": lambda r, c: (psi(r, c),),
}
# What tests of numbers and of categories are made with unless said otherwise.
OF_NUMBERS, OF_CATEGORIES = "wasserstein+anderson_darling", "chi_square+largest_residual"


def statistic(method: str, pair: Pair, deviation: float) -> float:
    """What the (first) statistic of a method is for numbers; Wasserstein's by the deviation."""
    found = float(NUMERIC[method](pair)(pair.reference, pair.current)[0])
    return found / deviation if method.startswith("wasserstein") and deviation > 0 else found


def category_statistic(method: str, reference: Ints, current: Ints) -> float:
    """What the (first) statistic of a method is for categories."""
    return float(np.asarray(CATEGORICAL[method](reference, current)[0]))
