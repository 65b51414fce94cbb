"""What chance of the positive class a score means, learned from predictions whose labels are known.

Scores are counted in bins of equal width in log-odds, a twentieth each: as fine for scores of a rare class, which are
all below 0.01, as for those around a half.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from .isotonic import isotonic

BINS_PER_LOGIT = 20
LAST_BIN = 10 * BINS_PER_LOGIT
"""Bins go from -LAST_BIN to LAST_BIN; log-odds beyond ±10 are in the outermost."""
LEVELS = 4
"""A stratum is corrected apart at so many levels of the score, with equally many labels each."""
PRIOR_LABELS = 100.0
"""How many labels of its own weigh as much, for a stratum, as what all strata say."""
ENOUGH_LABELS = 500.0
"""With fewer, calibration alone leaves an accuracy of a half uncertain by more than ±4.4 points at 95 %."""
ENOUGH_OF_A_CLASS = 25.0
"""With fewer, the rate of the rarer class is uncertain by more than 40 % of itself at 95 %."""

_CERTAIN = 1e-6
_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


class LabelledBin(Struct, frozen=True):
    """Labelled predictions of one stratum and bin of score: sums of their weights, of those of positive ones, of w²."""

    stratum: int
    bin: int
    weight: float
    positive: float
    squares: float


class Calibration(Struct, frozen=True):
    """Chances by bin and stratum. `labels` is how many labels of equal weight would say as much."""

    labels: float
    bins: _Floats
    chances: _Floats
    """Isotonic in `bins`, over all strata."""
    edges: _Floats
    """Between levels."""
    shifts: dict[tuple[int, int], float]
    """By stratum and level, in log-odds."""
    known: dict[tuple[int, int], float]
    """By stratum and level, the labels that its shift is made of."""

    def level(self, bins: _Ints) -> _Ints:
        """The level of each bin."""
        return np.searchsorted(self.edges, bins, side="right")

    def chance(self, strata: Sequence[int], bins: _Ints) -> _Floats:
        """The chance of the positive class for predictions of these strata and bins."""
        logits = _logit(np.interp(bins, self.bins, self.chances))
        levels = self.level(bins).tolist()
        logits += [self.shifts.get(group, 0.0) for group in zip(strata, levels, strict=True)]
        return 1 / (1 + np.exp(-logits))

    def variance(self, stratum: int, level: int, chance: float) -> float:
        """Of the mean chance of a stratum and level, for how few labels it is made of."""
        return chance * (1 - chance) / (self.known.get((stratum, level), 0.0) + min(PRIOR_LABELS, self.labels))


def calibrate(cells: Sequence[LabelledBin]) -> Calibration | None:
    """Isotonic regression over all cells, shifted in each stratum by what is known there. None of too few labels.

    A stratum's shift makes as many of its labels positive as were, at each level of the score; it is shrunken as if
    `PRIOR_LABELS` more had come out as those of all strata (empirical Bayes). A stratum never seen has none.

    >>> cells = [LabelledBin(0, -10, 500, 100, 500), LabelledBin(0, 10, 500, 400, 500)]
    >>> calibration = calibrate(cells)
    >>> calibration.chance([0, 0], np.array([-10, 10])).round(3).tolist()
    [0.2, 0.8]
    >>> calibrate(cells[:0]) is None
    True
    """
    weight, positive = sum(cell.weight for cell in cells), sum(cell.positive for cell in cells)
    squares = sum(cell.squares for cell in cells)
    if not squares:
        return None
    # Weights of which each counts as one label.
    scale = weight / squares
    if scale * weight < ENOUGH_LABELS or scale * min(positive, weight - positive) < ENOUGH_OF_A_CLASS:
        return None
    bins, at = np.unique([cell.bin for cell in cells], return_inverse=True)
    weights = np.bincount(at, [cell.weight * scale for cell in cells])
    positives = np.bincount(at, [cell.positive * scale for cell in cells])
    chances = np.array(isotonic((positives / weights).tolist(), weights.tolist()))
    quarters = np.arange(1, LEVELS) / LEVELS
    edges = bins[np.searchsorted(weights.cumsum() / weights.sum(), quarters)].astype(np.float64)
    shifts, known = _of_strata(cells, chances[at], np.searchsorted(edges, bins[at], side="right"), scale)
    return Calibration(scale * weight, bins.astype(np.float64), chances, edges, shifts, known)


def bin_of(score: float) -> int:
    """The bin of a score, 0 to 1.

    >>> bin_of(0.5), bin_of(0.0), bin_of(1.0), bin_of(0.001)
    (0, -200, 200, -139)
    """
    if score <= 0 or score >= 1:
        return LAST_BIN if score >= 1 else -LAST_BIN
    return max(-LAST_BIN, min(LAST_BIN, math.floor(BINS_PER_LOGIT * math.log(score / (1 - score)))))


def _of_strata(
    cells: Sequence[LabelledBin], chances: _Floats, levels: _Ints, scale: float
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    sums: dict[tuple[int, int], list[float]] = {}
    for cell, chance, level in zip(cells, chances.tolist(), levels.tolist(), strict=True):
        of_group = sums.setdefault((cell.stratum, level), [0.0, 0.0, 0.0])
        of_group[0] += scale * cell.weight
        of_group[1] += scale * cell.positive
        of_group[2] += scale * cell.weight * chance
    shifts = {}
    for group, (weight, positive, expected) in sums.items():
        mean = expected / weight
        shrunken = (positive + PRIOR_LABELS * mean) / (weight + PRIOR_LABELS)
        shifts[group] = float(_logit(np.array(shrunken)) - _logit(np.array(mean)))
    return shifts, {group: weight for group, (weight, _, _) in sums.items()}


def _logit(chance: _Floats) -> _Floats:
    chance = np.clip(chance, _CERTAIN, 1 - _CERTAIN)
    return np.log(chance / (1 - chance))
