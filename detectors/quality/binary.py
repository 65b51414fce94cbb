"""Metrics of a classifier with two classes."""

import math

from msgspec import Struct

from .estimates import Estimate, from_counts, half_width, mean, proportion

BINS = 10


class Decisions(Struct, frozen=True):
    """Labelled predictions by what was predicted and what happened."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0


class Scores(Struct, frozen=True):
    """Sums over the labelled predictions that have a score, y being 1 or 0 and p the score of y = 1."""

    n: int
    positives: int
    roc_auc: float
    """Mann–Whitney's statistic over n₁·n₀, ties counting half; NaN with one class alone."""
    pr_auc: float
    """Average precision: Σ (Rₖ − Rₖ₋₁) Pₖ over the distinct scores."""
    log_loss: float
    """Σ −ln of the score given to what happened, scores clipped to [ε, 1 − ε]."""
    log_loss_squares: float
    brier: float
    """Σ (p − y)²."""
    brier_squares: float
    bins: tuple["ReliabilityBin", ...] = ()
    """Of equal width over [0, 1], those with something in them."""


class ReliabilityBin(Struct, frozen=True):
    """A point of the reliability curve: `n` predictions whose scores sum to `scores`, of which `positives` happened."""

    n: int
    scores: float
    positives: int


def of_decisions(decisions: Decisions) -> dict[str, Estimate]:
    """Accuracy, precision, recall, specificity, F1 and prevalence; what is undefined is left out.

    >>> metrics = of_decisions(Decisions(true_positive=6, false_positive=2, false_negative=4, true_negative=8))
    >>> {name: round(metric.value, 4) for name, metric in metrics.items()}
    {'accuracy': 0.7, 'precision': 0.75, 'recall': 0.6, 'specificity': 0.8, 'f1': 0.6667, 'prevalence': 0.5}
    """
    tp, fp, fn, tn = (
        decisions.true_positive, decisions.false_positive, decisions.false_negative, decisions.true_negative,
    )  # fmt: skip
    n = tp + fp + fn + tn
    metrics = {
        "accuracy": proportion(tp + tn, n),
        "precision": proportion(tp, tp + fp),
        "recall": proportion(tp, tp + fn),
        "specificity": proportion(tn, tn + fp),
        "f1": _f1(tp, fp, fn, tn),
        "prevalence": proportion(tp + fn, n),
    }
    return {name: metric for name, metric in metrics.items() if metric is not None}


def confusion_of(decisions: Decisions) -> dict[tuple[str, str], int]:
    """How often (label, prediction) came together."""
    return {
        ("true", "true"): decisions.true_positive,
        ("true", "false"): decisions.false_negative,
        ("false", "true"): decisions.false_positive,
        ("false", "false"): decisions.true_negative,
    }


def of_scores(scores: Scores) -> dict[str, Estimate]:
    """ROC AUC, PR AUC, log loss, Brier score and expected calibration error; what is undefined is left out.

    The interval of ROC AUC is Hanley and McNeil's (Radiology 1982), of PR AUC the logit interval of Boyd, Eng and Page
    (ECML 2013), of the calibration error the normal one of the mean of ±(p − y), each bin with the sign of its gap.
    """
    if scores.n == 0:
        return {}
    metrics: dict[str, Estimate] = {}
    if 0 < scores.positives < scores.n:
        metrics["roc_auc"] = roc_auc(scores.roc_auc, scores.positives, scores.n - scores.positives)
    if scores.positives:
        metrics["pr_auc"] = _pr_auc(scores)
    for name, total, squares in (
        ("log_loss", scores.log_loss, scores.log_loss_squares),
        ("brier", scores.brier, scores.brier_squares),
    ):
        estimate = mean(total, squares, scores.n)
        if estimate is not None:
            metrics[name] = estimate
    if scores.bins:
        gap = sum(abs(bin_.scores - bin_.positives) for bin_ in scores.bins)
        estimate = mean(gap, scores.brier, scores.n)
        if estimate is not None:
            metrics["calibration_error"] = estimate._replace(lower=estimate.lower and max(0.0, estimate.lower))
    return metrics


def _pr_auc(scores: Scores) -> Estimate:
    value = scores.pr_auc
    if not 0 < value < 1:
        return Estimate(value, scores.n, value, value)
    odds, half = math.log(value / (1 - value)), half_width(1 / math.sqrt(scores.positives * value * (1 - value)))
    lower, upper = (1 / (1 + math.exp(-each)) for each in (odds - half, odds + half))
    return Estimate(value, scores.n, lower, upper)


def roc_auc(auc: float, positives: int, negatives: int) -> Estimate:
    """An area under the ROC curve over so many of each class, with Hanley and McNeil's interval (Radiology 1982)."""
    above = auc / (2 - auc)
    both = 2 * auc * auc / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (above - auc * auc) + (negatives - 1) * (both - auc * auc)
    ) / (positives * negatives)  # fmt: skip
    half = half_width(math.sqrt(max(0.0, variance)))
    return Estimate(auc, positives + negatives, max(0.0, auc - half), min(1.0, auc + half))


def _f1(tp: int, fp: int, fn: int, tn: int) -> Estimate | None:
    denominator = 2 * tp + fp + fn
    if denominator == 0:
        return None
    value = 2 * tp / denominator
    scale = (tp + fp + fn + tn) / denominator
    gradient = {"tp": 2 * scale * (1 - value), "fp": -scale * value, "fn": -scale * value, "tn": 0.0}
    return from_counts(value, gradient, {"tp": tp, "fp": fp, "fn": fn, "tn": tn})
