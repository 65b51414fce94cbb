"""Our verdicts of drift and Evidently's, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..detectors.drift.result import Drift, Question
from .evidently_report import Verdict
from .tabular import Report

_COLUMNS = (
    "column", "of", "method", "effect", "least", "q", "drifted", "reason", "evidently_method", "evidently_score",
    "evidently_threshold", "evidently_drifted",
)  # fmt: skip


def side_by_side(ours: Sequence[Drift], theirs: Mapping[str, Verdict]) -> Report:
    """A row a column, what somebody calls drifted first; missing and invalid values where we call them drifted."""
    shown = [each for each in ours if each.question is Question.VALUES or each.drifted]
    rows = [_row(each, theirs.get(each.name) if each.question is Question.VALUES else None) for each in shown]
    ordered = sorted(zip(shown, rows, strict=True), key=lambda each: _rank(*each))
    return Report(_COLUMNS, [row for _, row in ordered])


def short(report: Report) -> Report:
    """The same for a terminal."""
    rows = [dict(zip(report.columns, row, strict=True)) for row in report.rows]
    theirs = ("evidently_score", "evidently_threshold")
    columns = ("column", "of", "method", "effect", "q", "verdict", "Evidently", "score", "bound", "its verdict")
    said = {True: "drifted", False: "no drift", None: "not compared"}
    return Report(
        columns,
        [
            [
                *(row[name] for name in ("column", "of", "method", "effect")),
                "" if row["q"] is None else f"{row['q']:.2g}", row["reason"], row["evidently_method"] or "",
                *("" if each is None else round(each, 4) for each in map(row.get, theirs)),
                "" if row["of"] != "values" else said[row["evidently_drifted"]],
            ]
            for row in rows
        ],
    )  # fmt: skip


def in_words(ours: Sequence[Drift], theirs: Mapping[str, Verdict]) -> str:
    """How often the two agree about values."""
    values = [each for each in ours if each.question is Question.VALUES and each.name in theirs]
    agreed = sum(each.drifted == theirs[each.name].drifted for each in values)
    return (
        f"drifted: {sum(each.drifted for each in values)} of {len(values)} columns by our tests, "
        f"{sum(theirs[each.name].drifted for each in values)} by Evidently's; they agree on {agreed}"
    )


def _row(ours: Drift, theirs: Verdict | None) -> list[Any]:
    """Evidently compares the sample, we compare all predictions."""
    known = ours.p_value is not None
    return [
        ours.name, ours.question.value, ours.method, ours.effect if known else None, ours.threshold, ours.q_value,
        ours.drifted, ours.reason.value,
        *((theirs.method, theirs.score, theirs.threshold, theirs.drifted) if theirs else (None, None, None, None)),
    ]  # fmt: skip


def _rank(ours: Drift, row: Sequence[Any]) -> tuple[bool, bool, float, str]:
    is_known = ours.p_value is not None
    return not ours.drifted, not row[-1], -ours.effect / ours.threshold if is_known else 0.0, ours.name
