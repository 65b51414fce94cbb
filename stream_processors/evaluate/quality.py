"""How good a model was in each window, as far as its outcomes are known."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ...detectors.quality.binary import of_decisions, of_scores
from ...detectors.quality.estimates import Estimate
from ...detectors.quality.multiclass import of_confusion
from ...detectors.quality.regression import of_residuals
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, Outcome
from ...schemas.windows import TimeOf
from . import statistics
from .kinds import evidence_of, kind_by
from .ranking import ranked
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
    """By the labels of the outcome of all time: a model has one kind, whichever windows are asked for.

    Raises:
        LoopwatchError: they don't say enough.
    """
    model, outcome = windows.model, windows.outcome
    return kind_by(evidence_of(clickhouse, model, outcome), model, outcome)


def _measured(clickhouse: ClickHouse, windows: Windows, kind: Kind) -> Iterator[tuple[Cell, int, dict[str, Estimate]]]:
    match kind:
        case Kind.REGRESSION:
            for cell, labelled, residuals in statistics.regression(clickhouse, windows):
                yield cell, labelled, of_residuals(residuals)
        case Kind.MULTICLASS:
            for cell, labelled, confusion in statistics.multiclass(clickhouse, windows):
                yield cell, labelled, of_confusion(confusion)
        case Kind.RANKING:
            yield from ranked(clickhouse, windows)
        case _:
            for cell, labelled, decisions, scores in statistics.binary(clickhouse, windows):
                yield cell, labelled, of_decisions(decisions) | of_scores(scores)


def _of_cohort(
    cell: Cell, made: Mapping[Cell, tuple[int, int]], measured: Mapping[Cell, tuple[int, dict[str, Estimate]]]
) -> Quality:
    predictions, settled = made.get(cell, (0, 0))
    labelled, metrics = measured.get(cell, (0, {}))
    return Quality(cell, labelled, metrics, predictions, settled / predictions if predictions else None)
