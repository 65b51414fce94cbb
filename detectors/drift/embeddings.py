"""Embeddings: do vectors of now come from where those of the reference came from?

By the maximum mean discrepancy (Gretton et al., JMLR 2012) with a Gaussian kernel in random Fourier features (Rahimi
and Recht, NIPS 2007), and a permutation null. Where no draw comes near, by its witness function, learned from some rows
and tested on others (Kübler et al., "A witness two-sample test", AISTATS 2022).
"""

import math

import numpy as np

from .compare import reason
from .forward import forward_test
from .numeric import Floats
from .result import Drift, Question

LEAST_ROWS, MOST_ROWS = 50, 1_000
MMD_THRESHOLD = 0.02
"""The discrepancy lies between 0 and √2. Of 1,000 rows a side hardly less is ever found."""
_FEATURES, _DRAWS, _MEDIAN_OF = 256, 499, 200


def compare_embeddings(
    reference: Floats, current: Floats, *, name: str = "embedding", segment: str = "", seed: int = 0
) -> Drift:
    """Sampled vectors of shape (rows, dimensions); of more than 1,000 rows of a side as many are taken at random.

    `statistic` is the squared discrepancy, `effect` the root of its unbiased estimate. Rows that are
    not finite are left out.

    Raises:
        ValueError: the shapes don't fit.

    >>> import numpy as np
    >>> before, after = np.random.default_rng(2).normal(0, 1, (2, 300, 16))
    >>> compare_embeddings(before, after).drifted_alone, compare_embeddings(before, after + 0.3).drifted_alone
    (False, True)
    """
    before, after = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    if before.ndim != 2 or after.ndim != 2 or before.shape[1] != after.shape[1]:
        raise ValueError(
            f"embeddings have shape (rows, dimensions), the same on both sides: {before.shape}, {after.shape}"
        )
    random = np.random.default_rng(seed)
    before, after = (side[np.isfinite(side).all(1)] for side in (before, after))
    before, after = (side[random.permutation(len(side))[:MOST_ROWS]] for side in (before, after))
    n, m = len(before), len(after)
    statistic, effect, p_value = math.nan, math.nan, None
    if min(n, m) >= LEAST_ROWS:
        statistic, effect, p_value = _mmd(np.concatenate((before, after)), n, random)
    return Drift(
        question=Question.VALUES, kind="embedding", method="mmd", statistic=statistic, effect=effect,
        threshold=MMD_THRESHOLD, p_value=p_value, n_reference=n, n_current=m,
        reason=reason(p_value, effect, MMD_THRESHOLD), name=name, segment=segment,
    )  # fmt: skip


def _mmd(rows: Floats, n: int, random: np.random.Generator) -> tuple[float, float, float]:
    total = len(rows)
    m = total - n
    some = rows[random.permutation(total)[:_MEDIAN_OF]]
    squares = (some**2).sum(1)
    distances = squares[:, None] + squares - 2 * some @ some.T
    width = math.sqrt(max(float(np.median(distances[np.triu_indices(len(some), 1)])) / 2, 1e-300))
    phases = (rows / width) @ random.normal(size=(rows.shape[1], _FEATURES // 2))
    features = np.concatenate((np.cos(phases), np.sin(phases)), axis=1) / math.sqrt(_FEATURES // 2)
    sign = np.full((_DRAWS + 1, total), -1 / n)
    sign[0, n:] = 1 / m
    for draw in range(1, _DRAWS + 1):
        sign[draw, random.permutation(total)[:m]] = 1 / m
    discrepancies = np.round(((sign @ features) ** 2).sum(1), 12)
    statistic = float(discrepancies[0])
    # Under no change its mean is that of the draws.
    effect = math.sqrt(max(0.0, statistic - float(discrepancies[1:].mean())))
    p_value = float(np.mean(discrepancies >= statistic))
    if p_value <= 2 / (_DRAWS + 1):
        p_value = min(p_value, forward_test(features, np.arange(total) >= n, _witness, random))
    return statistic, effect, p_value


def _witness(rows: np.ndarray, is_current: np.ndarray) -> np.ndarray:
    return rows[is_current].mean(0) - rows[~is_current].mean(0)
