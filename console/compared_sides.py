"""A stretch of a model and what it is held against: as counts for our tests, as sampled rows for Evidently's."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from msgspec import Struct

from ..detectors.drift.column import Kind as ColumnKind
from ..detectors.drift.compare import compare_all
from ..detectors.drift.decide import decide
from ..detectors.drift.result import Drift
from ..infra.clickhouse import ClickHouse
from ..schemas.errors import LoopwatchError
from ..schemas.outcomes import Kind, LoopwatchConfig
from ..stream_processors.evaluate.panes import Series, Stretch
from ..stream_processors.evaluate.quality import infer_kind, known_outcomes
from ..stream_processors.evaluate.samples import Labels, Sampling, drawn, sample
from ..stream_processors.evaluate.training import training_of
from ..stream_processors.evaluate.windows import Windows
from ..stream_processors.monitor.counted import Counted, PaneReader, of_distribution
from .model_windows import outcome_of
from .stretches import Span


class Sides(Struct, frozen=True):
    """Our answers; rows of both, with a column for each of `kinds`; what the model does, if it has labels."""

    drifts: Sequence[Drift]
    kinds: Mapping[str, ColumnKind]
    rows: pa.Table
    rows_reference: pa.Table
    kind: Kind | None


def compared_sides(
    clickhouse: ClickHouse,
    models: LoopwatchConfig,
    model: str,
    span: Span,
    against: Span | None,
    outcome: str | None,
    most: int,
) -> Sides:
    """Of everything that the reference has, but for features that the configuration ignores. Without `against` it is
    training data.

    Raises:
        LoopwatchError: one side has no predictions, or no training data is stored.
    """
    drift = models.for_model(model).monitoring.drift
    ignored = drift.ignore if drift is not None else ()
    panes = PaneReader(clickhouse, model)
    made, now = panes.read(Stretch(model, *span))
    if not made:
        raise LoopwatchError(f"model {model} has no predictions from {span}")
    training = training_of(clickhouse, model) if against is None else {}
    before = {series: of_distribution(each) for series, each in training.items()}
    if against is not None:
        _, side = panes.read(Stretch(model, *against))
        before = dict(side)
    if not before:
        missing = f"no training data of {model} is stored: loopwatch reference {model} FILE"
        raise LoopwatchError(missing if against is None else f"model {model} has no predictions from {against}")
    named = {
        _name(series, before): series
        for series in sorted(before, key=lambda each: (not each.is_feature, each.name))
        if not (series.is_feature and series.name in ignored)
    }
    kinds = {name: before[series].kind for name, series in named.items()}
    drifts = decide(
        compare_all(
            {name: before[series].column(kinds[name]) for name, series in named.items()},
            {name: now.get(series, Counted(made)).column(kinds[name]) for name, series in named.items()},
        )
    )
    labels = _labels(clickhouse, models, model, outcome)
    columns = {name: (series, kinds[name]) for name, series in named.items()}
    rows = sample(clickhouse, Sampling(model, span, columns, most, labels))
    if against is None:
        rows_reference = drawn({name: (training[series], kinds[name]) for name, series in named.items()}, most)
    else:
        rows_reference = sample(clickhouse, Sampling(model, against, columns, most, labels))
    return Sides(drifts, kinds, rows, rows_reference, labels and labels.kind)


def _labels(clickhouse: ClickHouse, models: LoopwatchConfig, model: str, outcome: str | None) -> Labels | None:
    if outcome is None and model not in models.models and not known_outcomes(clickhouse, model):
        return None
    chosen = outcome_of(clickhouse, models, model, outcome)
    return Labels(chosen, models.for_model(model).kind or infer_kind(clickhouse, Windows(model, chosen)))


def _name(series: Series, all_of_them: Mapping[Series, Counted]) -> str:
    """Outputs have their own, unless a feature is called so."""
    return f"{series.name} (output)" if not series.is_feature and Series(series.name) in all_of_them else series.name
