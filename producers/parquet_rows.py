"""Reads Parquet: one event a row, whose columns are the fields of the wire format.

`features` and its like are structs or maps; `ts` is a timestamp with a time zone, or text in RFC 3339. A null or NaN is
a field left out, but within `features` and `attributes`, where it is a value that is missing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..schemas.decode import MAX_DETAIL_LENGTH
from ..schemas.errors import InvalidEvent, RejectReason, SettingsError
from ..schemas.events import Action, Prediction
from .raw_records import RawRecord

_ROWS_AT_ONCE = 2048
_FIELDS = frozenset(Prediction.__struct_fields__ + Action.__struct_fields__)
_MAPS = frozenset(("features", "scores", "segments", "variants", "attributes"))
_KEEP_NULLS = frozenset(("features", "attributes"))
# Python's times have microseconds.
_TO_UTC = pc.CastOptions(pa.timestamp("us", "UTC"), allow_time_truncate=True)
_encode = msgspec.json.Encoder(decimal_format="number").encode


class ParquetRows:
    """The records of a file, as JSON; a row group is read in pieces of 2,048 rows."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open the file and read its schema. (`max_bytes` is the decoder's to check.)

        Raises:
            SettingsError: it cannot be opened, is no Parquet, or its `ts` has no time zone.
        """
        self.path = path
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
            self.size = path.stat().st_size
        except (OSError, pa.ArrowException) as exc:
            raise SettingsError(f"{path}: cannot be read as Parquet: {exc}") from exc
        self.position = 0
        _check_ts(path, self._file.schema_arrow)

    def __iter__(self) -> Iterator[RawRecord]:
        """The records, once.

        Raises:
            SettingsError: the file is damaged.
        """
        rows = self._file.metadata.num_rows
        names = [name for name in self._file.schema_arrow.names if name in _FIELDS]
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names):
                for value in _values(batch):
                    number += 1
                    yield RawRecord(number, value)
                self.position = self.size * number // rows
        except (OSError, pa.ArrowException) as exc:
            raise SettingsError(f"{self.path}:{number + 1}: cannot be read any further: {exc}") from exc


def _check_ts(path: Path, schema: pa.Schema) -> None:
    index = schema.get_field_index("ts")
    kind = schema.field(index).type if index >= 0 else pa.null()
    if pa.types.is_timestamp(kind) and kind.tz is None:
        raise SettingsError(f"{path}: column ts is {kind}, without a time zone: store it with one (timestamp[us, UTC])")


def _values(batch: pa.RecordBatch) -> Iterator[bytes | InvalidEvent]:
    """The batch's rows as JSON, or why one is none."""
    index = batch.schema.get_field_index("ts")
    if index >= 0 and pa.types.is_timestamp(batch.schema.field(index).type):
        batch = batch.set_column(index, "ts", pc.cast(batch.column(index), options=_TO_UTC))
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):
        # Some row holds what Python cannot: one by one, it hits its own row only.
        yield from (_value(batch.slice(index, 1)) for index in range(batch.num_rows))
        return
    yield from map(_json, rows)


def _value(row: pa.RecordBatch) -> bytes | InvalidEvent:
    try:
        return _json(row.to_pylist()[0])
    except UnicodeDecodeError:
        return InvalidEvent(RejectReason.NOT_UTF8, "text that is not UTF-8")
    except (ValueError, OverflowError) as exc:
        return InvalidEvent(RejectReason.TIMESTAMP_RANGE, f"a time that cannot be read: {exc}"[:MAX_DETAIL_LENGTH])


def _json(row: dict[str, Any]) -> bytes:
    return _encode({name: _field(name, value) for name, value in row.items() if value is not None})


def _field(name: str, value: Any) -> Any:
    if name not in _MAPS or not isinstance(value, dict | list):
        return value
    entries = dict(value)
    if name in _KEEP_NULLS:
        return entries
    return {key: entry for key, entry in entries.items() if entry is not None}
