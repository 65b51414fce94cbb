"""Rows of a stretch, few enough for a report: by a hash of their ids, so that the same ones come each time."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
from msgspec import Struct

from ...detectors.drift.column import Kind as ColumnKind
from ...detectors.histogram import edges
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, Outcome
from ..lookups import instant
from ..records import micros_of
from .classes import has_label, is_positive, predicted
from .panes import Distribution, Series

TARGET, SAID, SCORE = "(label)", "(prediction)", "(score)"
"""What came, what was predicted, and how sure that was, behind the columns of features and outputs."""


class Labels(Struct, frozen=True):
    """Of which outcome, and what the model does."""

    outcome: Outcome
    kind: Kind


class Sampling(Struct, frozen=True):
    """At most `most` predictions from an instant to before another; `columns` by the name they get."""

    model: str
    stretch: tuple[datetime, datetime]
    columns: Mapping[str, tuple[Series, ColumnKind]]
    most: int
    labels: Labels | None = None


def sample(clickhouse: ClickHouse, sampling: Sampling) -> pa.Table:
    """A column for each of them, null where there is no value of its kind; then `TARGET`, `SAID` and `SCORE`.

    The target is null where no label is known.
    """
    since, until = (instant(micros_of(each)) for each in sampling.stretch)
    made = f"{clickhouse.database}.predictions WHERE model = {quote(sampling.model)} AND ts >= {since} AND ts < {until}"
    hashed = f"SELECT cityHash64(prediction_id) AS h FROM {made} ORDER BY h LIMIT {sampling.most}"
    ((largest,),) = clickhouse.rows(f"SELECT max(h) FROM ({hashed})")
    chosen = f"cityHash64(prediction_id) <= {largest}"
    values = [value_of(series, kind) for series, kind in sampling.columns.values()]
    of_labels = "CAST(NULL, 'Nullable(Float64)') AS target, CAST(NULL, 'Nullable(Float64)') AS said, score"
    source = f"(SELECT * FROM {made} AND {chosen}) AS p"
    if sampling.labels is not None:
        target, said, condition = _answers(sampling.labels)
        source += (
            f" LEFT JOIN (SELECT prediction_id, toNullable({target}) AS target, toNullable({said}) AS said "
            f"FROM {clickhouse.database}.feedback_current WHERE model = {quote(sampling.model)} "
            f"AND outcome = {quote(sampling.labels.outcome.name)} AND prediction_ts >= {since} "
            f"AND prediction_ts < {until} AND {chosen} AND {condition}) AS f ON p.prediction_id = f.prediction_id"
        )
        of_labels = "f.target AS target, f.said AS said, score"
    named = [f"{value} AS c{at}" for at, value in enumerate(values)]
    rows = clickhouse.arrow(f"SELECT {', '.join([*named, of_labels])} FROM {source} ORDER BY p.prediction_id")
    return rows.rename_columns([*sampling.columns, TARGET, SAID, SCORE])


def drawn(distributions: Mapping[str, tuple[Distribution, ColumnKind]], most: int) -> pa.Table:
    """Rows whose columns, each for itself, are distributed so: values at even ranks, and nulls behind them."""
    n = min(most, max((each.predictions for each, _ in distributions.values()), default=0))
    columns: dict[str, pa.Array] = {}
    for name, (each, kind) in distributions.items():
        values = _of_numbers(each, n) if kind is ColumnKind.NUMERIC else _of_categories(each, n)
        columns[name] = pa.concat_arrays([values, pa.nulls(n - len(values), values.type)])
    nothing = pa.nulls(n, pa.float64())
    return pa.table({**columns, TARGET: nothing, SAID: nothing, SCORE: nothing})


def value_of(series: Series, kind: ColumnKind) -> str:
    """SQL of a value, NULL where it is missing or of another type."""
    name = quote(series.name)
    if kind is ColumnKind.NUMERIC:
        if series.is_feature:
            return f"features_num[{name}]"
        is_number = "prediction NOT IN ('true', 'false')"
        return f"if({is_number}, prediction_value, NULL)" if series.name == "prediction" else series.name
    if series.is_feature:
        return f"if(mapContains(features_cat, {name}), features_cat[{name}], NULL)"
    return "if(prediction_value IS NULL OR prediction IN ('true', 'false'), prediction, NULL)"


def _answers(labels: Labels) -> tuple[str, str, str]:
    """SQL of what came, of what was predicted, and of the rows of feedback that say both."""
    positive = labels.outcome.positive
    match labels.kind:
        case Kind.REGRESSION:
            return "label_value", "prediction_value", "label_value IS NOT NULL AND prediction_value IS NOT NULL"
        case Kind.MULTICLASS:
            return "label", "prediction", "label IS NOT NULL AND prediction IS NOT NULL"
        case _:
            said = predicted(positive)
            happened = f"toFloat64({is_positive(positive)})"
            return happened, f"toFloat64({said})", f"{has_label(positive)} AND isNotNull({said})"


def _of_numbers(each: Distribution, n: int) -> pa.Array:
    bins = each.numbers.bins
    total = each.numbers.n
    if not total:
        return pa.array([], pa.float64())
    upto = np.cumsum([bin_.n for bin_ in bins])
    ranks = (np.arange(_share(total, each.predictions, n)) + 0.5) * total / _share(total, each.predictions, n)
    held = np.searchsorted(upto, ranks, side="right")
    ends = np.array([edges(bin_.bin) for bin_ in bins])
    width = ends[:, 1] - ends[:, 0]
    means = ends[:, 0] + width * [bin_.steps / bin_.n / 65_536 for bin_ in bins]
    alike = np.array([bin_.squares * bin_.n == bin_.steps**2 for bin_ in bins])
    counts = np.array([bin_.n for bin_ in bins])
    inside = (ranks - (upto - counts)[held]) / counts[held]
    return pa.array(np.where(alike[held], means[held], ends.min(axis=1)[held] + np.abs(width[held]) * inside))


def _of_categories(each: Distribution, n: int) -> pa.Array:
    counts = each.categories | ({"(other)": each.other} if each.other else {})
    total = sum(counts.values())
    if not total:
        return pa.array([], pa.string())
    size = _share(total, each.predictions, n)
    held = np.searchsorted(np.cumsum(list(counts.values())), (np.arange(size) + 0.5) * total / size, side="right")
    return pa.array(list(counts), pa.string()).take(pa.array(held))


def _share(part: int, whole: int, n: int) -> int:
    return round(n * part / whole)
