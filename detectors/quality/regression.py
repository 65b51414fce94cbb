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
    r2_influence: float = 0.0
    """Σ (e²·V − S·(label − mean label)²)², V being the variance of the labels and S the mean of e²."""
    pinball: Mapping[float, tuple[float, float]] = {}
    """By quantile q, Σ l and Σ l² of the losses l = max(q·(−e), (q − 1)·(−e))."""


def of_residuals(residuals: Residuals) -> dict[str, Estimate]:
    """MAE, RMSE, MAPE, R², bias and quantile losses; what is undefined is left out.

    The intervals of RMSE and R² are the delta method's, over means of squares.

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
        metrics["r2"] = _r2(residuals)
    for quantile, (total, squares) in residuals.pinball.items():
        estimate = mean(total, squares, n)
        if estimate is not None:
            metrics[f"quantile_loss_{quantile:g}"] = estimate
    return metrics


def _r2(residuals: Residuals) -> Estimate:
    n, variance = residuals.n, residuals.variation / residuals.n
    value = 1 - residuals.squares / residuals.variation
    half = half_width(math.sqrt(residuals.r2_influence / n) / (variance * variance) / math.sqrt(n))
    return Estimate(value, n, value - half, min(1.0, value + half))


def _rmse(residuals: Residuals) -> Estimate:
    n, square = residuals.n, residuals.squares / residuals.n
    root = math.sqrt(square)
    if n == 1 or root == 0:
        return Estimate(root, n)
    of_square = max(0.0, residuals.fourths - n * square * square) / (n - 1) / n
    half = half_width(math.sqrt(of_square) / (2 * root))
    return Estimate(root, n, max(0.0, root - half), root + half)
