"""Replay of users' own files: JSON Lines (also gzipped) and Parquet, one event a line or row.

A record with an `action_id` is an action, any other a prediction; the fields are those of the wire format. Files are
read a piece at a time, each in its own order, and merged by `ts`. A file that isn't sorted is sent as it is: what is
out of order by more than the allowed disorder is then late in the stream too.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from ..schemas.decode import DEFAULT_MAX_EVENT_BYTES, action_decoder, prediction_decoder
from ..schemas.errors import InvalidEvent, RejectReason, SettingsError
from .client import Event
from .json_lines import JsonLines
from .parquet_rows import ParquetRows
from .raw_records import RawRecord, has_action_id

_READERS = {".jsonl": JsonLines, ".ndjson": JsonLines, ".json": JsonLines, ".parquet": ParquetRows, ".pq": ParquetRows}
_COMPRESSED = ".gz"


class InvalidRecord(Struct, frozen=True):
    """A line (or Parquet row; both count from 1) that is no event. `detail` names the field, and holds no value."""

    path: Path
    line: int
    reason: RejectReason
    detail: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}: {self.detail}"


class FileReplay:
    """A replay source of files; see `file_events`."""

    def __init__(
        self, readers: Sequence[JsonLines | ParquetRows], on_invalid: Callable[[InvalidRecord], None], max_bytes: int
    ) -> None:
        self._readers = readers
        self._on_invalid = on_invalid
        self._predictions = prediction_decoder(max_bytes)
        self._actions = action_decoder(max_bytes)
        self._invalid = 0

    @property
    def name(self) -> str:
        """The file, or their number."""
        return self._readers[0].path.name if len(self._readers) == 1 else f"{len(self._readers)} files"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(reader.size for reader in self._readers)

    @property
    def position(self) -> int:
        """Bytes read so far, about."""
        return sum(reader.position for reader in self._readers)

    @property
    def invalid(self) -> int:
        """Records left out so far."""
        return self._invalid

    def __iter__(self) -> Iterator[Event]:
        """Every event of every file.

        Raises:
            SettingsError: a file cannot be read to its end.
        """
        return heapq.merge(*map(self._events, self._readers), key=lambda event: event.ts)

    def _events(self, reader: JsonLines | ParquetRows) -> Iterator[Event]:
        for record in reader:
            try:
                yield self._decode(record)
            except InvalidEvent as exc:
                self._invalid += 1
                self._on_invalid(InvalidRecord(reader.path, record.line, exc.reason, exc.detail))

    def _decode(self, record: RawRecord) -> Event:
        if isinstance(record.value, InvalidEvent):
            raise record.value
        return (self._actions if has_action_id(record.value) else self._predictions).decode(record.value)


def file_events(
    paths: Sequence[str | Path],
    *,
    on_invalid: Callable[[InvalidRecord], None],
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
) -> FileReplay:
    """Open the files for a replay; their kind is told by the suffix: .jsonl, .ndjson, .json (each also .gz), .parquet.

    Args:
        paths: at least one.
        on_invalid: called with each record that is no event, as it is met; it is counted and left out.
        max_event_bytes: a longer line is invalid, and is not read into memory.

    Raises:
        SettingsError: a file is missing, cannot be read, or is of no known kind.
    """
    if not paths:
        raise SettingsError("no file to replay")
    readers = [_reader_of(Path(path))(Path(path), max_event_bytes) for path in paths]
    return FileReplay(readers, on_invalid, max_event_bytes)


def _reader_of(path: Path) -> type[JsonLines] | type[ParquetRows]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2:-1] if suffixes[-1:] == [_COMPRESSED] else suffixes[-1:]
    reader = _READERS.get(kind[0]) if kind else None
    if reader is None or (reader is ParquetRows and suffixes[-1] == _COMPRESSED):
        raise SettingsError(f"{path}: not a kind of file that can be replayed: {', '.join(_READERS)} (JSON also .gz)")
    return reader
