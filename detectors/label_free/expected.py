"""The metrics that a window of scored predictions is expected to have, from the chance that each score means."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..quality.estimates import Estimate, half_width
from .calibration import Calibration

_Floats = npt.NDArray[np.float64]


class ScoredBin(Struct, frozen=True):
    """`n` predictions of one stratum and bin of score that were given the same class."""

    stratum: int
    bin: int
    said_positive: bool
    n: int


class Chances(Struct, frozen=True):
    """Predictions by bin of score, stratum and predicted class: `n` of each, of which `happened` are positive.

    `happened` need not be whole: expected, or counted.
    """

    bins: npt.NDArray[np.int64]
    said: _Floats
    """1 or 0."""
    n: _Floats
    happened: _Floats


class Metric(Struct, frozen=True):
    """A value, and how much it changes with one more positive in each bin."""

    value: float
    gradient: _Floats


def expected(calibration: Calibration, cells: Sequence[ScoredBin]) -> dict[str, Estimate]:
    """Accuracy, precision, recall, F1 and ROC AUC as the calibrated chances have them; the undefined are left out.

    They are those of the expected confusion matrix (CBPE, arXiv 2401.08348), and of the expected positives and
    negatives of each bin for ROC AUC. The 95 % interval is for what the metric will come out as, by the delta method:
    from the chance of each outcome, n·q·(1 − q) a cell, and from the labels that the calibration is made of, q·(1 − q)
    over their number in each stratum and level. It knows nothing of a change in what a score means: no estimate without
    labels does.

    >>> from .calibration import LabelledBin, calibrate
    >>> calibration = calibrate([LabelledBin(0, -10, 5000, 1000, 5000), LabelledBin(0, 10, 5000, 4000, 5000)])
    >>> metrics = expected(calibration, [ScoredBin(0, -10, False, 300), ScoredBin(0, 10, True, 100)])
    >>> {name: round(metric.value, 3) for name, metric in metrics.items()}
    {'accuracy': 0.8, 'precision': 0.8, 'recall': 0.571, 'f1': 0.667, 'roc_auc': 0.747}
    """
    chances = expected_chances(calibration, cells)
    n = int(chances.n.sum())
    metrics: dict[str, Estimate] = {}
    for name, metric in metrics_of(chances).items():
        half = half_width(standard_error(calibration, cells, chances, metric))
        metrics[name] = Estimate(metric.value, n, max(0.0, metric.value - half), min(1.0, metric.value + half))
    return metrics


def expected_chances(calibration: Calibration, cells: Sequence[ScoredBin]) -> Chances:
    """The positives that the calibration expects in each cell."""
    bins = np.array([cell.bin for cell in cells], np.int64)
    n = np.array([cell.n for cell in cells], np.float64)
    chance = calibration.chance([cell.stratum for cell in cells], bins)
    return Chances(bins, np.array([cell.said_positive for cell in cells], np.float64), n, n * chance)


def metrics_of(chances: Chances) -> dict[str, Metric]:
    """Each metric that is defined."""
    found = {name: metric(chances) for name, metric in _METRICS.items()}
    return {name: metric for name, metric in found.items() if metric is not None}


def standard_error(calibration: Calibration, cells: Sequence[ScoredBin], expectation: Chances, metric: Metric) -> float:
    """How far a metric may come out from what was expected: of outcomes that are chances, and of few known labels."""
    chance = expectation.happened / expectation.n
    variance = float(np.sum(expectation.n * chance * (1 - chance) * metric.gradient**2))
    pull: dict[tuple[int, int], list[float]] = {}
    levels = calibration.level(expectation.bins).tolist()
    slopes = (expectation.n * metric.gradient).tolist()
    for cell, level, slope, happened in zip(cells, levels, slopes, expectation.happened.tolist(), strict=True):
        of_group = pull.setdefault((cell.stratum, level), [0.0, 0.0, 0.0])
        of_group[0] += slope
        of_group[1] += cell.n
        of_group[2] += happened
    for group, (slope, n, happened) in pull.items():
        variance += slope * slope * calibration.variance(*group, happened / n)
    return math.sqrt(variance)


def _accuracy(of: Chances) -> Metric | None:
    n = of.n.sum()
    right = np.sum(of.said * of.happened + (1 - of.said) * (of.n - of.happened))
    return Metric(float(right / n), (2 * of.said - 1) / n) if n else None


def _precision(of: Chances) -> Metric | None:
    said = np.sum(of.said * of.n)
    return Metric(float(np.sum(of.said * of.happened) / said), of.said / said) if said else None


def _recall(of: Chances) -> Metric | None:
    positives = of.happened.sum()
    if not positives:
        return None
    recall = float(np.sum(of.said * of.happened) / positives)
    return Metric(recall, (of.said - recall) / positives)


def _f1(of: Chances) -> Metric | None:
    both = np.sum(of.said * of.n) + of.happened.sum()
    if not both:
        return None
    f1 = float(2 * np.sum(of.said * of.happened) / both)
    return Metric(f1, (2 * of.said - f1) / both)


def _roc_auc(of: Chances) -> Metric | None:
    """Mann–Whitney's statistic over bins; two predictions of one bin are a tie."""
    bins, at = np.unique(of.bins, return_inverse=True)
    positive = np.bincount(at, of.happened, len(bins))
    negative = np.bincount(at, of.n - of.happened, len(bins))
    positives, negatives = positive.sum(), negative.sum()
    if positives <= 0 or negatives <= 0:
        return None
    beaten = (negative.cumsum() - negative / 2) / negatives
    beats = (positives - positive.cumsum() + positive / 2) / positives
    auc = float(np.sum(positive * beaten) / positives)
    gradient = (beaten - auc) / positives - (beats - auc) / negatives
    return Metric(auc, gradient[at])


_METRICS: dict[str, Callable[[Chances], Metric | None]] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "roc_auc": _roc_auc,
}
