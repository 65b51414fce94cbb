"""What predictions carry, cut into a few strata."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .delay_bins import Floats

Codes = NDArray[np.int64]

STRATA = 9
"""Strata of a covariate: 0 for what is missing or rare, and eight more."""


class Cuts(Struct, frozen=True):
    """A number, by the octiles that it lies between. Missing and NaN are stratum 0."""

    cuts: tuple[float, ...]

    def codes(self, values: Floats) -> Codes:
        """The stratum of each value.

        >>> Cuts((1.0, 5.0)).codes(np.array([np.nan, 1.0, 3.0, 6.0])).tolist()
        [0, 1, 2, 3]
        """
        return np.where(np.isnan(values), 0, 1 + np.searchsorted(self.cuts, values, side="left"))


class Levels(Struct, frozen=True):
    """A text, by the most frequent ones. All others are stratum 0."""

    levels: tuple[str, ...]

    def codes(self, values: NDArray[np.object_]) -> Codes:
        """The stratum of each value.

        >>> Levels(("de", "fr")).codes(np.array(["fr", "", "de"], dtype=object)).tolist()
        [2, 0, 1]
        """
        places = {level: place for place, level in enumerate(self.levels, start=1)}
        return np.fromiter((places.get(value, 0) for value in values), np.int64, len(values))


def cut_numbers(values: Floats) -> Cuts:
    """Octiles of the finite values, each once.

    >>> cut_numbers(np.arange(1.0, 9.0)).cuts
    (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Cuts(())
    octiles = np.quantile(finite, np.arange(1, STRATA - 1) / (STRATA - 1), method="inverted_cdf")
    return Cuts(tuple(float(cut) for cut in np.unique(octiles)))


def cut_texts(values: NDArray[np.object_]) -> Levels:
    """The eight most frequent texts; of equally frequent ones the first in order.

    >>> cut_texts(np.array(["b", "a", "b", "c"], dtype=object)).levels
    ('b', 'a', 'c')
    """
    counted: dict[str, int] = {}
    for value in values:
        counted[value] = counted.get(value, 0) + 1
    counted.pop("", None)
    return Levels(tuple(sorted(counted, key=lambda text: (-counted[text], text))[: STRATA - 1]))
