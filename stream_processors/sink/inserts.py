"""One insert: one block, fenced and deduplicated by its token, tried again until it is in or must not be."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from threading import Event

import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from ...infra import metrics
from ...infra.clickhouse import FENCED_CODE, ClickHouse, quote
from ...infra.logs import logger
from ...schemas.errors import FencedError, ServiceUnavailable
from .fence import Fence

log = logger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Inserter:
    """Inserts Arrow tables, fenced by their partitions if they have any. Blocks until a block is stored.

    A try whose answer was lost is repeated with the same token, and ClickHouse drops it if it was stored after all.
    """

    def __init__(self, clickhouse: ClickHouse, fence: Fence, *, give_up_after_s: float, stop: Event) -> None:
        self._clickhouse = clickhouse
        self.fence = fence
        self._give_up_after_s = give_up_after_s
        self._stop = stop

    def insert(self, table: str, rows: pa.Table, token: str, partitions: Iterable[int]) -> None:
        """Store all rows as one block, once.

        Raises:
            FencedError: another worker owns one of the partitions now; nothing was stored.
            ServiceUnavailable: ClickHouse did not take it for as long as the settings allow, or the worker stops.
        """
        statement = self._statement(table, rows.column_names, sorted(set(partitions)))
        block = _arrow_stream(rows)
        deadline = time.monotonic() + self._give_up_after_s
        pause_s = _FIRST_PAUSE_S
        began = time.monotonic()
        while True:
            try:
                self._clickhouse.insert(statement, block, token)
                metrics.INSERT_ROWS.labels(table).inc(len(rows))
                metrics.INSERT_SECONDS.labels(table).observe(time.monotonic() - began)
                return
            except (ServiceUnavailable, ClickHouseError) as exc:
                if _is_fenced(exc):
                    raise FencedError(
                        table, min(partitions, default=0), "another worker owns the partition now"
                    ) from exc
                if self._stop.is_set() or time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        self._clickhouse.address, f"insert into {table} failed: {str(exc)[:500]}"
                    ) from exc
                metrics.INSERT_RETRIES.labels(table).inc()
                log.warning(
                    "insert failed, trying again", table=table, rows=len(rows), error=str(exc)[:300], pause_s=pause_s
                )
            self._stop.wait(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _statement(self, table: str, columns: Sequence[str], partitions: Sequence[int]) -> str:
        database = self._clickhouse.database
        names = ", ".join(f"`{column}`" for column in columns)
        types = self._types(table)
        structure = ", ".join(f"`{column}` {types[column]}" for column in columns)
        held = f"WHERE throwIf({self.fence.broken(partitions)}, 'fenced') = 0 " if partitions else ""
        return (
            f"INSERT INTO {database}.{table} ({names}) SELECT {names} FROM input({quote(structure)}) "
            f"{held}FORMAT ArrowStream"
        )

    def _types(self, table: str) -> dict[str, str]:
        """Column types, from the table itself: the DDL is the only place that states them."""
        cached = _TYPES.get((self._clickhouse.database, table))
        if cached is None:
            rows = self._clickhouse.rows(f"DESCRIBE TABLE {self._clickhouse.database}.{table}")
            cached = _TYPES[(self._clickhouse.database, table)] = {row[0]: row[1] for row in rows}
        return cached


_TYPES: dict[tuple[str, str], dict[str, str]] = {}


def token_of(parts: Iterable[str]) -> str:
    """A deduplication token for a block: its offset ranges (``topic:id:partition:first-last``), hashed together.

    >>> token_of(["t:1:0:5-9"]) == token_of(["t:1:0:5-9"]), token_of(["t:1:0:5-9"]) == token_of(["t:1:0:5-8"])
    (True, False)
    """
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _is_fenced(exc: Exception) -> bool:
    return f"Code: {FENCED_CODE}" in str(exc) or getattr(exc, "code", None) == FENCED_CODE


def _arrow_stream(rows: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return sink.getvalue()
