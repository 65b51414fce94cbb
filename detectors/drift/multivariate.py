"""Columns together: can a classifier tell rows of now from rows of the reference?

It finds what no column shows by itself, such as a correlation that turned. Rows are scored by a ridge regression on
those folds that they are not in; the area under their ROC curve is compared with that of random labels, everything
fitted anew, so the p-value is exact. Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from .compare import reason
from .numeric import Floats
from .result import Drift, Question, Shift

LEAST_ROWS, MOST_ROWS = 50, 1_000
AUC_THRESHOLD = 0.02
"""Beyond 0.5: a shift of 0.08 deviations of one normal column among a few gives about as much."""
_FOLDS, _DRAWS, _PAIRS, _LEVELS, _TOP = 5, 499, 200, 20, 5


def compare_rows(
    reference: Mapping[str, np.ndarray],
    current: Mapping[str, np.ndarray],
    *,
    name: str = "rows",
    segment: str = "",
    seed: int = 0,
) -> Drift:
    """Columns of sampled rows by name: floats (NaN is missing) are numbers, anything else categories.

    Of more than 1,000 rows of a side as many are taken at random. `statistic` is the area under the curve,
    `effect` what it is above 0.5.

    Raises:
        ValueError: the sides have other columns, or columns of unequal length.
    """
    if reference.keys() != current.keys() or not reference:
        raise ValueError(f"both sides need the same columns: {sorted(reference)} and {sorted(current)}")
    random = np.random.default_rng(seed)
    before, after = _sampled(reference, random), _sampled(current, random)
    n, m = (len(next(iter(side.values()))) for side in (before, after))
    if min(n, m) < LEAST_ROWS:
        return _as_drift(float("nan"), None, n, m, (), name, segment, "domain_classifier")
    columns: list[Floats] = []
    evidence: list[tuple[float, Shift]] = []
    for key in sorted(before):
        both = np.concatenate((before[key], after[key]))
        encoded = _numeric(both) if np.issubdtype(both.dtype, np.floating) else _categorical(both)
        columns.extend(encoded)
        if np.issubdtype(both.dtype, np.floating):
            means = [
                float(np.nanmean(side[key])) if np.isfinite(side[key]).any() else np.nan for side in (before, after)
            ]
            moved = abs(float(encoded[0][n:].mean() - encoded[0][:n].mean()))
            evidence.append((moved, Shift(key, *means)))
    table = np.stack(columns, axis=1) if columns else np.zeros((n + m, 1))
    auc, p_value = classify(table, n, random)
    top = tuple(shift for _, shift in sorted(evidence, key=lambda each: -each[0])[:_TOP]) if p_value <= 0.05 else ()
    return _as_drift(auc, p_value, n, m, top, name, segment, "domain_classifier")


def classify(rows: Floats, n_reference: int, random: np.random.Generator) -> tuple[float, float]:
    """Area under the curve out of fold, and its p-value, of rows (N, P) of which the first are the reference's."""
    n = len(rows)
    features = _with_products(rows, random)
    labels = np.zeros((n, _DRAWS + 1), np.float32)
    labels[n_reference:, 0] = 1
    for draw in range(1, _DRAWS + 1):
        labels[random.permutation(n)[: n - n_reference], draw] = 1
    fold = random.permutation(n) % _FOLDS
    scores = np.empty((n, _DRAWS + 1), np.float32)
    for each in range(_FOLDS):
        inside = fold == each
        fitted, truth = features[~inside], labels[~inside]
        gram = fitted.T @ fitted + np.float32(len(fitted) * 0.1) * np.eye(features.shape[1], dtype=np.float32)
        weights = np.linalg.solve(gram, fitted.T @ (truth - truth.mean(0)))
        scores[inside] = features[inside] @ weights
    ranks = stats.rankdata(np.round(scores, 6), axis=0)
    m = n - n_reference
    aucs = ((ranks * labels).sum(0) - m * (m + 1) / 2) / (m * n_reference)
    return float(aucs[0]), float(np.mean(np.round(aucs, 9) >= np.round(aucs[0], 9)))


def _with_products(rows: Floats, random: np.random.Generator) -> np.ndarray:
    """Columns, their squares and products of two, at most 200 of these, each standardised."""
    first, second = np.triu_indices(rows.shape[1])
    if first.size > _PAIRS:
        kept = random.permutation(first.size)[:_PAIRS]
        first, second = first[kept], second[kept]
    scaled = _standardised(rows)
    return np.concatenate((scaled, _standardised(scaled[:, first] * scaled[:, second])), axis=1).astype(np.float32)


def _standardised(rows: Floats) -> Floats:
    deviation = rows.std(0)
    return (rows - rows.mean(0)) / np.where(deviation > 1e-12, deviation, 1.0)


def _numeric(values: np.ndarray) -> list[Floats]:
    """Normal scores of the ranks, so that outliers don't rule; and whether the value is missing, where any is."""
    known = np.isfinite(values)
    scores = np.zeros(values.size)
    if known.any():
        scores[known] = stats.norm.ppf((stats.rankdata(values[known]) - 0.5) / known.sum())
    return [scores] if known.all() else [scores, known.astype(np.float64)]


def _categorical(values: np.ndarray) -> list[Floats]:
    """One column for each of the 20 most frequent categories."""
    texts = [str(each) for each in values.tolist()]
    frequent = sorted(Counter(texts).items(), key=lambda each: (-each[1], each[0]))[:_LEVELS]
    return [np.array([text == name for text in texts], np.float64) for name, _ in frequent[: max(1, len(frequent) - 1)]]


def _sampled(side: Mapping[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
    lengths = {len(column) for column in side.values()}
    if len(lengths) != 1:
        raise ValueError(f"columns of one side have unequal lengths: {sorted(lengths)}")
    n = lengths.pop()
    kept = random.permutation(n)[:MOST_ROWS]
    return {key: np.asarray(column)[kept] for key, column in side.items()}


def _as_drift(
    auc: float, p_value: float | None, n: int, m: int, evidence: Sequence[Shift], name: str, segment: str, method: str
) -> Drift:
    return Drift(
        question=Question.VALUES, kind="rows", method=method, statistic=auc, effect=auc - 0.5, threshold=AUC_THRESHOLD,
        p_value=p_value, n_reference=n, n_current=m, reason=reason(p_value, auc - 0.5, AUC_THRESHOLD),
        evidence=tuple(evidence), name=name, segment=segment,
    )  # fmt: skip
