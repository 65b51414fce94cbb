"""The calls of clickhouse-connect that Loopwatch and its users make."""

import pytest

from .server import Server, arrow_rows


def test_clickhouse_connect_reads_and_writes(server: Server, table: str):
    client = server.client()
    assert client.ping()
    assert client.server_version.startswith("26.")
    summary = client.insert(table, [[1, 2], ["x", "y"], [0.5, 1.5]], column_names=["a", "s", "f"], column_oriented=True)
    assert summary.written_rows == 2
    client.insert_arrow(table, arrow_rows(3, start=10))
    client.raw_insert(table, ["a", "s", "f"], b'{"a":20,"s":"q"}\n', fmt="JSONEachRow")
    assert client.query(f"SELECT a, s FROM {table} WHERE a < 3 ORDER BY a").result_rows == [(1, "x"), (2, "y")]
    assert client.query_arrow(f"SELECT a FROM {table} ORDER BY a").column("a").to_pylist() == [1, 2, 10, 11, 12, 20]
    assert client.raw_query(f"SELECT a FROM {table} WHERE a = 20", fmt="JSONEachRow") == b'{"a":20}\n'
    assert client.raw_stream(f"SELECT a FROM {table} ORDER BY a", fmt="CSV").read() == b"1\n2\n10\n11\n12\n20\n"
    assert client.command(f"EXISTS TABLE {table}") == 1
    assert client.query(f"SELECT a FROM {table} LIMIT 0").column_names == ("a",)
    assert client.command(f"DROP TABLE {table}").query_id
    client.close()


@pytest.mark.parametrize(
    "value", ["it's", "tab\tnewline\nback\\slash", "'; DROP TABLE t; --", "é⚡", "{a:b}", "\\N", ""]
)
def test_parameters_arrive_as_they_are(server: Server, value: str):
    rows = (
        server.client().query("SELECT {v:String}, {n:Array(Int64)}", parameters={"v": value, "n": [1, -2]}).result_rows
    )
    assert rows == [(value, [1, -2])]


def test_a_large_parameter_travels_as_a_form(server: Server):
    ids = [f"id-{i:06}" for i in range(20_000)]
    assert server.client().query(
        "SELECT length({ids:Array(String)}), {ids:Array(String)}[3]", parameters={"ids": ids}
    ).result_rows == [(20_000, "id-000002")]


def test_settings_and_the_database_hold_for_their_query_only(server: Server):
    client = server.client()
    client.command("CREATE DATABASE IF NOT EXISTS other")
    assert server.client(database="other").command("SELECT currentDatabase()") == "other"
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 123}) == 123
    assert client.command("SELECT currentDatabase(), getSetting('max_block_size')") != ["other", "123"]


def test_a_large_result_arrives_whole(server: Server):
    column = server.client().query_arrow("SELECT number AS n FROM numbers(3000000)").column("n")
    assert (len(column), column[2_999_999].as_py()) == (3_000_000, 2_999_999)
