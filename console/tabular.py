"""Rows as a table for the terminal, or as JSON or CSV."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NO_TERMINAL_WIDTH = 200


def console() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut in a file."""
    out = Console(highlight=False, soft_wrap=False)
    return out if out.is_terminal else Console(highlight=False, width=_NO_TERMINAL_WIDTH)


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Report(NamedTuple):
    """Names of columns, and rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def print_report(report: Report, format_: Format) -> None:
    """Print the rows: rounded to four decimals as a table, as they are otherwise."""
    columns, rows = report
    match format_:
        case Format.TABLE:
            print_table(
                columns, [[round(each, 4) if isinstance(each, float) else each for each in row] for row in rows]
            )
        case Format.JSON:
            document = msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in _plain(rows)])
            print(msgspec.json.format(document, indent=2).decode())
        case Format.CSV:
            csv.writer(sys.stdout).writerows([columns, *_plain(rows)])


def _plain(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [[each.isoformat() if isinstance(each, datetime) else each for each in row] for row in rows]


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print rows under their columns' names, numbers to the right."""
    console().print(table_of(columns, rows, title))


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Rows under their columns' names, as `print_table` prints them."""
    listed = [list(row) for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, name in enumerate(columns):
        numeric = any(_is_number(row[index]) for row in listed)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(_cell(value) for value in row))
    return table


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> Text:
    match value:
        case None:
            return Text("NULL", style="dim")
        case bool():
            return Text("true" if value else "false")
        case float():
            return Text(f"{value:.6g}")
        case int():
            return Text(f"{value:,}")
        case datetime():
            return Text(value.isoformat(sep=" "))
        case Mapping():
            return Text(", ".join(f"{key}={_cell(item)}" for key, item in value.items()))
        case list() | tuple():
            return Text("[" + ", ".join(str(_cell(item)) for item in value) + "]")
        case bytes():
            return Text(value.decode(errors="replace"))
        case _:
            return Text(str(value))
