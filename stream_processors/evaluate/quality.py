"""How good a model was in each window, as far as its outcomes are known."""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ...detectors.quality.binary import ReliabilityBin, confusion_of, of_decisions, of_scores
from ...detectors.quality.estimates import Estimate
from ...detectors.quality.multiclass import Confusion, of_confusion
from ...detectors.quality.regression import of_residuals
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, Outcome
from ...schemas.windows import TimeOf
from . import statistics
from .kinds import Evidence, evidence_of, kind_by
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
    curve: Sequence[ReliabilityBin] = ()
    """Of a classifier with scores."""
    confusion: Confusion = {}
    """How often (label, prediction) came together, of a classifier."""

    @property
    def is_unsettled(self) -> bool:
        """Whether there are predictions in it whose outcome is still open."""
        return self.completeness is not None and self.completeness < 1


def quality(clickhouse: ClickHouse, windows: Windows, kind: Kind | None = None) -> list[Quality]:
    """The windows that have predictions (by time of prediction) or labels, oldest first; slices by name.

    Without a `kind` the labels decide: numbers beside predicted numbers are a regression, two classes are binary.
    """
    kind = kind or infer_kind(clickhouse, windows)
    counted, windows = statistics.counted(clickhouse, windows)
    found = {row.cell: row for row in _measured(clickhouse, windows, kind)}
    if windows.time_of is TimeOf.PREDICTION:
        settled = statistics.settled(clickhouse, windows)
        for cell, n in counted.items():
            row = found.get(cell, Quality(cell, 0, {}))
            found[cell] = replace(row, predictions=n, completeness=min(n, settled.get(cell, 0)) / n)
    return [row for _, row in sorted(found.items())]


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
    evidence = evidence_of(clickhouse, windows.feedback)
    return kind_by(evidence.get((model, outcome.name), Evidence()), model, outcome)


def _measured(clickhouse: ClickHouse, windows: Windows, kind: Kind) -> Iterator[Quality]:
    match kind:
        case Kind.REGRESSION:
            for cell, labelled, residuals in statistics.regression(clickhouse, windows):
                yield Quality(cell, labelled, of_residuals(residuals))
        case Kind.MULTICLASS:
            for cell, labelled, confusion in statistics.multiclass(clickhouse, windows):
                yield Quality(cell, labelled, of_confusion(confusion), confusion=confusion)
        case Kind.RANKING:
            for cell, labelled, metrics in ranked(clickhouse, windows):
                yield Quality(cell, labelled, metrics)
        case _:
            for cell, labelled, decisions, scores in statistics.binary(clickhouse, windows):
                metrics = of_decisions(decisions) | of_scores(scores)
                yield Quality(cell, labelled, metrics, curve=scores.bins, confusion=confusion_of(decisions))
