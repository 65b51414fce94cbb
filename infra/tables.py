"""Tables of ClickHouse: the numbered SQL files beside this module, applied in order, as often as you like."""

import re
from collections.abc import Iterator
from pathlib import Path

from .clickhouse import ClickHouse
from .settings import Settings

_SQL = Path(__file__).parent / "sql"
_CREATES = re.compile(r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW|MATERIALIZED VIEW) (?:IF NOT EXISTS )?[^.\s]+\.(\w+)")


def statements(settings: Settings) -> Iterator[tuple[str, str]]:
    """File name and statement of everything that `apply_tables` runs, in order."""
    yield "000", f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database}"
    engine = "Replicated" if settings.replicated_tables else ""
    for file in sorted(_SQL.glob("*.sql")):
        text = file.read_text(encoding="utf-8")
        for name, value in (
            ("database", settings.clickhouse_database),
            ("ttl_days", str(settings.ttl_days)),
            ("engine", engine),
        ):
            text = text.replace("{" + name + "}", value)
        for statement in text.split(";\n"):
            if statement.strip():
                yield file.name, statement.strip().removesuffix(";")


def apply_tables(clickhouse: ClickHouse, settings: Settings) -> int:
    """Create what is missing; returns the number of statements run. Running it again changes nothing."""
    count = 0
    for _, statement in statements(settings):
        clickhouse.command(statement)
        count += 1
    return count


def missing_tables(clickhouse: ClickHouse, settings: Settings) -> list[str]:
    """Names of tables and views that `apply_tables` would create."""
    there = clickhouse.rows(f"SELECT name FROM system.tables WHERE database = '{settings.clickhouse_database}'")
    names = [found[1] for _, statement in statements(settings) if (found := _CREATES.match(statement))]
    return sorted(set(names) - {row[0] for row in there})
