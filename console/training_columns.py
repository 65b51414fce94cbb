"""Columns of Parquet and CSV files as a tally takes them, a batch of rows at a time.

In a CSV file the first megabytes say which columns are numbers; a text among these is a value of another type.
"""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ..schemas.errors import LoopwatchError
from ..stream_processors.evaluate.tally import Column

# Its functions are made when it is imported: no checker knows them.
pc: Any = pyarrow.compute

_ROWS_AT_ONCE = 20_000
_CSV_BLOCK = 4 << 20
_UNSAID = ("", "NA", "N/A", "n/a", "nan", "NaN", "-nan", "null", "NULL", "None", "#N/A")
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"

Columns = tuple[int, dict[str, Column]]
"""How many rows, and their columns by name."""


def parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file.

    Raises:
        LoopwatchError: it can't be read.
    """
    try:
        yield from pq.ParquetFile(path, pre_buffer=False).iter_batches(batch_size=_ROWS_AT_ONCE)
    except (OSError, pa.ArrowException) as exc:
        raise LoopwatchError(f"{path}: cannot be read as Parquet: {exc}") from exc


def parquet_columns(path: Path, batch: pa.RecordBatch, ignored: Container[str]) -> Columns:
    """A batch, with nothing in the columns that are ignored.

    Raises:
        LoopwatchError: a column can be no feature.
    """
    named = zip(batch.schema.names, batch.columns, strict=True)
    return batch.num_rows, {name: Column() if name in ignored else _column(path, name, each) for name, each in named}


def csv_columns(path: Path, ignored: Container[str]) -> Iterator[Columns]:
    """The rows of a CSV file, whose first line has the names.

    Raises:
        LoopwatchError: it can't be read.
    """
    read = pa_csv.ReadOptions(block_size=_CSV_BLOCK)
    try:
        with pa_csv.open_csv(path, read_options=read) as first:
            schema = first.schema
        # All as text: what a later block holds must not end the reading.
        convert = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(schema.names, pa.string()), null_values=[""], strings_can_be_null=True
        )
        with pa_csv.open_csv(path, read_options=read, convert_options=convert) as batches:
            for batch in batches:
                columns = zip(schema, batch.columns, strict=True)
                yield (
                    batch.num_rows,
                    {f.name: Column() if f.name in ignored else _of_text(each, f.type) for f, each in columns},
                )
    except (OSError, pa.ArrowException) as exc:
        raise LoopwatchError(f"{path}: cannot be read as CSV: {exc}") from exc


def _of_text(column: pa.Array, kind: pa.DataType) -> Column:
    if pa.types.is_boolean(kind):
        return Column(texts=_counted(pc.utf8_lower(column)))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return Column(texts=_counted(column))
    is_number = pc.fill_null(pc.match_substring_regex(column, _NUMBER), False)
    is_text = pc.invert(pc.or_(is_number, pc.is_in(column, pa.array(_UNSAID))))
    return Column(_numbers(pc.utf8_trim_whitespace(column.filter(is_number))), _counted(column.filter(is_text)))


def _column(path: Path, name: str, values: pa.Array) -> Column:
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_null(kind):
        return Column()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Column(_numbers(values))
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column(texts=_counted(pc.cast(values, pa.string())))
    raise LoopwatchError(
        f"{path}: column {name} is {kind}, and a feature is a number, text, or true or false: leave it out by "
        f"--ignore {name}"
    )


def _numbers(values: pa.Array) -> np.ndarray:
    return pc.cast(values, pa.float64(), safe=False).drop_null().to_numpy(zero_copy_only=False)


def _counted(values: pa.Array) -> dict[str, int]:
    counts = pc.value_counts(values.drop_null())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
