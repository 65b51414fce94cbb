"""Reads training data, a batch at a time: Parquet, CSV or JSON Lines, a row an example, a column a feature.

Rows that are events of our wire format have their features in the object `features`, and name their outputs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from ..producers.json_lines import JsonLines
from ..schemas.decode import DEFAULT_MAX_EVENT_BYTES
from ..schemas.errors import InvalidEvent, LoopwatchError
from ..schemas.events import MAX_FEATURES
from ..stream_processors.evaluate.panes import OUTPUTS, Series
from ..stream_processors.evaluate.tally import Column
from .training_columns import Columns, csv_columns, parquet_batches, parquet_columns

_FEATURES = "features"
_ROWS_AT_ONCE = 5_000
_Row = Mapping[str, Any]
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Roles(Struct, frozen=True):
    """Which columns are no features."""

    prediction: str | None = None
    score: str | None = None
    ignore: tuple[str, ...] = ()

    def series(self, name: str) -> Series | None:
        """What a column is of the model; None of one that is left out."""
        if name in self.ignore:
            return None
        for role in ("prediction", "score"):
            if name == getattr(self, role):
                return Series(role, False)
        return Series(name)

    def check(self, path: Path, names: Mapping[str, None]) -> None:
        """Raise a LoopwatchError if one of them is not among the names."""
        chosen = [("prediction", self.prediction), ("score", self.score), *(("ignore", each) for each in self.ignore)]
        for option, name in chosen:
            if name is not None and name not in names:
                shown = ", ".join(islice(names, 20)) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
                raise LoopwatchError(f"--{option} {name}: {path} has {shown}")


def training_rows(path: Path, roles: Roles) -> Iterator[tuple[int, dict[Series, Column]]]:
    """How many rows, and their columns, until the file ends.

    Raises:
        LoopwatchError: the file can't be read, has no rows, not these columns, or one that can be no feature.
    """
    batches = _batches(path, roles)
    rows, names = 0, dict[str, None]()
    for n, columns, outputs in batches:
        rows += n
        names.update(dict.fromkeys(columns))
        if len(names) > MAX_FEATURES + len(roles.ignore) + 2:
            raise LoopwatchError(
                f"{path}: {len(names):,} columns, and a prediction has at most {MAX_FEATURES} features"
            )
        of_model = {series: each for name, each in columns.items() if (series := roles.series(name)) is not None}
        yield n, of_model | {Series(name, False): each for name, each in outputs.items()}
    if not rows:
        raise LoopwatchError(f"{path}: no rows")
    roles.check(path, names)


def _batches(path: Path, roles: Roles) -> Iterator[tuple[int, dict[str, Column], dict[str, Column]]]:
    """Rows, columns by name, and the outputs that events name."""
    match path.name.lower().removesuffix(".gz").rpartition(".")[2]:
        case "parquet" | "pq":
            for batch in parquet_batches(path):
                if _has_events(batch.schema):
                    yield _of_events(path, _events(batch), roles)
                else:
                    yield *parquet_columns(path, batch, roles.ignore), {}
        case "csv":
            for columns in csv_columns(path, roles.ignore):
                yield *columns, {}
        case "jsonl" | "ndjson" | "json":
            records = _records(path)
            batch = list(islice(records, _ROWS_AT_ONCE))
            are_events = bool(batch) and isinstance(batch[0].get(_FEATURES), dict)
            while batch:
                yield _of_events(path, batch, roles) if are_events else (*_of_rows(path, batch, roles), {})
                batch = list(islice(records, _ROWS_AT_ONCE))
        case _:
            raise LoopwatchError(f"{path}: training data is .parquet, .csv or .jsonl (the last two also .gz)")


def _has_events(schema: pa.Schema) -> bool:
    index = schema.get_field_index(_FEATURES)
    kind = schema.field(index).type if index >= 0 else pa.null()
    return pa.types.is_struct(kind) or pa.types.is_map(kind)


def _events(batch: pa.RecordBatch) -> list[_Row]:
    kept = [name for name in batch.schema.names if name in {_FEATURES, "action_id", *OUTPUTS.values()}]
    return [{**row, _FEATURES: dict(row[_FEATURES] or {})} for row in batch.select(kept).to_pylist()]


def _records(path: Path) -> Iterator[_Row]:
    for number, line in JsonLines(path, DEFAULT_MAX_EVENT_BYTES):
        if isinstance(line, InvalidEvent):
            raise LoopwatchError(f"{path}:{number}: {line.detail}")
        try:
            yield _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise LoopwatchError(f"{path}:{number}: no JSON object: {exc}") from exc


def _of_events(path: Path, events: Iterable[_Row], roles: Roles) -> tuple[int, dict[str, Column], dict[str, Column]]:
    """Of the predictions: actions among them are none."""
    if roles.prediction or roles.score:
        raise LoopwatchError(f"{path}: its rows are events, which name prediction and score themselves")
    made = [event for event in events if event.get("action_id") is None]
    _, columns = _of_rows(path, [event.get(_FEATURES) or {} for event in made], roles)
    _, outputs = _of_rows(path, [{name: event.get(name) for name in OUTPUTS.values()} for event in made], roles)
    return len(made), columns, {name: each for name, each in outputs.items() if each.numbers.size or each.texts}


def _of_rows(path: Path, rows: Iterable[_Row], roles: Roles) -> Columns:
    n, values = 0, dict[str, list[Any]]()
    for row in rows:
        n += 1
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return n, {name: Column() if name in roles.ignore else _mixed(path, name, of) for name, of in values.items()}


def _mixed(path: Path, name: str, values: Iterable[Any]) -> Column:
    numbers: list[float] = []
    texts: Counter[str] = Counter()
    for value in values:
        match value:
            case None:
                pass
            case bool():
                texts["true" if value else "false"] += 1
            case int() | float():
                numbers.append(value)
            case str():
                texts[value] += 1
            case _:
                raise LoopwatchError(
                    f"{path}: column {name} holds a {type(value).__name__}, and a feature is a number, text, or true "
                    f"or false: leave it out by --ignore {name}"
                )
    return Column(np.array(numbers, np.float64), texts)
