"""Tokens, what a reader may do, and web pages that may do nothing."""

import socket
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from loopwatch.infra.embedded_clickhouse import EmbeddedClickHouse
from loopwatch.infra.embedded_clickhouse.reader_names import TABLE_FUNCTIONS
from loopwatch.schemas.errors import SettingsError

from .server import READER, WRITER, Server, curl


@pytest.mark.parametrize("password", ["", "wrong", WRITER + "x", READER.upper()])
def test_a_wrong_token_is_403_with_code_516(guarded: Server, password: str):
    for options in ({"headers": {"X-ClickHouse-User": "u", "X-ClickHouse-Key": password}}, {"password": password}, {}):
        response = guarded.request(query="SELECT 1", **options)
        assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    with pytest.raises(DatabaseError, match="516"):
        guarded.client(username="u", password=password)


def test_a_token_is_taken_from_every_place_clickhouse_takes_it_from(guarded: Server):
    assert curl(guarded.url, "-u", f"any:{WRITER}", "-d", "SELECT 1") == "1\n"
    assert guarded.request(query="SELECT 1", user="any", password=READER).data == b"1\n"
    assert (
        guarded.request(query="SELECT 1", headers={"X-ClickHouse-User": "a", "X-ClickHouse-Key": READER}).status == 200
    )
    assert curl(f"{guarded.url}/ping") == "Ok.\n"


def test_a_reader_reads_with_clickhouse_connect(guarded: Server):
    client = guarded.client(username="r", password=READER)
    assert client.query("SELECT a FROM t WHERE s = {s:String}", parameters={"s": "y"}).result_rows == [(2,)]
    assert client.query_arrow("SELECT sum(a) AS n FROM t").column("n").to_pylist() == [6]
    assert (
        client.query(
            "SELECT a FROM t SETTINGS max_execution_time = 5, output_format_arrow_string_as_string = 1"
        ).row_count
        == 3
    )
    assert client.command("SHOW TABLES") == "t"
    assert client.query("SELECT name FROM system.columns WHERE table = 't'").row_count == 2


def as_reader(guarded: Server, sql: str, **fields: str):
    return guarded.request(body=sql.encode(), headers={"X-ClickHouse-Key": READER}, **fields)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (4, 'w')",
        "DROP TABLE t",
        "CREATE TABLE u (a Int8) ENGINE = Memory",
        "SELECT 1 INTO OUTFILE '/tmp/loopwatch-reader-out'",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM `file`('/etc/hostname', 'LineAsString')",
        "SELECT file('/etc/hostname')",
        "SELECT * APPLY file FROM (SELECT '/etc/hostname' AS p)",
        "SELECT file SETTINGS max_execution_time = 1 ('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "SELECT * FROM `/etc/hostname`",
        "SELECT * FROM default.`/etc/hostname`",
        "DESCRIBE `/etc/hostname`",
        "SELECT * FROM {f:Identifier}",
        "SELECT * FROM url('http://127.0.0.1:1/')",
        "SELECT * FROM python(x)",
        "SELECT * FROM system.users",
        "SELECT number FROM numbers(1000001)",
        "SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000",
        "SELECT 'file'('/etc/hostname')",
        "SELECT * FROM 'file'('/etc/hostname', 'LineAsString')",
        "SHOW PROCESSLIST",
    ],
)
def test_the_engine_gives_a_reader_nothing_but_the_tables(guarded: Server, sql: str):
    response = as_reader(guarded, sql, param_f="/etc/hostname")
    assert response.status >= 400
    assert response.headers["X-ClickHouse-Exception-Code"]
    assert socket.gethostname().encode() not in response.data
    assert not Path("/tmp/loopwatch-reader-out").exists()


def test_every_table_function_of_the_engine_that_is_not_allowed_is_refused(guarded: Server):
    names = (
        guarded.client(username="w", password=WRITER).query("SELECT name FROM system.table_functions").result_columns[0]
    )
    refused = [name for name in names if name.lower() not in TABLE_FUNCTIONS]
    assert len(refused) > 60
    for name in refused:
        for sql in (f"SELECT * FROM {name}('a', 'b')", f'SELECT 1 IN (SELECT * FROM "{name.upper()}"())'):
            assert as_reader(guarded, sql).headers["X-ClickHouse-Exception-Code"] == "497", sql


def test_readonly_holds_in_the_engine_for_everything_the_allowlist_would_miss(guarded: Server):
    writer = guarded.client(username="w", password=WRITER, settings={"readonly": "1"})
    for sql in (
        "DROP TABLE t",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://x', 'CSV', 'a Int8')",
    ):
        with pytest.raises(DatabaseError) as caught:
            writer.command(sql)
        assert caught.value.code == 164


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("readonly", "0"),
        ("max_execution_time", "0"),
        ("max_result_rows", "99999999"),
        ("max_memory_usage", "0"),
        ("format_schema", "x"),
        ("max_threads", "64"),
    ],
)
def test_a_reader_may_not_lift_a_limit_in_the_url(guarded: Server, name: str, value: str):
    response = as_reader(guarded, "SELECT 1", **{name: value})
    assert response.headers["X-ClickHouse-Exception-Code"] == "164"


def test_a_reader_may_lower_a_limit_and_it_holds(guarded: Server):
    response = as_reader(guarded, "SELECT sum(sipHash64(number)) FROM numbers(100000000000)", max_execution_time="1")
    assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (408, "159")
    assert as_reader(guarded, "SELECT number FROM numbers(20) SETTINGS max_result_rows = 10").status == 500


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}]
)
def test_a_web_page_cannot_use_an_open_server(server: Server, headers: dict[str, str]):
    response = server.request(body=b"SELECT 1", headers=headers)
    assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (403, "516")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_binding_beyond_loopback_needs_a_writer_token(tmp_path: Path, host: str):
    for tokens in ({}, {"reader_token": "r"}, {"writer_token": ""}):
        with pytest.raises(SettingsError, match="writer token"):
            EmbeddedClickHouse(tmp_path, host=host, **tokens).start()


def test_tokens_that_protect_nothing_are_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="set both"):
        EmbeddedClickHouse(tmp_path, reader_token="r").start()
    with pytest.raises(SettingsError, match="readers could write"):
        EmbeddedClickHouse(tmp_path, writer_token="same", reader_token="same").start()
