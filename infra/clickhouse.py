"""The one way to talk to ClickHouse: clickhouse-connect, with its errors translated and each insert one Arrow block."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from urllib3.exceptions import HTTPError

from ..schemas.errors import ServiceUnavailable, SettingsError
from .settings import Settings
from .wrapped_errors import reason_in

FENCED_CODE = 395
"""ClickHouse's FUNCTION_THROW_IF_VALUE_IS_NON_ZERO: the fence of an insert did not hold."""

TIMEOUT_CODE = 159
"""ClickHouse's TIMEOUT_EXCEEDED: a query took longer than its `max_execution_time`."""

# One block, deduplicated by its token, also into materialized views, whatever the server's defaults are. Folding is
# left to merges: at each insert it was a fifth of what panes cost.
INSERT_SETTINGS: Mapping[str, Any] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "optimize_on_insert": 0,
    "max_insert_block_size": 4_000_000,
    "min_insert_block_size_rows": 4_000_000,
    "min_insert_block_size_bytes": 2_000_000_000,
    "max_partitions_per_insert_block": 1,
    "input_format_parallel_parsing": 0,
    "max_insert_threads": 1,
}
# Ids are written into the query text, which travels in the body. Expressions are compiled from a query's fourth run on,
# and then turn an Int128 into another float, in its last bit: the same rows must give the same metrics each time.
QUERY_SETTINGS: Mapping[str, Any] = {
    "max_query_size": 1 << 28,
    "max_ast_elements": 4_000_000,
    "compile_expressions": 0,
}
ARROW_SETTINGS: Mapping[str, Any] = {"output_format_arrow_string_as_string": 1}
# While queries with haste run, patient ones wait at each block that they read; so long at most, or they would starve.
HASTE: Mapping[str, Any] = {"priority": 1}
PATIENCE: Mapping[str, Any] = {"priority": 2, "low_priority_query_wait_time_ms": 200}


class ClickHouse:
    """A connection that several threads may use at once. `database` is the one of the settings.

    Queries of one with `patience` go on while none of others run on the server: for work that nobody waits for.
    """

    def __init__(self, settings: Settings, *, timeout_s: float = 120.0, patience: bool = False) -> None:
        self.database = settings.clickhouse_database
        self.address = settings.clickhouse_url
        self._options: dict[str, Any] = connection_options(settings)
        self._options["send_receive_timeout"] = timeout_s
        self._query_settings: dict[str, Any] = {**QUERY_SETTINGS, **(PATIENCE if patience else HASTE)}
        self._arrow_settings: dict[str, Any] = {**self._query_settings, **ARROW_SETTINGS}
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """clickhouse-connect's client, connected at first use.

        Raises:
            ServiceUnavailable: nothing answers there, or it refuses the user.
        """
        if self._client is None:
            try:
                self._client = clickhouse_connect.get_client(**self._options)
            except ClickHouseError as exc:
                raise self._unavailable(exc) from exc
        return self._client

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """All rows of a query, as tuples."""
        with self._translated():
            return self.client.query(sql, settings=self._query_settings).result_rows

    def arrow(self, sql: str) -> pa.Table:
        """The result of a query as an Arrow table, text as text."""
        with self._translated():
            return self.client.query_arrow(sql, settings=self._arrow_settings)

    def arrow_batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The result of a query batch by batch, never all of it in memory."""
        with self._translated(), self.client.query_arrow_stream(sql, settings=self._arrow_settings) as batches:
            yield from batches

    def command(self, sql: str) -> Any:
        """Run a statement that returns nothing, or one value."""
        with self._translated():
            return self.client.command(sql)

    def insert(self, statement: str, block: pa.Buffer, token: str) -> None:
        """Insert one Arrow stream with `statement` (``INSERT … FORMAT ArrowStream``), at most once for a token."""
        settings = dict(INSERT_SETTINGS) | {"insert_deduplication_token": token}
        with self._translated():
            self.client.raw_insert("", insert_block=b"\n".join((statement.encode(), block)), settings=settings)

    def close(self) -> None:
        """Drop the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """A connection that fails is a service away; what the server itself says passes as it is."""
        try:
            yield
        except OperationalError as exc:
            raise self._unavailable(exc) from exc
        except DatabaseError:
            raise
        except (ClickHouseError, HTTPError, pa.ArrowException) as exc:
            raise self._unavailable(exc) from exc

    def _unavailable(self, exc: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(_without_password(self.address), f"ClickHouse: {reason_in(str(exc))}")


def connection_options(settings: Settings) -> dict[str, Any]:
    """What clickhouse-connect needs to know: the URL taken apart, user and password from wherever they are."""
    url = urlsplit(settings.clickhouse_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SettingsError(
            f"LOOPWATCH_CLICKHOUSE_URL={_without_password(settings.clickhouse_url)}: expected http://host:port or https://host:port"
        )
    password = settings.clickhouse_password or unquote(url.password or "")
    if settings.clickhouse_password_file:
        password = Path(settings.clickhouse_password_file).read_text(encoding="utf-8").strip()
    return {
        "host": url.hostname,
        "port": url.port or (8443 if url.scheme == "https" else 8123),
        "interface": url.scheme,
        "username": settings.clickhouse_user or unquote(url.username or "") or None,
        "password": password,
        "autogenerate_session_id": False,
        "compress": False,
        "connect_timeout": 10,
        "query_retries": 0,
    }


def quote(text: str) -> str:
    """Text as a ClickHouse string literal.

    >>> print(quote("it's a \\\\ test"))
    'it\\'s a \\\\ test'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{escaped}'"


def quoted(texts: Sequence[str]) -> str:
    """Texts as the inside of an IN list.

    >>> quoted(["a", "b"])
    "'a','b'"
    """
    return ",".join(map(quote, texts))


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
