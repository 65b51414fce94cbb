"""Tables are brought up to date as often as one likes."""

from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables


def described(clickhouse: ClickHouse, table: str) -> dict[str, tuple[str, str]]:
    rows = clickhouse.rows(f"DESCRIBE TABLE {clickhouse.database}.{table}")
    return {row[0]: (row[1], row[4]) for row in rows}


def test_a_database_of_before_gets_the_column_that_is_new(clickhouse: ClickHouse) -> None:
    settings = Settings(clickhouse_url=clickhouse.address, clickhouse_database=clickhouse.database)
    whole = described(clickhouse, "predictions")
    clickhouse.command(f"ALTER TABLE {clickhouse.database}.predictions DROP COLUMN attributes")
    clickhouse.command(
        f"INSERT INTO {clickhouse.database}.predictions (prediction_id, model, _ingested_at) VALUES ('old', 'm', now())"
    )
    assert "attributes" not in described(clickhouse, "predictions")
    for _ in range(2):
        apply_tables(clickhouse, settings)
        assert list(described(clickhouse, "predictions").items()) == list(whole.items())
    assert clickhouse.rows(f"SELECT prediction_id, attributes FROM {clickhouse.database}.predictions") == [("old", {})]


def test_every_column_says_what_it_holds(clickhouse: ClickHouse) -> None:
    tables = clickhouse.rows(
        f"SELECT name FROM system.tables WHERE database = '{clickhouse.database}' AND NOT endsWith(engine, 'View')"
    )
    columns = {
        (table, name): comment for (table,) in tables for name, (_, comment) in described(clickhouse, table).items()
    }
    assert len(columns) > 50
    assert [column for column, comment in columns.items() if not comment] == []
