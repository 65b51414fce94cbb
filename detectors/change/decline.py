"""A fall that is no decline: how much likelier it is that a mean fell at once than that it only went on to fall.

The errors of a model that learns fall all the time, at first much and then less and less. Such a curve is taken to be
a + b·t + c·ln t, where t counts values since the window began. What a step explains beyond the curve is evidence of a
fall; what the curve explains by itself is none (Perron, "The great crash, the oil price shock, and the unit root
hypothesis", Econometrica 1989; on the shape of learning curves, Viering and Loog, IEEE TPAMI 2023).
"""

import math
from typing import NamedTuple

import numpy as np

_NONE = 1e-9


class Decline(NamedTuple):
    """In nats: how much likelier the curve alone is than a constant mean, and the curve with a step down at each place
    between two blocks than the curve alone."""

    curve: float
    falls: np.ndarray


def decline(n: np.ndarray, totals: np.ndarray, squares: np.ndarray) -> Decline:
    """Of a window in blocks, the oldest first: values of each, their sums and their sums of squares. Errors are normal
    with one unknown variance, as good as binomial ones once they are many.

    >>> n = np.full(8, 1000.0)
    >>> abrupt, gradual = np.repeat([300.0, 200.0], 4), np.linspace(300.0, 200.0, 8)
    >>> [round(float(decline(n, ones, ones).falls.max())) for ones in (abrupt, gradual)]
    [12, 0]
    """
    weights = np.sqrt(n)
    middles = n.cumsum() - n / 2
    shapes = np.column_stack([np.ones_like(n), middles / middles[-1], np.log(middles)])
    curves, _ = np.linalg.qr(shapes * weights[:, None])
    means = totals / weights
    rests = means - curves @ (curves.T @ means)
    around = squares.sum() - totals.sum() ** 2 / n.sum()
    within = squares.sum() - means @ means + rests @ rests
    if within <= _NONE * around:
        return Decline(math.inf, np.zeros(len(n) - 1))
    # Of a step that is 1 after each place, what the curve leaves of it: its product with the rests, and its square.
    products, of_curves = _after(rests * weights), _after(curves * weights[:, None])
    left = _after(n) - (of_curves**2).sum(axis=1)
    explained = np.where((products < 0) & (left > _NONE * n.sum()), products**2 / np.maximum(left, _NONE), 0.0)
    falls = -0.5 * n.sum() * np.log1p(-np.minimum(explained / within, 1 - _NONE))
    return Decline(0.5 * n.sum() * float(np.log(around / within)), falls)


def _after(values: np.ndarray) -> np.ndarray:
    """Sums of what comes after each place between two."""
    return values[::-1].cumsum(axis=0)[::-1][1:]
