"""Keeps table `estimates` up to date: what windows come to whose labels are still out, and how far that was off."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Lock

import pyarrow as pa

from ...infra.clickhouse import ClickHouse
from ...schemas.outcomes import Kind
from ..evaluate.estimates import estimates_of, known_until
from ..evaluate.windows import Windows
from ..sink.inserts import Inserter, token_of
from .series import Series

# Each costs a few queries: the newest ones of a series, once a minute.
_MOST = 4
_AT_MOST_EVERY = timedelta(minutes=1)

_SCHEMA = pa.schema(
    [
        ("model", pa.string()), ("outcome", pa.string()), ("window_start", pa.timestamp("s", "UTC")),
        ("window_seconds", pa.uint32()), ("step_seconds", pa.uint32()), ("segment_key", pa.string()),
        ("segment", pa.string()), ("metric", pa.string()), ("value", pa.float64()), ("lower", pa.float64()),
        ("upper", pa.float64()), ("n", pa.uint64()), ("as_of", pa.timestamp("us", "UTC")),
        ("_evaluated_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


class Estimator:
    """Remembers which windows to estimate, a bounded number of each series. One thread may note, another estimate."""

    def __init__(self, clickhouse: ClickHouse, inserter: Inserter) -> None:
        self._clickhouse = clickhouse
        self._inserter = inserter
        self._lock = Lock()
        self._waiting: dict[Series, set[int]] = {}
        self._last: dict[Series, datetime] = {}

    def note(self, series: Series, start: int) -> None:
        """The window has changed, and more labels of it are to come."""
        with self._lock:
            waiting = self._waiting.setdefault(series, set())
            waiting.add(start)
            if len(waiting) > _MOST:
                waiting.remove(min(waiting))

    def due(self, now: datetime) -> Iterator[tuple[Series, set[int]]]:
        """Series with windows to estimate now, the longest ago first; each is forgotten as it is given."""
        long_ago = now - _AT_MOST_EVERY
        with self._lock:
            ready = {
                series: self._last.get(series, long_ago)
                for series in self._waiting
                if self._last.get(series, long_ago) <= long_ago
            }
        for series in sorted(ready, key=ready.__getitem__):
            with self._lock:
                starts = self._waiting.pop(series, None)
                if starts is not None:
                    self._last[series] = now
            if starts is not None:
                yield series, starts

    def forget(self, model: str) -> None:
        """The model belongs to another worker."""
        with self._lock:
            for of_series in (self._waiting, self._last):
                for series in [series for series in of_series if series.model == model]:
                    del of_series[series]

    def estimate(self, windows: Windows, kind: Kind | None, home: int, now: datetime) -> None:
        """Write what can be said of these windows.

        Raises:
            FencedError: another worker owns the model now.
            ServiceUnavailable: ClickHouse doesn't answer.
        """
        as_of = known_until(self._clickhouse, windows.model)
        if as_of is None:
            return
        rows = [
            (
                windows.model, windows.outcome.name, cell.start, windows.window.size_s, windows.window.step_s, cell.key,
                cell.value, name, estimate.value, estimate.lower, estimate.upper, estimate.n, as_of, now,
            )
            for cell, of_cell in estimates_of(self._clickhouse, windows, kind, as_of).items()
            for name, estimate in of_cell.items()
        ]  # fmt: skip
        if rows:
            columns = zip(zip(*rows, strict=True), _SCHEMA, strict=True)
            table = pa.table([pa.array(values, field.type) for values, field in columns], _SCHEMA)
            self._inserter.insert("estimates", table, token_of([f"estimates:{windows}:{as_of}:{now}"]), {home})
