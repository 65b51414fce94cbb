"""Tokens, one part an insert, and the fence: what the sink relies on."""

import lz4.frame
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from .server import EXACTLY_ONCE, FENCED, Server, arrow_rows, arrow_stream, count, send_fenced, send_plain


def send_fenced_in_body(client, table: str, block: bytes, settings: dict) -> None:
    body = FENCED.format(table=table, epoch=1).encode() + b"\n" + block
    client.raw_insert(None, insert_block=lz4.frame.compress(body), compression="lz4", settings=settings)


@pytest.mark.parametrize("send", [send_plain, send_fenced, send_fenced_in_body])
def test_a_repeated_token_changes_nothing_and_an_insert_is_one_part(server: Server, table: str, send):
    client = server.client()
    block = arrow_stream(arrow_rows(50_000), batch=5_000)
    for _ in range(2):
        send(client, table, block, {**EXACTLY_ONCE, "insert_deduplication_token": "topic:0:0-49999"})
    parts = client.query(
        "SELECT rows FROM system.parts WHERE active AND database = currentDatabase() AND table = {t:String}",
        parameters={"t": table},
    )
    assert parts.result_rows == [(50_000,)]
    send(client, table, block, {**EXACTLY_ONCE, "insert_deduplication_token": "topic:0:50000-99999"})
    rows = client.query(f"SELECT count(), uniqExact(a), any(s), sum(f) FROM {table}").result_rows
    assert rows[0][:2] == (100_000, 50_000)
    assert rows[0][3] == pytest.approx(2 * sum(range(50_000)) / 7)


def test_views_of_a_repeated_insert_are_deduplicated_too(server: Server, table: str):
    client = server.client()
    client.command(
        f"CREATE MATERIALIZED VIEW {table}_panes (k Int64, n UInt64) ENGINE = SummingMergeTree ORDER BY k SETTINGS "
        f"non_replicated_deduplication_window = 100 AS SELECT a % 2 AS k, count() AS n FROM {table} GROUP BY k"
    )
    for _ in range(3):
        send_fenced(client, table, arrow_stream(arrow_rows(10)), {**EXACTLY_ONCE, "insert_deduplication_token": "k"})
    assert client.query(f"SELECT k, sum(n) FROM {table}_panes GROUP BY k ORDER BY k").result_rows == [(0, 5), (1, 5)]


def test_a_fenced_writer_writes_nothing(server: Server, table: str):
    with pytest.raises(DatabaseError, match="fenced") as caught:
        server.client().command(FENCED.format(table=table, epoch=2), data=arrow_stream(arrow_rows(10)))
    assert caught.value.code == 395
    assert count(server, table) == 0


def test_input_takes_any_format_and_its_values_are_never_sql(server: Server, table: str):
    sql = f"INSERT INTO {table} (a, s) SELECT a, s FROM input('a Int64, s String') FORMAT JSONEachRow"
    server.client().command(sql, data=b'{"a":1,"s":"\'); DROP TABLE x; --"}\n{"a":2,"s":";"}')
    assert server.client().query(f"SELECT s FROM {table} ORDER BY a").result_rows == [("'); DROP TABLE x; --",), (";",)]
