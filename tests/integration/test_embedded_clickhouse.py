"""The embedded ClickHouse as its users meet it: clickhouse-connect, curl and bare sockets against its own process."""

import contextlib
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlencode, urlsplit

import clickhouse_connect
import lz4.frame
import numpy as np
import psutil
import pyarrow as pa
import pytest
import urllib3
from backports import zstd
from clickhouse_connect.driver.exceptions import DatabaseError
from loopwatch.infra.embedded_clickhouse import EmbeddedClickHouse
from loopwatch.infra.embedded_clickhouse.reader_names import TABLE_FUNCTIONS
from loopwatch.infra.embedded_clickhouse.server import Limits
from loopwatch.schemas.errors import EmbeddedServiceError, SettingsError

from tests.waiting import wait_until

WRITER, READER = "writer-secret", "reader-secret"
EXACTLY_ONCE = {
    "insert_deduplicate": 1,
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}


class Server:
    """``python -m loopwatch.infra.embedded_clickhouse`` and its address."""

    def __init__(self, data: Path, *options: str, tokens: bool = False) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LOOPWATCH_")}
        if tokens:
            environment |= {
                "LOOPWATCH_CLICKHOUSE_WRITER_TOKEN": WRITER,
                "LOOPWATCH_CLICKHOUSE_READER_TOKEN": READER,
            }
        command = [
            sys.executable,
            "-m",
            "loopwatch.infra.embedded_clickhouse",
            "--port",
            "0",
            "--data",
            str(data),
            *options,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        line = cast("IO[str]", self.process.stdout).readline()
        if not line.startswith("ready "):
            self.process.kill()
            raise AssertionError(f"no ready line: {line!r} {cast('IO[str]', self.process.stderr).read()}")
        self.url = line.split()[1]
        self.port = urlsplit(self.url).port or 0

    def client(self, **options):
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, autogenerate_session_id=False, **options)

    def request(self, method: str = "POST", body: object = None, headers: dict[str, str] | None = None, **fields: str):
        url = f"{self.url}/?{urlencode(fields)}"
        return HTTP.request(method, url, body=body, headers=headers or {}, retries=False)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.communicate()


HTTP = urllib3.PoolManager(maxsize=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without tokens; one for this module (and worker): chDB takes a second to open."""
    running = Server(tmp_path_factory.mktemp("open"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With tokens and a body limit of 2 MB; has a table `t` of 3 rows."""
    running = Server(tmp_path_factory.mktemp("guarded"), "--max-body-bytes", "2000000", tokens=True)
    writer = running.client(username="w", password=WRITER)
    writer.command("CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    writer.insert("t", [[1, "x"], [2, "y"], [3, "z"]], column_names=["a", "s"])
    yield running
    running.stop()


@pytest.fixture
def table(server: Server, request: pytest.FixtureRequest) -> str:
    """A fresh table (a Int64, s String, f Float64) that deduplicates."""
    name = f"t_{abs(hash(request.node.nodeid)):x}"
    server.client().command(
        f"CREATE TABLE {name} (a Int64, s String, f Float64) ENGINE = MergeTree ORDER BY a "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    return name


def arrow_rows(count: int, start: int = 0) -> pa.Table:
    numbers = np.arange(start, start + count)
    return pa.table({"a": numbers, "s": [f"s;'\n{i}" for i in range(count)], "f": numbers / 7})


def arrow_stream(rows: pa.Table, batch: int | None = None) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=batch)
    return sink.getvalue()


def count(server: Server, table: str) -> int:
    return cast("int", server.client().command(f"SELECT count() FROM {table}"))


# --- clickhouse-connect ---------------------------------------------------------------------------------------------


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


# --- exactly once ---------------------------------------------------------------------------------------------------

FENCED = (
    "INSERT INTO {table} (a, s, f) SELECT a, s, f FROM input('a Int64, s String, f Float64') "
    "WHERE throwIf((SELECT {epoch}) != 1, 'fenced') = 0 FORMAT ArrowStream"
)


def send_plain(client, table: str, block: bytes, settings: dict) -> None:
    client.raw_insert(table, ["a", "s", "f"], block, fmt="ArrowStream", settings=settings)


def send_fenced(client, table: str, block: bytes, settings: dict) -> None:
    client.command(FENCED.format(table=table, epoch=1), data=block, settings=settings)


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


# --- curl -----------------------------------------------------------------------------------------------------------


def curl(*arguments: str, stdin: bytes = b"") -> str:
    return subprocess.run(
        ["curl", "-sS", "--max-time", "20", *arguments], input=stdin, capture_output=True, check=True
    ).stdout.decode()


def test_curl_asks_and_inserts(server: Server, table: str):
    assert curl(f"{server.url}/ping") == curl(server.url) == curl(f"{server.url}/replicas_status") == "Ok.\n"
    assert "200" in curl("-I", f"{server.url}/ping").splitlines()[0]
    assert curl(server.url, "-d", "SELECT 1 AS one, 'x' AS s FORMAT JSONEachRow") == '{"one":1,"s":"x"}\n'
    assert (
        curl("-G", server.url, "--data-urlencode", "query=SELECT {v:String}", "--data-urlencode", "param_v=a b")
        == "a b\n"
    )
    assert curl(f"{server.url}/?default_format=JSONCompactEachRow", "-d", "SELECT 1") == "[1]\n"
    assert curl(server.url, "-H", "X-ClickHouse-Format: CSV", "-d", "SELECT 'a'") == '"a"\n'
    insert = urlencode({"query": f"INSERT INTO {table} (a, s) FORMAT CSV"})
    assert curl(f"{server.url}/?{insert}", "--data-binary", "@-", stdin=b"1,x\n") == ""
    curl(f"{server.url}/?{insert}", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", stdin=b"2,y\n3,z\n")
    large = b"".join(b"%d,s\n" % i for i in range(4, 300_000))  # curl asks with Expect: 100-continue
    curl(f"{server.url}/?{insert}", "--data-binary", "@-", stdin=large)
    assert curl(server.url, "-d", f"SELECT count(), max(a) FROM {table}") == "299999\t299999\n"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("exit", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT nope -- { serverError 47 }", 404, 47),
        ("SELECT * FROM nope", 404, 60),
        ("SELECT * FROM nope.t", 404, 81),
        ("SELECT 1 FORMAT Nope", 404, 73),
        ("SELECT throwIf(1)", 500, 395),
        ("INSERT INTO nope FORMAT CSV\n1", 404, 60),
    ],
)
def test_an_error_has_clickhouses_status_code_and_body(server: Server, sql: str, status: int, code: int):
    head, _, body = curl("-i", server.url, "--data-binary", sql).partition("\r\n\r\n")
    assert head.splitlines()[0].split()[1] == str(status)
    assert f"X-ClickHouse-Exception-Code: {code}" in head
    assert body.startswith(f"Code: {code}. DB::Exception: ")
    assert "(version 26." in body


def test_a_response_carries_clickhouses_headers(server: Server):
    response = server.request(query="SELECT number FROM numbers(10) FORMAT JSON", query_id="my-id", method="GET")
    assert response.headers["X-ClickHouse-Query-Id"] == "my-id"
    assert response.headers["X-ClickHouse-Format"] == "JSON"
    assert response.headers["X-ClickHouse-Timezone"]
    assert response.headers["X-ClickHouse-Server-Display-Name"]
    assert response.headers["Content-Type"].startswith("application/json")
    assert json.loads(response.headers["X-ClickHouse-Summary"])["read_rows"] == "10"
    assert "\r" not in server.request(query="SELECT 1", query_id="a\r\nX-Evil: 1").headers["X-ClickHouse-Query-Id"]


def test_get_reads_only(server: Server, table: str):
    for sql in (f"INSERT INTO {table} (a) VALUES (1)", f"DROP TABLE {table}", f"INSERT INTO {table} (a) SELECT 1"):
        response = server.request("GET", query=sql)
        assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert count(server, table) == 0


def test_a_query_in_the_url_goes_before_the_body(server: Server, table: str):
    assert server.request(body=b"UNION ALL SELECT 2 ORDER BY 1", query="SELECT 1 AS x").data == b"1\n2\n"
    assert server.request(body=b"(1, 'a'), (2, 'b;')", query=f"INSERT INTO {table} (a, s) VALUES").status == 200
    assert server.request(query=f"INSERT INTO {table} (a, s) VALUES ({{a:Int64}}, 'c')", param_a="3").status == 200
    assert server.request(query=f"SELECT a, s FROM {table} ORDER BY a FORMAT CSV").data == b'1,"a"\n2,"b;"\n3,"c"\n'


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("identity", lambda data: data),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("lz4", lz4.frame.compress),
        ("zstd", zstd.compress),
        ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("lz4", lambda data: lz4.frame.compress(data[:9]) + lz4.frame.compress(data[9:])),
        ("zstd", lambda data: zstd.compress(data[:9]) + zstd.compress(data[9:])),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_compressed_bodies_arrive_whole(server: Server, table: str, encoding: str, compress, chunked: bool):
    rows = b"".join(b"%d,%d\n" % (i, i * 7919 % 100_003) for i in range(200_000))  # more than two pieces of 1 MiB
    body = compress(rows)
    sent = (body[i : i + 70_001] for i in range(0, len(body), 70_001)) if chunked else body
    response = server.request(
        body=sent, headers={"Content-Encoding": encoding}, query=f"INSERT INTO {table} (a, s) FORMAT CSV"
    )
    assert response.status == 200, response.data
    assert server.request(query=f"SELECT count(), sum(a) FROM {table}").data == b"200000\t19999900000\n"


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("lz4", lz4.frame.compress), ("zstd", zstd.compress)]
)
def test_truncated_or_corrupt_bodies_execute_nothing(server: Server, table: str, encoding: str, compress):
    whole = compress(b"".join(b"%d,x\n" % i for i in range(10_000)))
    for body in (whole[:-5], whole[: len(whole) // 2], b"garbage, garbage, garbage"):
        response = server.request(
            body=body, headers={"Content-Encoding": encoding}, query=f"INSERT INTO {table} (a, s) FORMAT CSV"
        )
        assert response.status == 400, body[:10]
        assert response.headers["X-ClickHouse-Exception-Code"] in ("33", "271")
    assert count(server, table) == 0


@pytest.mark.parametrize("encoding", ["br", "snappy", "gzip, lz4"])
def test_an_unknown_encoding_is_refused(server: Server, encoding: str):
    response = server.request(body=b"SELECT 1", headers={"Content-Encoding": encoding})
    assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (415, "48")


def talk(server: Server, data: bytes, *, close: bool = False) -> bytes:
    """Send bytes over a connection of one's own (then say there are no more, or just go), return what comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.sendall(data)
        if close:
            return b""
        connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        return received


def test_a_client_that_leaves_in_the_middle_of_its_body_inserts_nothing(server: Server, table: str):
    head = f"POST /?{urlencode({'query': f'INSERT INTO {table} (a, s) FORMAT CSV'})} HTTP/1.1\r\nHost: localhost\r\n"
    cut = [
        b"Content-Length: 1000\r\n\r\n1,x\n2,y\n",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\n1,x\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nff\r\n1,x\n",
    ]
    for rest in cut:
        assert b"400 Bad Request" in talk(server, head.encode() + rest)
        talk(server, head.encode() + rest, close=True)
    assert count(server, table) == 0


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 8\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 8\r\nContent-Length: 9\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 8x\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: chunked\r\nX: y\r\n\r\nzz\r\nSELECT 1\r\n0\r\n",
    ],
)
def test_ambiguous_framing_is_refused_and_the_connection_closed(server: Server, framing: bytes):
    answer = talk(
        server, b"POST / HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\nSELECT 1GET /ping HTTP/1.1\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_post_without_a_length_is_411(server: Server):
    assert talk(server, b"POST /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 411 ")


def test_a_bomb_costs_its_limit_and_no_more(guarded: Server):
    memory = psutil.Process(guarded.process.pid).memory_info
    before = memory().rss
    for encoding, bomb in (
        ("zstd", zstd.compress(bytes(512 << 20))),
        ("gzip", gzip.compress(bytes(64 << 20))),
        ("lz4", lz4.frame.compress(bytes(256 << 20))),
    ):
        response = guarded.request(
            body=bomb[: 1 << 20],
            headers={"Content-Encoding": encoding, "X-ClickHouse-Key": WRITER},
            query="INSERT INTO t FORMAT CSV",
        )
        assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (413, "307"), encoding
    assert memory().rss - before < 100 << 20


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413_and_the_client_reads_why(guarded: Server, chunked: bool):
    body = (bytes(100_000) for _ in range(30)) if chunked else bytes(3_000_000)
    headers = {"X-ClickHouse-Key": WRITER}
    response = guarded.request(body=body, headers=headers, query="INSERT INTO t FORMAT CSV")
    assert (response.status, response.headers["X-ClickHouse-Exception-Code"]) == (413, "307")
    assert b"2000000 bytes" in response.data


# --- who may what ---------------------------------------------------------------------------------------------------


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


# --- many at once, and its life -------------------------------------------------------------------------------------


def test_ten_clients_insert_and_query_at_once(server: Server, table: str):
    def work(k: int) -> list[int]:
        client = server.client()
        seen = []
        for i in range(5):
            send = send_fenced if i % 2 else send_plain
            token = {**EXACTLY_ONCE, "insert_deduplication_token": f"{k}:{i}"}
            send(client, table, arrow_stream(arrow_rows(1_000, start=(k * 5 + i) * 1_000)), token)
            seen.append(client.command(f"SELECT countIf(intDiv(a, 5000) = {k}) FROM {table}"))
        return seen

    with ThreadPoolExecutor(10) as pool:
        for seen in pool.map(work, range(10), timeout=60):
            assert seen == [1_000, 2_000, 3_000, 4_000, 5_000]
    assert server.request(query=f"SELECT count(), uniqExact(a) FROM {table}").data == b"50000\t50000\n"


def test_slow_and_too_many_clients_are_turned_away_and_others_served(tmp_path: Path):
    limits = Limits(connections=2, idle_s=20, io_s=2, wait_for_slot_s=0.6, evict_idle_s=0.2, drain_s=0.5)
    answers: list[str] = []
    with EmbeddedClickHouse(tmp_path / "data", limits=limits) as small, contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            port = urlsplit(small.url).port or 0
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))

        with pytest.raises(EmbeddedServiceError):  # chDB has one directory a process
            EmbeddedClickHouse(tmp_path / "second").start()
        for _ in range(4):  # connections without a request make room for new ones
            connect()
        assert curl(small.url, "-d", "SELECT 1") == "1\n"
        # Two whose bodies don't come take all the slots, until they are given up.
        slow = [connect(), connect()]
        for connection in slow:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nSELECT")
        wait_until(lambda: "Too many connections" in curl(small.url, "-d", "SELECT 2"), what="all slots to be taken")
        assert [connection.recv(100) for connection in slow] == [b"", b""]
        assert curl(small.url, "-d", "SELECT 3") == "3\n"
        # What still runs when the server stops is cancelled.
        endless = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
        last = threading.Thread(target=lambda: answers.append(curl(small.url, "-d", endless)))
        last.start()
        running = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number)%'"
        wait_until(lambda: curl(small.url, "-d", running) == "2\n", what="the query to run")
    last.join(20)
    assert "QUERY_WAS_CANCELLED" in answers[-1]


def test_data_survive_sigterm_and_sigkill_and_a_directory_has_one_owner(tmp_path: Path):
    data = tmp_path / "data"
    once = {**EXACTLY_ONCE, "insert_deduplication_token": "topic:0:0-0"}
    first = Server(data)
    first.client().command(
        "CREATE TABLE kept (a Int64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    first.client().insert("kept", [[1], [2]], column_names=["a"])
    with pytest.raises(AssertionError, match="stop that one first"):
        Server(data)
    assert first.stop() == 0
    second = Server(data)
    assert count(second, "kept") == 2
    second.client().insert("kept", [[3]], column_names=["a"], settings=once)
    assert second.stop(signal.SIGKILL) == -signal.SIGKILL
    third = Server(data)
    third.client().insert("kept", [[3]], column_names=["a"], settings=once)  # a retry after the crash
    assert count(third, "kept") == 3
    assert third.stop(signal.SIGINT) == 0
