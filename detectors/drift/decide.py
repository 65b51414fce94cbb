"""Which of many comparisons drifted: the more one looks at, the more looks odd by chance alone."""

from collections.abc import Sequence
from enum import Enum

import msgspec
import numpy as np

from .compare import reason
from .numeric import Floats
from .result import Drift, Question

# How the level is shared between what is asked of a column. Most of it is for the values; rates that changed have
# p-values that need little of it.
WEIGHTS = {Question.VALUES: 8.0, Question.MISSING: 1.0, Question.INVALID: 1.0}


class Dependence(Enum):
    """What is known of how comparisons depend on each other."""

    POSITIVE = "positive"
    """Independent or positively dependent: Benjamini and Hochberg (JRSS B 1995)."""
    ARBITRARY = "arbitrary"
    """Anything: Benjamini and Yekutieli (Annals of Statistics 2001), at the price of power."""


def decide(drifts: Sequence[Drift], level: float = 0.05, dependence: Dependence = Dependence.POSITIVE) -> list[Drift]:
    """All comparisons of a window, over features, segments and questions, with `q_value`, `drifted` and `reason`.

    Of those called drifted at most the share `level` is false, on average; if nothing changed at all, at most in the
    share `level` of windows anything is called drifted. Questions have weights (Genovese, Roeder and Wasserman,
    Biometrika 2006). What is too small to matter has no part in it: its p-value counts as 1.

    Raises:
        ValueError: the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    asked = [at for at, each in enumerate(drifts) if each.p_value is not None]
    counted = np.array([_counted(drifts[at]) for at in asked], np.float64)
    weights = np.array([WEIGHTS[drifts[at].question] for at in asked], np.float64)
    q_values = adjusted(counted, dependence, weights)
    found = [msgspec.structs.replace(each, q_value=None, drifted=False) for each in drifts]
    for at, q_value in zip(asked, q_values.tolist(), strict=True):
        each = drifts[at]
        trifling = each.effect < each.threshold
        found[at] = msgspec.structs.replace(
            each, q_value=q_value, drifted=q_value <= level,
            reason=reason(each.p_value if trifling else q_value, each.effect, each.threshold, level),
        )  # fmt: skip
    return found


def adjusted(p_values: Floats, dependence: Dependence = Dependence.POSITIVE, weights: Floats | None = None) -> Floats:
    """q-values: the least level at which each would be rejected. Weights are made to be 1 on average.

    >>> adjusted(np.array([0.01, 0.02, 0.5])).round(3).tolist()
    [0.03, 0.03, 0.5]
    """
    m = p_values.size
    if not m:
        return p_values
    p = p_values if weights is None else p_values * weights.mean() / weights
    order = np.argsort(-p, kind="stable")
    factor = 1.0 if dependence is Dependence.POSITIVE else float(np.sum(1 / np.arange(1, m + 1)))
    stepped = np.minimum.accumulate(p[order] * factor * m / np.arange(m, 0, -1))
    q_values = np.empty(m)
    q_values[order] = np.minimum(stepped, 1.0)
    return q_values


def e_benjamini_hochberg(e_values: Floats, level: float = 0.05) -> np.ndarray:
    """Which are rejected by their e-values, however they depend on each other: Wang and Ramdas (JRSS B 2022).

    >>> e_benjamini_hochberg(np.array([100.0, 45.0, 1.0]), 0.05).tolist()
    [True, True, False]
    """
    m = e_values.size
    descending = np.sort(e_values)[::-1]
    enough = np.flatnonzero(descending >= m / (level * np.arange(1, m + 1)))
    return e_values >= (descending[enough[-1]] if enough.size else np.inf)


def _counted(drift: Drift) -> float:
    return 1.0 if drift.p_value is None or drift.effect < drift.threshold else drift.p_value
