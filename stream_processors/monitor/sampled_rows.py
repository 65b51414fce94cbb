"""How columns depend on each other, in sampled rows of a window and of before it."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ...detectors.drift.column import Kind
from ...detectors.drift.multivariate import compare_rows, most_turned
from ...detectors.drift.parts import Part
from ...infra.clickhouse import quote
from ..evaluate.panes import Series
from ..evaluate.samples import value_of
from .answers import Answer
from .counted import Counted
from .hourly import ID, Hourly

ROWS = "rows"
MOST_COLUMNS = 100

Columns = Mapping[Series, Counted]


def row_columns(columns: Columns) -> dict[str, str]:
    """SQL of the columns, by name."""
    return {_name(series): _sql(series, of) for series, of in columns.items()}


def compare_sampled_rows(hourly: Hourly, columns: Columns, before: pa.Table, now: pa.Table) -> Answer:
    """One answer about all of them."""
    reference, current = _arrays(before, columns), _arrays(now, columns)
    drift = compare_rows(reference, current, name=ROWS)
    turned, shown = most_turned(reference, current) if drift.drifted_alone else (None, [])
    if turned is None:
        return hourly.answer(drift, (), "1")
    of = {_name(series): (series, counted) for series, counted in columns.items()}
    values = ", ".join(_of_part(part, *of[part.column]) for part in (turned.first, turned.second))
    ids = now.column(ID).to_pylist()
    return hourly.answer(drift, [ids[at] for at in shown], f"corr({values}) AS correlation")


def _arrays(rows: pa.Table, columns: Columns) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for series, of in columns.items():
        values = rows.column(_name(series)).to_pylist()
        is_number = of.kind is Kind.NUMERIC
        found[_name(series)] = np.array(values, np.float64) if is_number else np.array(values, object)
    return found


def _name(series: Series) -> str:
    """A feature may have the name of an output."""
    return series.name if series.is_feature else f"{series.name} (output)"


def _sql(series: Series, of: Counted) -> str:
    return value_of(series, Kind.NUMERIC if of.kind is Kind.NUMERIC else Kind.CATEGORICAL)


def _of_part(part: Part, series: Series, of: Counted) -> str:
    value = _sql(series, of)
    return value if part.level is None else f"toFloat64({value} = {quote(part.level)})"
