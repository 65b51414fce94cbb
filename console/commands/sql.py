"""``loopwatch sql``: a query, and its rows in the shape you like."""

import contextlib
import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...infra.settings import Settings
from ...schemas.errors import LoopwatchError
from ..tabular import print_table

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_OWN_FORMAT = re.compile(r"\bFORMAT\s+[A-Za-z]\w*\s*$", re.IGNORECASE)
_RETURNS_ROWS = re.compile(r"\s*(SELECT|WITH|SHOW|DESC(RIBE)?|EXPLAIN|EXISTS|FROM|\()", re.IGNORECASE)
_LEADING_COMMENTS = re.compile(r"\A(\s*(--[^\n]*(\n|\Z)|/\*.*?\*/))+", re.DOTALL)
_CHUNK = 1 << 16


class RowFormat(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"


# ClickHouse writes these itself, so a result of any size streams through.
_FORMATS = {RowFormat.JSON: "JSONEachRow", RowFormat.JSONL: "JSONEachRow", RowFormat.CSV: "CSVWithNames"}


def sql(
    query: Annotated[str, typer.Argument(help="A ClickHouse statement; - reads it from standard input.")],
    format_: Annotated[
        RowFormat, typer.Option("--format", "-f", help="json is one array, jsonl an object a line.")
    ] = RowFormat.TABLE,
    limit: Annotated[int, typer.Option(min=1, help="How many rows a table shows; the other formats give all.")] = 1000,
) -> None:
    """Run a query on ClickHouse and print its rows.

    Tables of Loopwatch need no database name: `loopwatch sql "SELECT status, count() FROM feedback_current GROUP BY
    status"`. `loopwatch tables list` says what there is.
    """
    from ...infra.clickhouse import ClickHouse

    statement = (sys.stdin.read() if query == "-" else query).strip().rstrip(";").rstrip()
    if not statement:
        raise LoopwatchError("no query: write one in quotes, or - to read it from standard input")
    settings = Settings.load()
    clickhouse = ClickHouse(settings)
    client = clickhouse.client
    if clickhouse.rows(f"SELECT 1 FROM system.databases WHERE name = '{settings.clickhouse_database}'"):
        client.database = settings.clickhouse_database
    if not _RETURNS_ROWS.match(_LEADING_COMMENTS.sub("", statement)):
        answer = clickhouse.command(statement)
        typer.echo(str(answer) if isinstance(answer, str | int) and answer != "" else "done")
    elif _OWN_FORMAT.search(statement):
        _stream(client, statement, None, {})
    elif format_ is RowFormat.TABLE:
        result = client.query(statement)
        rows = result.result_rows
        print_table(result.column_names, rows[:limit])
        shown = f" (the first {limit:,} shown)" if len(rows) > limit else ""
        typer.echo(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{shown}")
    else:
        options = {
            "output_format_json_quote_64bit_integers": 0,
            "output_format_json_array_of_rows": int(format_ is RowFormat.JSON),
        }
        _stream(client, statement, _FORMATS[format_], options)


def _stream(client: "Client", statement: str, fmt: str | None, options: dict[str, int]) -> None:
    last = b"\n"
    stream: Any = client.raw_stream(statement, fmt=fmt, settings=options)
    with contextlib.closing(stream):
        while chunk := stream.read(_CHUNK):
            sys.stdout.buffer.write(chunk)
            last = chunk
    if not last.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
