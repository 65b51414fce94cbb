"""Metrics of a model that predicts a number."""

import math
from collections.abc import Mapping

from msgspec import Struct

from .estimates import Estimate, half_width, mean


class Residuals(Struct, frozen=True):
    """Sums over labelled predictions, e being prediction − label."""

    n: int
    errors: float
    """Σ e."""
    squares: float
    """Σ e²."""
    fourths: float
    """Σ e⁴."""
    absolute: float
    """Σ |e|."""
    relative: float
    """Σ |e| / max(|label|, ε)."""
    relative_squares: float
    variation: float
    """Σ (label − mean label)²."""
    pinball: Mapping[float, float] = {}
    """By quantile q, Σ max(q·(−e), (q − 1)·(−e))."""


def of_residuals(residuals: Residuals) -> dict[str, Estimate]:
    """MAE, RMSE, MAPE, R², bias and quantile losses; what is undefined is left out.

    The interval of RMSE is the delta method's over that of the mean square.

    >>> metrics = of_residuals(Residuals(2, 0.0, 2.0, 2.0, 2.0, 1.0, 0.5, 8.0))
    >>> metrics["mae"].value, metrics["rmse"].value, metrics["r2"].value
    (1.0, 1.0, 0.75)
    """
    n = residuals.n
    metrics: dict[str, Estimate] = {}
    for name, total, squares in (
        ("mae", residuals.absolute, residuals.squares),
        ("mape", residuals.relative, residuals.relative_squares),
        ("bias", residuals.errors, residuals.squares),
    ):
        estimate = mean(total, squares, n)
        if estimate is not None:
            metrics[name] = estimate
    if n:
        metrics["rmse"] = _rmse(residuals)
    if n > 1 and residuals.variation > 0:
        metrics["r2"] = Estimate(1 - residuals.squares / residuals.variation, n)
    metrics |= {
        f"quantile_loss_{quantile:g}": Estimate(total / n, n) for quantile, total in residuals.pinball.items() if n
    }
    return metrics


def _rmse(residuals: Residuals) -> Estimate:
    n, square = residuals.n, residuals.squares / residuals.n
    root = math.sqrt(square)
    if n == 1 or root == 0:
        return Estimate(root, n)
    of_square = max(0.0, residuals.fourths - n * square * square) / (n - 1) / n
    half = half_width(math.sqrt(of_square) / (2 * root))
    return Estimate(root, n, max(0.0, root - half), root + half)
