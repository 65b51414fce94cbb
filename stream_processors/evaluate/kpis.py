"""The queries that turn actions into business indicators.

An action counts once, whatever became of it: also outside every window, and if no outcome names it. It must be accepted
and its prediction known.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from ...detectors.quality.estimates import Estimate
from ...detectors.quality.kpis import Sample, of_sample
from ...infra.clickhouse import ClickHouse, quote, quoted
from ...schemas.kpis import Kpi, Measure
from ...schemas.outcomes import Positive
from ...schemas.windows import TimeOf
from .quality import Quality
from .statistics import counted, have_rare
from .sums import array_sum, sorted_values
from .windows import Cell, Windows

PREFIX = "kpi."
"""Of an indicator's name among metrics."""


def kpis(clickhouse: ClickHouse, windows: Windows, declared: Sequence[Kpi]) -> dict[Cell, dict[str, Estimate]]:
    """The indicators of each cell, by name, a query each; what is undefined is left out.

    By time of prediction an action is in the window of its prediction, however late it comes. By time of label it is in
    the window of its own time; a share of predictions with another action is in that of the first of these, and what is
    a share of all predictions, or per prediction, is left out: those in the window are not the ones that were acted on.
    """
    found: dict[Cell, dict[str, Estimate]] = defaultdict(dict)
    for kpi, samples in _samples(clickhouse, windows, declared):
        for cell, sample in samples.items():
            estimate = of_sample(kpi, sample)
            if estimate is not None:
                found[cell][kpi.name] = estimate
    return dict(found)


def beside(found: Sequence[Quality], indicators: Mapping[Cell, Mapping[str, Estimate]]) -> list[Quality]:
    """The windows with indicators among their metrics; by time of label there may be more of them then."""
    known = {row.cell: row for row in found}
    return [
        replace(row, metrics=row.metrics | {PREFIX + name: each for name, each in indicators.get(cell, {}).items()})
        for cell in sorted(known.keys() | indicators.keys())
        for row in [known.get(cell) or Quality(cell, 0, {})]
    ]


def _samples(
    clickhouse: ClickHouse, windows: Windows, declared: Sequence[Kpi]
) -> Iterator[tuple[Kpi, dict[Cell, Sample]]]:
    """The sample of each cell. Rare values are folded, which takes as long again, only where there are any."""
    by_prediction = windows.time_of is TimeOf.PREDICTION
    if by_prediction and declared:
        _, windows = counted(clickhouse, windows)
    for kpi in declared:
        if by_prediction:
            yield kpi, _measured(clickhouse, windows, kpi)
        elif not _needs_every_prediction(kpi):
            samples = _measured(clickhouse, replace(windows, folds=False), kpi)
            yield kpi, _measured(clickhouse, windows, kpi) if have_rare(samples) else samples


def _measured(clickhouse: ClickHouse, windows: Windows, kpi: Kpi) -> dict[Cell, Sample]:
    database = clickhouse.database
    source = f"({_sample(database, windows, kpi)}) WHERE 1"
    counted_by = None if windows.time_of is TimeOf.PREDICTION else (source, "at")
    cells = (
        f"SELECT start, slice, {sorted_values('x')} AS xs "
        f"FROM {windows.cells(database, 'x', source, 'at', counted_by)} GROUP BY start, slice"
    )
    rows = clickhouse.rows(
        f"SELECT start, slice, length(xs), {array_sum('xs')}, {array_sum('arrayMap(x -> x * x, xs)')} "
        f"FROM ({cells if windows.folds else windows.few(cells)})"
    )
    return {Cell.of(start, slice_): Sample(*sums) for start, slice_, *sums in rows}


def _needs_every_prediction(kpi: Kpi) -> bool:
    return kpi.per is not None or (kpi.measure is Measure.SHARE and kpi.of is None)


def _sample(database: str, windows: Windows, kpi: Kpi) -> str:
    """SQL of (at, model, version, segments, variants, x): what it is made of, a row for each prediction or action."""
    by_prediction = windows.time_of is TimeOf.PREDICTION
    made = windows.predictions(database)
    if by_prediction:
        made += f" AND {windows.within('ts')}"
        concerned = f"prediction_id IN (SELECT prediction_id FROM {made})"
    else:
        # Those that came before their prediction were stored without a model.
        named = f"{database}.actions WHERE ({windows.of_model} OR model = '') AND name = {quote(kpi.of or kpi.action)}"
        concerned = f"prediction_id IN (SELECT prediction_id FROM {named} AND {windows.within('ts')})"
        made += f" AND {concerned}"
    actions = (
        f"SELECT prediction_id, name, ts, {_chosen(kpi)} AS chosen, value_num FROM {database}.actions_current "
        f"WHERE {windows.of_model} AND name IN ({quoted(sorted({kpi.action, kpi.of or kpi.action}))}) "
        f"AND {concerned} LIMIT 1 BY prediction_id, action_id"
    )
    of_predictions = kpi.measure is Measure.SHARE or (by_prediction and kpi.measure is not Measure.MEAN)
    silence_counts = of_predictions and kpi.of is None
    return (
        f"SELECT {'made.ts' if by_prediction else 'acted.at'} AS at, model, version, segments, variants, x FROM "
        f"(SELECT prediction_id, ts, model, version, segments, variants FROM {made}) AS made "
        f"{'LEFT' if silence_counts else 'INNER'} JOIN "
        f"({_by_prediction(kpi, actions) if of_predictions else _one_by_one(kpi, actions)}) AS acted "
        "ON made.prediction_id = acted.prediction_id"
    )


def _by_prediction(kpi: Kpi, actions: str) -> str:
    """SQL of rows (prediction_id, at, x): what a prediction's actions come to, and when the first of `of` was."""
    of = quote(kpi.of or kpi.action)
    x = {
        Measure.SHARE: "countIf(chosen) > 0",
        Measure.COUNT: "countIf(chosen)",
        Measure.SUM: array_sum("arraySort(groupArrayIf(assumeNotNull(value_num), chosen AND value_num IS NOT NULL))"),
    }[kpi.measure]
    return (
        f"SELECT prediction_id, minIf(ts, name = {of}) AS at, toFloat64({x}) AS x FROM ({actions}) "
        f"GROUP BY prediction_id HAVING countIf(name = {of}) > 0"
    )


def _one_by_one(kpi: Kpi, actions: str) -> str:
    """SQL of rows (prediction_id, at, x), one an action."""
    if kpi.measure is Measure.COUNT:
        return f"SELECT prediction_id, ts AS at, 1.0 AS x FROM ({actions}) WHERE chosen"
    return (
        f"SELECT prediction_id, ts AS at, assumeNotNull(value_num) AS x FROM ({actions}) "
        "WHERE chosen AND value_num IS NOT NULL"
    )


def _chosen(kpi: Kpi) -> str:
    """SQL of whether an action is one that is measured."""
    return f"name = {quote(kpi.action)} AND {_has_value(kpi.value)}"


def _has_value(value: Positive | None) -> str:
    if value is None:
        return "1"
    if value.comparison is None:
        return f"ifNull(value = {quote(value.text)}, 0)"
    return f"ifNull(value_num {value.comparison} {value.bound!r}, 0)"
