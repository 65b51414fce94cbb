"""How good a model was in each window, as far as its outcomes are known."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ...detectors.quality.binary import of_decisions, of_scores
from ...detectors.quality.estimates import Estimate
from ...detectors.quality.multiclass import of_confusion
from ...detectors.quality.regression import of_residuals
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.errors import LoopwatchError
from ...schemas.outcomes import Kind, Outcome
from ...schemas.windows import TimeOf
from . import statistics
from .windows import Cell, Windows


class Quality(Struct, frozen=True):
    """The metrics of one window and slice.

    `labelled` predictions have a label that the metrics are made of. By time of prediction `predictions` were made, and
    `completeness` is the share of them whose outcome is settled: labelled, or expired.
    """

    cell: Cell
    labelled: int
    metrics: dict[str, Estimate]
    predictions: int | None = None
    completeness: float | None = None


def quality(clickhouse: ClickHouse, windows: Windows, kind: Kind | None = None) -> list[Quality]:
    """The windows that have predictions (by time of prediction) or labels, oldest first; slices by name.

    Without a `kind` the labels decide: numbers beside predicted numbers are a regression, two classes are binary.
    """
    kind = kind or infer_kind(clickhouse, windows)
    measured = {cell: (labelled, metrics) for cell, labelled, metrics in _measured(clickhouse, windows, kind)}
    if windows.time_of is TimeOf.LABEL:
        return [Quality(cell, *known) for cell, known in sorted(measured.items())]
    made = statistics.settled_share(clickhouse, windows)
    return [_of_cohort(cell, made, measured) for cell in sorted(made.keys() | measured.keys())]


def known_outcomes(clickhouse: ClickHouse, model: str) -> list[Outcome]:
    """Outcomes of the model that have feedback, by name, as if nothing were configured for them."""
    rows = clickhouse.rows(
        f"SELECT DISTINCT outcome FROM {clickhouse.database}.feedback WHERE model = {quote(model)} ORDER BY outcome"
    )
    return [Outcome(name) for (name,) in rows]


def infer_kind(clickhouse: ClickHouse, windows: Windows) -> Kind:
    """What the labels of the outcome look like, of all time: a model has one kind, whichever windows are asked for.

    Raises:
        LoopwatchError: true and false were predicted, and nothing says which of the labels are true.
    """
    if windows.outcome.positive is not None:
        return Kind.CLASSIFICATION
    ((labelled, two_classes, numbers, scored, booleans),) = clickhouse.rows(
        "SELECT countIf(label IS NOT NULL), countIf(label_value IN (0, 1)), "
        "countIf(label_value IS NOT NULL AND prediction_value IS NOT NULL), countIf(score IS NOT NULL), "
        "countIf(label IS NOT NULL AND prediction IN ('true', 'false')) "
        f"FROM {clickhouse.database}.feedback_current WHERE {windows.feedback}"
    )
    if labelled == two_classes:
        return Kind.CLASSIFICATION
    if labelled == booleans:
        raise LoopwatchError(
            f"model {windows.model} predicts true and false, but its labels are more than two: say which are true, "
            f"by `positive` of outcome {windows.outcome.name} in loopwatch.yaml"
        )
    return Kind.REGRESSION if labelled == numbers and not scored else Kind.MULTICLASS


def _measured(clickhouse: ClickHouse, windows: Windows, kind: Kind) -> Iterator[tuple[Cell, int, dict[str, Estimate]]]:
    match kind:
        case Kind.REGRESSION:
            for cell, labelled, residuals in statistics.regression(clickhouse, windows):
                yield cell, labelled, of_residuals(residuals)
        case Kind.MULTICLASS:
            for cell, labelled, confusion in statistics.multiclass(clickhouse, windows):
                yield cell, labelled, of_confusion(confusion)
        case _:
            for cell, labelled, decisions, scores in statistics.binary(clickhouse, windows):
                yield cell, labelled, of_decisions(decisions) | of_scores(scores)


def _of_cohort(
    cell: Cell, made: Mapping[Cell, tuple[int, int]], measured: Mapping[Cell, tuple[int, dict[str, Estimate]]]
) -> Quality:
    predictions, settled = made.get(cell, (0, 0))
    labelled, metrics = measured.get(cell, (0, {}))
    return Quality(cell, labelled, metrics, predictions, settled / predictions if predictions else None)
