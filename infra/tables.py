"""Tables of ClickHouse: the numbered SQL files beside this module, applied in order, as often as you like."""

from collections.abc import Iterator
from pathlib import Path

from .clickhouse import ClickHouse
from .settings import Settings

_SQL = Path(__file__).parent / "sql"


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
