"""Table `metrics`: which revision of a window is there, and how the next one is written."""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from msgspec import Struct

from ...infra.clickhouse import ClickHouse, quote, quoted
from ...schemas.windows import TimeOf, Window
from ..evaluate.quality import Quality
from ..lookups import instant
from ..records import from_micros, micros_of
from .series import KPIS, Due, Series
from .stretches import in_windows

LABELLED = "labelled"
"""The metric that every window of an outcome has: how many labelled predictions the others are made of."""
INDICATORS = "indicators"
"""The metric that every window of business indicators has: how many of them have a value."""

_SCHEMA = pa.schema(
    [
        ("model", pa.string()), ("outcome", pa.string()), ("time_of", pa.string()),
        ("window_start", pa.timestamp("s", "UTC")), ("window_seconds", pa.uint32()), ("step_seconds", pa.uint32()),
        ("segment_key", pa.string()), ("segment", pa.string()), ("metric", pa.string()), ("value", pa.float64()),
        ("lower", pa.float64()), ("upper", pa.float64()), ("n", pa.uint64()), ("predictions", pa.uint64()),
        ("completeness", pa.float64()), ("revision", pa.uint64()), ("_content", pa.uint64()),
        ("_evaluated_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


class Stored(Struct, frozen=True):
    """The latest revision of a window."""

    content: int
    evaluated_at: datetime


class Evaluated(Struct, frozen=True):
    """A window with its cells, to be written as one revision."""

    due: Due
    cells: Sequence[Quality]
    revision: int
    content: int
    evaluated_at: datetime


def stored_of(clickhouse: ClickHouse, dues: Collection[Due]) -> dict[Due, Stored]:
    """The latest revision of each window that has one."""
    asked: dict[Series, list[Due]] = defaultdict(list)
    for due in dues:
        asked[due.series].append(due)
    if not asked:
        return {}
    windows = in_windows(
        ((series.model, _but_for_model(series), of_series) for series, of_series in asked.items()),
        lambda begin, end: f"window_start >= {begin} AND window_start < {end}",
    )
    found: dict[Due, Stored] = {}
    for model, outcome, time_of, size_s, step_s, start, content, evaluated_at in clickhouse.rows(
        "SELECT model, outcome, time_of, window_seconds, step_seconds, toUnixTimestamp(window_start) AS start, "
        "argMax(_content, _evaluated_at), toUnixTimestamp64Micro(max(_evaluated_at)) "
        f"FROM {clickhouse.database}.metrics WHERE metric IN ({quoted([LABELLED, INDICATORS])}) AND segment_key = '' "
        f"AND {windows} GROUP BY model, outcome, time_of, window_seconds, step_seconds, start"
    ):
        window = Window(timedelta(seconds=size_s), timedelta(seconds=step_s))
        found[Due(Series(model, outcome, window, TimeOf(time_of)), start)] = Stored(content, from_micros(evaluated_at))
    return {due: stored for due, stored in found.items() if due in dues}


def rows_of(windows: Sequence[Evaluated]) -> pa.Table:
    """Rows of table `metrics`."""
    rows: list[tuple[object, ...]] = []
    for each in windows:
        series, start = each.due.series, datetime.fromtimestamp(each.due.start, UTC)
        head = (series.model, series.outcome, series.time_of.value, start, series.window.size_s, series.window.step_s)
        tail = (each.revision, each.content, each.evaluated_at)
        for cell in each.cells:
            of_cell = (cell.predictions, cell.completeness)
            n, name = (len(cell.metrics), INDICATORS) if series.outcome == KPIS else (cell.labelled, LABELLED)
            always = (name, float(n), None, None, n)
            metrics = [
                (name, e.value, e.lower, e.upper, e.n) for name, e in cell.metrics.items() if math.isfinite(e.value)
            ]
            rows += [(*head, cell.cell.key, cell.cell.value, *metric, *of_cell, *tail) for metric in (always, *metrics)]
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in _SCHEMA]
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)], _SCHEMA)


class Progress(Struct, frozen=True):
    """How far the evaluation of a model has come, and what its metrics were then."""

    definition: int
    until: datetime


def read_progress(clickhouse: ClickHouse) -> dict[str, Progress]:
    """By model."""
    return {
        model: Progress(definition, from_micros(until))
        for model, definition, until in clickhouse.rows(
            "SELECT model, definition, toUnixTimestamp64Milli(until) * 1000 "
            f"FROM {clickhouse.database}.evaluations FINAL"
        )
    }


def write_progress(clickhouse: ClickHouse, progress: Mapping[str, Progress], now: datetime) -> None:
    """Note for each model how far its evaluation has come."""
    if progress:
        values = ", ".join(
            f"({quote(model)}, {each.definition}, {instant(micros_of(each.until))}, {instant(micros_of(now))})"
            for model, each in sorted(progress.items())
        )
        columns = "(model, definition, until, _evaluated_at)"
        clickhouse.command(f"INSERT INTO {clickhouse.database}.evaluations {columns} VALUES {values}")


def _but_for_model(series: Series) -> str:
    window = series.window
    return (
        f"outcome = {quote(series.outcome)} AND time_of = {quote(series.time_of.value)} "
        f"AND window_seconds = {window.size_s} AND step_seconds = {window.step_s}"
    )
