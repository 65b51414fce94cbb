"""Columns together: do they depend on each other as in the reference?

It finds what no column shows by itself, such as a correlation that turned, and nothing that one does (`parts.py`). A
classifier tells rows of now from rows of the reference by the products of two columns, as far as their means differ
(shrunken centroids: Tibshirani et al., PNAS 2002), on those folds that a row is not in. The area under its ROC curve is
compared with that of random labels, everything learned anew. Lopez-Paz and Oquab, "Revisiting classifier two-sample
tests", ICLR 2017.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from .compare import reason
from .forward import forward_test
from .numeric import Floats
from .parts import Part, parts_of
from .result import Drift, Question, Reason, Shift

LEAST_ROWS, MOST_ROWS = 50, 1_000
AUC_THRESHOLD = 0.02
"""Beyond 0.5: of two columns, a correlation that moved by 0.1 gives about as much."""
_FOLDS, _TOP = 5, 5
# Draws in all, and the p-value above which no more are made: as `permutation.STAGES`, of fewer.
_STAGES = ((49, 0.25), (199, 0.0))
_CERTAIN = 1e-5

Columns = Mapping[str, np.ndarray]


class Turned(NamedTuple):
    """Two parts of a row, their correlation in the reference and now, and by how many deviations it differs."""

    first: Part
    second: Part
    expected: float
    seen: float
    deviations: float

    def __str__(self) -> str:
        return f"{self.first} · {self.second}"


def compare_rows(
    reference: Columns, current: Columns, *, name: str = "rows", segment: str = "", seed: int = 0
) -> Drift:
    """Columns of sampled rows by name: floats (NaN is missing) are numbers, anything else categories (None is missing).

    Of more than 1,000 rows of a side as many are taken at random; of more than 60 numbers in a row, the first.
    `statistic` is the area under the curve, `effect` what it is above 0.5, evidence the correlations that turned most.

    Raises:
        ValueError: the sides have other columns, or columns of unequal length.

    >>> both = np.random.default_rng(3).normal(0, 1, (400, 2))
    >>> found = compare_rows({"a": both[:, 0], "b": both[:, 1]}, {"a": both[:, 0], "b": both[:, 0] + both[:, 1]})
    >>> found.drifted_alone, found.evidence[0].name
    (True, 'a · b')
    """
    pairs = _Pairs.of(reference, current, seed)
    n, m = pairs.n, pairs.m
    if min(n, m) < LEAST_ROWS or not pairs.first.size:
        return _as_drift(math.nan, None, n, m, (), name, segment)
    auc, p_value = classify(pairs.products, n, np.random.default_rng(seed))
    evidence = (
        tuple(Shift(str(each), each.expected, each.seen) for each in pairs.turned(_TOP)) if p_value <= 0.05 else ()
    )
    return _as_drift(auc, p_value, n, m, evidence, name, segment)


def most_turned(reference: Columns, current: Columns, *, seed: int = 0) -> tuple[Turned | None, list[int]]:
    """What `compare_rows` of the same would name first, and the five rows of now that show it most."""
    pairs = _Pairs.of(reference, current, seed)
    if not pairs.first.size:
        return None, []
    largest = pairs.turned(1)[0]
    shown = pairs.products[pairs.n :, pairs.largest(1)[0]] * math.copysign(1, largest.seen - largest.expected)
    return largest, pairs.kept_of_current[np.argsort(-shown, kind="stable")[:_TOP]].tolist()


class _Pairs(NamedTuple):
    """Products of two parts of different columns, each standardised, in rows of the reference first."""

    parts: Sequence[Part]
    values: Floats
    first: np.ndarray
    second: np.ndarray
    products: np.ndarray
    n: int
    kept_of_current: np.ndarray

    @property
    def m(self) -> int:
        return len(self.values) - self.n

    @classmethod
    def of(cls, reference: Columns, current: Columns, seed: int) -> "_Pairs":
        if reference.keys() != current.keys() or not reference:
            raise ValueError(f"both sides need the same columns: {sorted(reference)} and {sorted(current)}")
        random = np.random.default_rng(seed)
        kept = [random.permutation(_length(side))[:MOST_ROWS] for side in (reference, current)]
        before, after = (
            {key: np.asarray(column)[rows] for key, column in side.items()}
            for side, rows in zip((reference, current), kept, strict=True)
        )
        parts, values = parts_of(before, after) if min(map(len, kept)) else ([], np.zeros((sum(map(len, kept)), 0)))
        first, second = np.triu_indices(len(parts), 1)
        columns = np.array([each.column for each in parts], object)
        of_two = columns[first] != columns[second] if len(parts) else np.zeros(0, bool)
        first, second = first[of_two], second[of_two]
        products = (values[:, first] * values[:, second]).astype(np.float32)
        deviation = products.std(0)
        products = (products - products.mean(0)) / np.where(deviation > 1e-6, deviation, 1)
        return cls(parts, values, first, second, products, len(kept[0]), kept[1])

    def largest(self, most: int) -> list[int]:
        is_current = np.arange(len(self.values)) >= self.n
        return np.argsort(-np.abs(_differences(self.products, is_current)), kind="stable")[:most].tolist()

    def turned(self, most: int) -> list[Turned]:
        """The pairs whose correlations differ most, by their deviation."""
        differences = _differences(self.products, np.arange(len(self.values)) >= self.n)
        found: list[Turned] = []
        for at in self.largest(most):
            one, other = self.first[at], self.second[at]
            both = self.values[:, one] * self.values[:, other]
            found.append(
                Turned(
                    self.parts[one], self.parts[other], float(both[: self.n].mean()), float(both[self.n :].mean()),
                    float(differences[at]),
                )
            )  # fmt: skip
        return found


def classify(rows: np.ndarray, n_reference: int, random: np.random.Generator) -> tuple[float, float]:
    """Area under the curve out of fold, and its p-value, of rows (N, P) of which the first are the reference's."""
    n = len(rows)
    truth = np.arange(n) >= n_reference
    fold = random.permutation(n) % _FOLDS
    aucs = _areas(rows, truth[:, None], fold)
    p_value, bound = 1.0, None
    for until, enough in _STAGES:
        if bound is not None and bound < _CERTAIN:
            break
        labels = np.stack([truth[random.permutation(n)] for _ in range(until + 1 - aucs.size)], axis=1)
        aucs = np.concatenate((aucs, _areas(rows, labels, fold)))
        p_value = float(np.mean(aucs >= aucs[0]))
        if p_value > enough:
            break
        if bound is None and p_value <= 2 / aucs.size:
            bound = forward_test(rows, truth, _weights, random)
    # Draws show no smaller one: where none comes near, what the bound says holds by itself.
    return float(aucs[0]), p_value if bound is None or p_value > 2 / aucs.size else min(p_value, bound)


def _areas(rows: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> Floats:
    """Of the curves of each column of labels (N, L)."""
    n, m = len(rows), int(labels[:, 0].sum())
    scores = np.empty(labels.shape, np.float32)
    for each in range(_FOLDS):
        inside = fold == each
        scores[inside] = rows[inside] @ _shrunken(rows[~inside], labels[~inside])
    ranks = stats.rankdata(np.round(scores, 3), axis=0)
    return np.round(((ranks * labels).sum(0) - m * (m + 1) / 2) / (m * (n - m)), 9)


def _weights(rows: np.ndarray, is_current: np.ndarray) -> np.ndarray:
    return _shrunken(rows, is_current[:, None])[:, 0]


def _shrunken(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Differences of means (P, L), in deviations, less those that chance gives the largest of so many."""
    found = _differences(rows, labels)
    size = np.abs(found)
    # Of one product nothing is left out, of thousands what is below three deviations; the largest never.
    least = np.minimum(0.75 * math.sqrt(2 * math.log(len(found))), 0.9 * size.max(0))
    return np.sign(found) * np.maximum(size - least, 0)


def _differences(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    share = labels.mean(0)
    centred = (labels - share).astype(np.float32)
    return rows.T @ centred / np.sqrt(len(rows) * share * (1 - share)).astype(np.float32)


def _length(side: Columns) -> int:
    lengths = {len(column) for column in side.values()}
    if len(lengths) != 1:
        raise ValueError(f"columns of one side have unequal lengths: {sorted(lengths)}")
    return lengths.pop()


def _as_drift(
    auc: float, p_value: float | None, n: int, m: int, evidence: tuple[Shift, ...], name: str, segment: str
) -> Drift:
    return Drift(
        question=Question.VALUES, kind="rows", method="domain_classifier", statistic=auc, effect=auc - 0.5,
        threshold=AUC_THRESHOLD, p_value=p_value, n_reference=n, n_current=m,
        reason=Reason.TOO_FEW if p_value is None else reason(p_value, auc - 0.5, AUC_THRESHOLD),
        evidence=evidence, name=name, segment=segment,
    )  # fmt: skip
