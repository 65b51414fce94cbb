"""Metrics of a classifier with any number of classes, from its confusion matrix."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from .estimates import Estimate, from_counts, proportion

Confusion = Mapping[tuple[str, str], int]
"""How often (label, prediction) came together."""


def of_confusion(confusion: Confusion) -> dict[str, Estimate]:
    """Accuracy, and precision, recall and F1 as micro, macro and weighted means; micro means all equal the accuracy.

    Classes are those of labels and of predictions. A class that was never predicted has precision 0, one that never
    happened recall 0, as with scikit-learn's ``zero_division=0``. Intervals are the delta method's over the matrix as a
    multinomial sample, as in Takahashi et al., Applied Intelligence 2022.

    >>> metrics = of_confusion({("cat", "cat"): 3, ("cat", "dog"): 1, ("dog", "dog"): 4})
    >>> metrics["accuracy"].value, round(metrics["macro_f1"].value, 4)
    (0.875, 0.873)
    """
    n = sum(confusion.values())
    right: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    predictions: Counter[str] = Counter()
    for (label, predicted), count in sorted(confusion.items()):
        labels[label] += count
        predictions[predicted] += count
        if label == predicted:
            right[label] += count
    accuracy = proportion(right.total(), n)
    if accuracy is None:
        return {}
    metrics = {"accuracy": accuracy} | {f"micro_{name}": accuracy for name in ("precision", "recall", "f1")}
    classes = sorted(labels.keys() | predictions.keys())
    both = Counter(labels)
    both.update(predictions)
    for name, scale, whole in (("precision", 1, predictions), ("recall", 1, labels), ("f1", 2, both)):
        ratio = {each: scale * right[each] / whole[each] if whole[each] else 0.0 for each in classes}
        macro = dict.fromkeys(classes, n / len(classes))
        for mean, weights in (("macro", macro), ("weighted", labels)):
            value = sum(weights[each] * ratio[each] for each in classes) / n
            gradient = _Gradient(name, mean == "weighted", scale, weights, whole, ratio, n)
            by_cell = {cell: gradient.of(*cell) for cell in confusion}
            metrics[f"{mean}_{name}"] = from_counts(value, by_cell, confusion)
    return metrics


class _Gradient(Struct):
    """Derivatives of Σ weight·scale·right/whole, all as shares of n, by the share of each cell of the matrix."""

    name: str
    weighted: bool
    scale: int
    weights: Mapping[str, float]
    whole: Mapping[str, int]
    ratio: Mapping[str, float]
    n: int

    def of(self, label: str, predicted: str) -> float:
        """By the share of predictions that were `predicted` while `label` happened."""
        slope = self._by_whole(label) if self.name != "precision" else 0.0
        slope += self._by_whole(predicted) if self.name != "recall" else 0.0
        if label == predicted and self.whole[label]:
            slope += self.weights[label] * self.scale / self.whole[label]
        return slope + (self.ratio[label] if self.weighted else 0.0)

    def _by_whole(self, each: str) -> float:
        return -self.weights[each] * self.ratio[each] / self.whole[each] if self.whole[each] else 0.0
