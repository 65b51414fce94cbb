"""p-values smaller than draws can show: what earlier rows say of a difference, held against the rows behind them.

Rows in a random order are cut into blocks. Whatever was learned from the blocks before it gives each row of a block a
score, and the rows of one side have higher ranks in it or not: the Wilcoxon statistic, whose distribution without a
difference does not depend on the scores. So the blocks' statistics are independent, however alike what was learned,
and their sum has a known variance. Learning from one part and testing on another is Lopez-Paz and Oquab's (ICLR 2017).
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

_BLOCKS, _LEARNED_FIRST = 8, 2


def forward_test(
    rows: np.ndarray,
    is_current: np.ndarray,
    learn: Callable[[np.ndarray, np.ndarray], np.ndarray],
    random: np.random.Generator,
) -> float:
    """p-value of rows (N, P) of which `is_current` (N,) is true or false; 1 where it finds nothing to learn from.

    `learn` makes weights (P,) of rows and sides; higher sums of a row say that it is a current one.

    >>> rows = np.repeat([[0.0], [1.0]], 200, axis=0) + np.tile([[0.1], [-0.1]], (200, 1))
    >>> mean = lambda rows, current: rows[current].mean(0) - rows[~current].mean(0)
    >>> forward_test(rows, rows[:, 0] > 0.5, mean, np.random.default_rng(0)) < 1e-20
    True
    """
    order = random.permutation(len(rows))
    rows, is_current = rows[order], is_current[order]
    block = np.arange(len(rows)) * _BLOCKS // len(rows)
    moved = variance = 0.0
    for each in range(_LEARNED_FIRST, _BLOCKS):
        before, inside = block < each, block == each
        sides = is_current[inside]
        n, m = int((~sides).sum()), int(sides.sum())
        if not (n and m and is_current[before].any() and not is_current[before].all()):
            continue
        scores = np.round(rows[inside] @ learn(rows[before], is_current[before]), 6)
        ranks = stats.rankdata(scores)
        moved += float(ranks[sides].sum()) - m * (n + m + 1) / 2
        # Ties are met in the middle: the variance of the ranks as they are.
        variance += n * m * float(ranks.var(ddof=1)) / (n + m)
    return float(stats.norm.sf(moved / math.sqrt(variance))) if variance > 0 else 1.0
