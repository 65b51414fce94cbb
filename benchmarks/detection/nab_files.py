"""Series of the Numenta Anomaly Benchmark, as they are in the data beside the project."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..shared_data import shared_file
from .nab import Series


def nab_series() -> list[Series]:
    """All that are there, in order of their names, `folder/file.csv`; a window's rows are the first of their times.

    Raises:
        LoopwatchError: the data is not there.
    """
    labels = shared_file("anomaly/combined_windows.json")
    windows: dict[str, list[list[str]]] = json.loads(labels.read_text())
    return list(_read(labels.parent, windows))


def _read(folder: Path, windows: dict[str, list[list[str]]]) -> Iterator[Series]:
    for path in sorted(folder.glob("*/*.csv")):
        name = path.relative_to(folder).as_posix()
        with path.open(newline="") as file:
            rows = [(_us(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
        ts_us = [ts for ts, _ in rows]
        limits = [(ts_us.index(_us(first)), ts_us.index(_us(last))) for first, last in windows[name]]
        yield Series(name, ts_us, [value for _, value in rows], limits)


def _us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000
