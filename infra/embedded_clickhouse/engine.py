"""chDB in this process: opening its directory, one fresh connection for each query, exact inserts.

Measured (chDB 4.4, engine 26.9): queries on one connection run one after the other, on several in parallel (the GIL is
released), and a connection costs 0.3 ms; settings, current database and ``readonly`` live and die with it. So every
query has its own. The data of an INSERT lie in a file in memory that the statement reads (12 M rows/s of 3 columns):
appended to the SQL they would be cut at the first semicolon, input() reads from nowhere, and the streaming insert
answers well though a constraint or too many partitions kept every row out.
"""

import contextlib
import importlib
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ...schemas.errors import EmbeddedServiceError
from .errors import QueryError, from_engine, syntax_error
from .reader_names import Catalog
from .statements import Statement

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A server doesn't guess that `1 + 1` means SELECT 1 + 1, and a block of input() must arrive as it was sent.
_ALWAYS = {"implicit_select": "0"}
_INSERT_DEFAULTS = {
    "max_insert_threads": "1",
    "parallelize_output_from_storages": "0",
    "schema_inference_use_cache_for_file": "0",
}


@dataclass(frozen=True, slots=True)
class Execution:
    """A statement ready for the engine: its session settings, parameters and, for an INSERT, the data in pieces."""

    statement: Statement
    sql: bytes
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    output_format: str = "TabSeparated"
    data: Sequence[bytes | memoryview] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """Output bytes (in the engine's memory, no copy) and the counts of X-ClickHouse-Summary."""

    output: memoryview
    summary: dict[str, str]
    owner: object
    """Keeps the memory of `output`."""


class Engine:
    """The open engine. A process has at most one; any number of threads may call `run`."""

    def __init__(self, data_dir: Path) -> None:
        self._module = _load_chdb()
        self._path = data_dir
        try:
            self._keep = self._module.connect(str(data_dir))
        except RuntimeError as exc:
            raise EmbeddedServiceError(
                f"chDB could not open {data_dir}: {exc}. One process owns a data directory, and one process has one."
            ) from exc
        try:
            self._replace_default_database()
            self.version, self.timezone = self._row("SELECT version(), timezone()")
            self.catalog = Catalog.load(self._column)
            self.input_formats = frozenset(
                n.lower() for n in self._column("SELECT name FROM system.formats WHERE is_input")
            )
            self.output_formats = frozenset(
                n.lower() for n in self._column("SELECT name FROM system.formats WHERE is_output")
            )
        except RuntimeError as exc:
            self._keep.close()
            raise EmbeddedServiceError(f"chDB opened {data_dir} but does not answer: {exc}") from exc

    def run(self, execution: Execution) -> Result:
        """Execute and wait. Raises `QueryError`."""
        started = time.perf_counter_ns()
        try:
            with self._connection(execution) as connection:
                run = self._run_query if execution.statement.data_format is None else _run_insert
                raw = run(connection, execution)
                memory = raw.get_memview()
                output = memory.view() if execution.statement.returns_rows else memoryview(b"")
                return Result(output, _summary(raw, time.perf_counter_ns() - started), (raw, memory))
        except UnicodeDecodeError as exc:  # the message quotes data that are not UTF-8
            raise from_engine(bytes(exc.object).decode("utf-8", "replace")) from exc
        except RuntimeError as exc:
            raise from_engine(str(exc)) from exc

    def cancel_all(self) -> None:
        """Ask every running query to end."""
        with contextlib.suppress(RuntimeError), self._fresh() as connection:
            connection.query("KILL QUERY WHERE query_id != currentQueryID() ASYNC", "Null")

    def close(self) -> None:
        """Close the engine; call it when no query runs any more."""
        self._keep.close()

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[Any]:
        connection = self._module.connect(str(self._path))
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def _connection(self, execution: Execution) -> Iterator[Any]:
        with self._fresh() as connection:
            if execution.database:
                connection.query(f"USE {_identifier(execution.database)}", "Null")
            settings = {**_ALWAYS, **execution.settings}
            readonly = settings.pop("readonly", None)
            if execution.statement.data_format is not None:
                settings |= {f"param_{name}": value for name, value in execution.params.items()}
            connection.query("SET " + ", ".join(_assignment(*item) for item in settings.items()), "Null")
            if readonly is not None:  # last: it forbids every other SET
                connection.query("SET " + _assignment("readonly", readonly), "Null")
            yield connection

    def _run_query(self, connection: Any, execution: Execution) -> Any:
        if connection.classify_query(execution.sql)["statement_count"] != 1:
            # The client inside chDB acts on words like `exit` and swallows them: let formatQuery say what is wrong.
            text = (
                execution.sql.decode("utf-8", "replace").replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
            )
            connection.query("SELECT formatQuery({q:String})", "Null", params={"q": text.replace("\r", "\\r")})
            raise syntax_error("this is not one statement")
        return connection.query(execution.sql, execution.output_format, params=dict(execution.params))

    def _replace_default_database(self) -> None:
        """chDB's own ``default`` opens files by table name, even when readonly: put a real database in its place."""
        self._keep.query("DETACH DATABASE default", "Null")
        if (self._path / "metadata" / "default.sql").exists():
            self._keep.query("ATTACH DATABASE default", "Null")
            return
        # Ordinary, as it has no UUID: chDB does not let a second process attach an Atomic one of this name.
        self._keep.query("SET allow_deprecated_database_ordinary = 1", "Null")
        self._keep.query("CREATE DATABASE default ENGINE = Ordinary", "Null")

    def _column(self, sql: str) -> list[str]:
        return self._keep.query(sql, "TabSeparatedRaw").data().splitlines()

    def _row(self, sql: str) -> list[str]:
        return self._column(sql)[0].split("\t")


def _run_insert(connection: Any, execution: Execution) -> Any:
    """INSERT with data: written in their order, as one block up to min_insert_block_size_rows."""
    with _spooled(execution.data) as path:
        defaults = {name: value for name, value in _INSERT_DEFAULTS.items() if name not in execution.settings}
        connection.query("SET " + ", ".join(_assignment(*item) for item in defaults.items()), "Null")
        return connection.query(execution.statement.insert_from(path), "Null")


@contextlib.contextmanager
def _spooled(pieces: Sequence[bytes | memoryview]) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("loopwatch-insert")
        try:
            with open(descriptor, "wb", buffering=0, closefd=False) as file:
                _write_all(file, pieces)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:  # macOS
        with tempfile.NamedTemporaryFile(prefix="loopwatch-insert-", buffering=0) as file:
            _write_all(file, pieces)
            yield file.name.replace("'", "\\'")


def _write_all(file: Any, pieces: Sequence[bytes | memoryview]) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[file.write(rest) :]


def _assignment(name: str, value: str) -> str:
    if not _SETTING_NAME.fullmatch(name):
        raise QueryError(115, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name} = '{escaped}'"


def _identifier(name: str) -> str:
    if "\\" in name or "\0" in name:
        raise QueryError(81, "UNKNOWN_DATABASE", f"Database {name!r} does not exist")
    return "`" + name.replace("`", "``") + "`"


def _summary(raw: Any, elapsed_ns: int) -> dict[str, str]:
    written_rows, written_bytes = raw.rows_written(), raw.bytes_written()
    return {
        "read_rows": str(raw.rows_read() or written_rows),
        "read_bytes": str(raw.bytes_read() or written_bytes),
        "written_rows": str(written_rows),
        "written_bytes": str(written_bytes),
        "total_rows_to_read": "0",
        "result_rows": str(written_rows),
        "result_bytes": str(written_bytes),
        "elapsed_ns": str(elapsed_ns),
    }


def _load_chdb() -> ModuleType:
    try:
        module = importlib.import_module("chdb")._chdb
    except ImportError as exc:
        raise EmbeddedServiceError("chDB is not installed: pip install 'loopwatch[embedded]'") from exc
    module.set_signal_handlers_enabled(0)  # the process's own SIGTERM and SIGINT handlers stay
    return module
