"""A ClickHouse database of a test's own."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from loopwatch.infra.clickhouse import INSERT_SETTINGS, ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables


@contextmanager
def new_database(url: str) -> Iterator[ClickHouse]:
    """A connection to a new one, with all tables and no rows."""
    settings = Settings(clickhouse_url=url, clickhouse_database=f"t_{uuid.uuid4().hex[:12]}")
    connection = ClickHouse(settings)
    apply_tables(connection, settings)
    yield connection
    connection.close()


def insert_rows(clickhouse: ClickHouse, table: str, rows: pa.Table) -> None:
    """Rows as a worker stores them, though of any number of months: those of a worker's block came in one instant."""
    settings = {**INSERT_SETTINGS, "max_partitions_per_insert_block": 0}
    clickhouse.client.insert_arrow(table, rows, database=clickhouse.database, settings=settings)
