"""A ClickHouse database of a test's own."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from loopwatch.infra.clickhouse import ClickHouse
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
