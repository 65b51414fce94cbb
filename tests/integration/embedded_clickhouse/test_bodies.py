"""Bodies of every encoding and framing, whole, truncated, ambiguous and far too large."""

import contextlib
import gzip
import socket
import zlib
from urllib.parse import urlencode

import lz4.frame
import psutil
import pytest
from backports import zstd

from .server import WRITER, Server, count


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


@pytest.mark.parametrize(
    ("sql", "body", "code"),
    [
        ("INSERT INTO {t} (at) FORMAT CSV", b"2026-01-01\n1999-01-01\n", 469),
        ("INSERT INTO {t} (at) VALUES", b"('2026-01-01'), ('1999-01-01');", 469),
        ("INSERT INTO {t} (at) SELECT at FROM input('at Date') FORMAT CSV", b"1999-01-01\n", 469),
        ("INSERT INTO {t} (at) FORMAT CSV", b"2026-01-01\n2026-02-01\n", 252),
        ("INSERT INTO {t} FORMAT JSONEachRow", b'{"at":"2026-01-01"}\n{"at":"2026-02-01"}\n', 252),
        ("INSERT INTO {t} (at) SETTINGS max_insert_threads = 2 FORMAT CSV", b"2026-01-01\n2026-02-01\n", 252),
    ],
)
def test_rows_that_a_table_refuses_are_an_error_and_none_is_stored(server: Server, sql: str, body: bytes, code: int):
    table = f"refusing_{abs(hash((sql, body))):x}"
    server.client().command(
        f"CREATE TABLE {table} (at Date, CONSTRAINT recent CHECK at > '2000-01-01') "
        "ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY at"
    )
    response = server.request(body=body, query=sql.format(t=table), max_partitions_per_insert_block="1")
    assert (response.status, response.headers.get("X-ClickHouse-Exception-Code")) == (500, str(code)), response.data
    assert count(server, table) == 0
