"""What was expected of predictions, beside what became of them: the estimator's own error."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from ..quality.binary import Decisions, of_decisions, roc_auc
from ..quality.estimates import Estimate, half_width
from .calibration import Calibration
from .expected import Chances, ScoredBin, expected_chances, metrics_of, standard_error


class AnsweredBin(Struct, frozen=True):
    """Labelled predictions of one stratum, bin of score and predicted class, and how many of them are positive."""

    scored: ScoredBin
    positives: int


def reconcile(calibration: Calibration, answered: Sequence[AnsweredBin]) -> dict[str, Estimate]:
    """For each metric its realised and its estimated value, and the gap between them, of the same predictions.

    `accuracy_realised` has its usual interval, `accuracy_estimated` that of the estimate. `accuracy_gap` is realised
    minus estimated: below 0 the model was worse than its scores promised. While a score means what it did, the gap's
    95 % interval holds 0; that it doesn't says that it no longer does: concept drift, which an estimate can't see.

    >>> from .calibration import LabelledBin, calibrate
    >>> calibration = calibrate([LabelledBin(0, -10, 5000, 1000, 5000), LabelledBin(0, 10, 5000, 4000, 5000)])
    >>> high, low = ScoredBin(0, 10, True, 100), ScoredBin(0, -10, False, 300)
    >>> found = reconcile(calibration, [AnsweredBin(high, 50), AnsweredBin(low, 60)])
    >>> round(found["precision_estimated"].value, 2), round(found["precision_realised"].value, 2)
    (0.8, 0.5)
    >>> round(found["precision_gap"].value, 2), found["precision_gap"].upper < 0
    (-0.3, True)
    """
    cells = [each.scored for each in answered]
    expectation = expected_chances(calibration, cells)
    counted = Chances(
        expectation.bins, expectation.said, expectation.n, np.array([each.positives for each in answered], np.float64)
    )
    realised, estimated, n = metrics_of(counted), metrics_of(expectation), int(counted.n.sum())
    intervals = _realised(counted, realised["roc_auc"].value if "roc_auc" in realised else None)
    found: dict[str, Estimate] = {}
    for name, metric in estimated.items():
        if name not in intervals:
            continue
        half = half_width(standard_error(calibration, cells, expectation, metric))
        gap = intervals[name].value - metric.value
        found[f"{name}_realised"] = intervals[name]
        found[f"{name}_estimated"] = Estimate(
            metric.value, n, max(0.0, metric.value - half), min(1.0, metric.value + half)
        )
        found[f"{name}_gap"] = Estimate(gap, n, gap - half, gap + half)
    return found


def _realised(counted: Chances, auc: float | None) -> dict[str, Estimate]:
    tp, positives = float(np.sum(counted.said * counted.happened)), float(counted.happened.sum())
    said, n = float(np.sum(counted.said * counted.n)), float(counted.n.sum())
    metrics = of_decisions(Decisions(int(tp), int(said - tp), int(positives - tp), int(n - said - positives + tp)))
    return metrics if auc is None else metrics | {"roc_auc": roc_auc(auc, int(positives), int(n - positives))}
