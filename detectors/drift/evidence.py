"""Where a distribution changed most."""

import numpy as np

from .cells import Categories, Pair
from .result import Shift

TOP = 5
_PARTS = 10


def of_numbers(pair: Pair) -> tuple[Shift, ...]:
    """Of about ten stretches with as many of all numbers each, those whose share changed most."""
    pooled = pair.reference + pair.current
    part = np.floor((pooled.cumsum() - pooled / 2) / pooled.sum() * _PARTS)
    start = np.flatnonzero(np.diff(part, prepend=np.nan))
    end = np.append(start[1:], pooled.size) - 1
    expected, seen = (np.add.reduceat(each, start) / each.sum() for each in (pair.reference, pair.current))
    low, high = pair.points[start], pair.points[end]
    names = [f"{a:.4g} to {b:.4g}" if b > a else f"{a:.4g}" for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    return tuple(
        Shift(names[at], float(expected[at]), float(seen[at]), float(low[at]), float(high[at]))
        for at in np.argsort(-np.abs(seen - expected), kind="stable")[:TOP].tolist()
    )


def of_categories(both: Categories) -> tuple[Shift, ...]:
    """The categories whose share changed most."""
    expected, seen = both.reference / both.reference.sum(), both.current / both.current.sum()
    return tuple(
        Shift(both.names[at], float(expected[at]), float(seen[at]))
        for at in np.argsort(-np.abs(seen - expected), kind="stable")[:TOP].tolist()
    )
