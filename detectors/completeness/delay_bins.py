"""Bins of delay that a life table is made of."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EVEN_BINS = 32
QUANTILE_BINS = 64


def bin_edges(delays_s: Floats, window_s: float) -> Floats:
    """Edges from 0 to the attribution window: even ones, and quantiles of the delays where most labels come.

    Bin b holds delays in (edges[b], edges[b + 1]], the first one 0 too; at most `EVEN_BINS` + `QUANTILE_BINS` bins.

    >>> edges = bin_edges(np.array([1.0, 2.0, 60.0]), 3200.0)
    >>> edges[:5].tolist(), float(edges[-1])
    ([0.0, 1.0, 2.0, 60.0, 100.0], 3200.0)
    """
    even = np.linspace(0.0, window_s, EVEN_BINS + 1)
    inside = delays_s[(delays_s > 0) & (delays_s < window_s)]
    if not inside.size:
        return even
    # Quantiles that are delays themselves: labels that come after exactly a day end a bin.
    quantiles = np.quantile(inside, np.linspace(0.0, 1.0, QUANTILE_BINS), method="inverted_cdf")
    return np.unique(np.concatenate([even, quantiles]))


def bin_of(delays_s: Floats, edges: Floats) -> Ints:
    """The bin of each delay.

    >>> bin_of(np.array([0.0, 1.0, 1.5, 2.0]), np.array([0.0, 1.0, 2.0])).tolist()
    [0, 0, 1, 1]
    """
    return np.clip(np.searchsorted(edges, delays_s, side="left") - 1, 0, len(edges) - 2)


def whole_bins(ages_s: Floats, edges: Floats) -> Ints:
    """How many bins a prediction of each age has behind it.

    >>> whole_bins(np.array([0.5, 1.0, 9.0]), np.array([0.0, 1.0, 2.0])).tolist()
    [0, 1, 2]
    """
    return np.clip(np.searchsorted(edges, ages_s, side="right") - 1, 0, len(edges) - 1)
