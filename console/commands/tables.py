"""``loopwatch tables``: what is in ClickHouse, and making what is missing."""

import typer

from ...infra.settings import Settings
from ..tabular import print_table

app = typer.Typer(no_args_is_help=True, help="List or create the ClickHouse tables.")


@app.command("list")
def list_tables() -> None:
    """Show each table and view with its rows and bytes on disk. Ends with 1 when one is missing."""
    from ...infra.clickhouse import ClickHouse
    from ...infra.tables import missing_tables

    settings = Settings.load()
    clickhouse = ClickHouse(settings)
    rows = clickhouse.rows(
        "SELECT name, engine, total_rows, formatReadableSize(total_bytes), comment FROM system.tables "
        f"WHERE database = '{settings.clickhouse_database}' ORDER BY name"
    )
    print_table(("table", "engine", "rows", "size", "what it holds"), rows)
    if missing := missing_tables(clickhouse, settings):
        typer.echo(f"missing: {', '.join(missing)}; `loopwatch tables apply` creates them.", err=True)
        raise typer.Exit(1)


@app.command()
def apply() -> None:
    """Create the database, tables and views that are missing. Doing it again changes nothing."""
    from ...infra.clickhouse import ClickHouse
    from ...infra.tables import apply_tables

    settings = Settings.load()
    count = apply_tables(ClickHouse(settings), settings)
    typer.echo(f"database {settings.clickhouse_database} is as it should be ({count} statements)")
