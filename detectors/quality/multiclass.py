"""Metrics of a classifier with any number of classes, from its confusion matrix."""

from collections import Counter
from collections.abc import Mapping

from .estimates import Estimate, proportion

Confusion = Mapping[tuple[str, str], int]
"""How often (label, prediction) came together."""


def of_confusion(confusion: Confusion) -> dict[str, Estimate]:
    """Accuracy, and precision, recall and F1 as macro and weighted means; micro means all equal the accuracy.

    Classes are those of labels and of predictions. A class that was never predicted has precision 0, one that never
    happened recall 0, as with scikit-learn's ``zero_division=0``.

    >>> metrics = of_confusion({("cat", "cat"): 3, ("cat", "dog"): 1, ("dog", "dog"): 4})
    >>> metrics["accuracy"].value, round(metrics["macro_f1"].value, 4)
    (0.875, 0.873)
    """
    n = sum(confusion.values())
    accuracy = proportion(sum(count for (label, predicted), count in confusion.items() if label == predicted), n)
    if accuracy is None:
        return {}
    labels: Counter[str] = Counter()
    predictions: Counter[str] = Counter()
    for (label, predicted), count in confusion.items():
        labels[label] += count
        predictions[predicted] += count
    classes = sorted(labels.keys() | predictions.keys())
    macro = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    weighted = dict(macro)
    for each in classes:
        right = confusion.get((each, each), 0)
        of_class = {
            "precision": _share(right, predictions[each]),
            "recall": _share(right, labels[each]),
            "f1": _share(2 * right, predictions[each] + labels[each]),
        }
        for name, value in of_class.items():
            macro[name] += value / len(classes)
            weighted[name] += value * labels[each] / n
    metrics = {"accuracy": accuracy}
    metrics |= {f"macro_{name}": Estimate(value, n) for name, value in macro.items()}
    metrics |= {f"weighted_{name}": Estimate(value, n) for name, value in weighted.items()}
    return metrics


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
