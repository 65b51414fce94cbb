"""A p-value from the counts themselves: how often a random split of all values looks as different as this one.

Under "nothing changed", given the counts of both sides together, those of the current side are a draw from the
multivariate hypergeometric distribution: whatever the values' distribution and however small the sample, the test is
exact. With several statistics the smallest of their p-values is compared with the smallest ones of the draws (Westfall
and Young, "Resampling-Based Multiple Testing", 1993), so that looking at several costs what it must and no more.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .cells import Ints
from .numeric import Floats

Statistics = Callable[[Ints, Ints], Sequence[Floats]]
"""Of counts (..., K) of the reference and of the current side: statistics of shape (...), large ones being unlikely."""

# Draws in all, and the p-value above which no more are made. Stopping only on large ones keeps small ones exact.
STAGES = ((49, 0.25), (199, 0.1), (999, 0.005), (9_999, 0.0))
_AT_ONCE = 1_000_000
_CERTAIN = 1e-5


class Permutation(NamedTuple):
    """`p_value` is never below 1 / (`draws` + 1), but for a bound."""

    p_value: float
    draws: int


def permutation_test(
    reference: Ints,
    current: Ints,
    statistics: Statistics,
    *,
    seed: int = 0,
    stages: Sequence[tuple[int, float]] = STAGES,
    bound: Callable[[], float] | None = None,
) -> Permutation:
    """Compare counts of shape (K,) with random splits of their sum; the same counts and seed give the same answer.

    `bound` is one of the p-value that needs no draws: it counts where no draw comes near, and spares further ones.

    Raises:
        ValueError: one of the two sides is empty.
    """
    pooled, n = reference + current, int(current.sum())
    if not n or not int(reference.sum()):
        raise ValueError("a permutation test needs values on both sides")
    observed = np.stack(statistics(reference, current))
    if pooled.size < 2:
        return Permutation(1.0, 0)
    # Columns with other counts have other draws, also with the same seed.
    random = np.random.default_rng([seed, zlib.crc32(pooled.tobytes())])
    seen = observed[:, None]
    p_value, draws = 1.0, 0
    for until, enough in stages:
        if bound is not None and draws and p_value <= 2 / (draws + 1) and bound() < _CERTAIN:
            break
        parts = [seen]
        for first in range(draws, until, step := max(1, _AT_ONCE // pooled.size)):
            drawn = random.multivariate_hypergeometric(pooled, n, min(step, until - first), method="marginals")
            parts.append(np.stack(statistics(pooled - drawn, drawn)))
        seen, draws = np.concatenate(parts, 1), until
        p_value = _smallest(seen)
        if p_value > enough:
            break
    if bound is not None and p_value <= 2 / (draws + 1):
        p_value = min(p_value, bound())
    return Permutation(p_value, draws)


def _smallest(seen: Floats) -> float:
    """p-value of the first of several splits, seen of shape (statistics, splits)."""
    # Rounding must not make equal ones differ.
    rounded = np.round(seen, 10)
    best = np.full(seen.shape[1], seen.shape[1])
    for each in rounded:
        ascending = np.sort(each)
        best = np.minimum(best, each.size - np.searchsorted(ascending, each, "left"))
    return float(np.count_nonzero(best <= best[0]) / best.size)
