"""Many clients at once, slow ones, and data that survive the process."""

import contextlib
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from loopwatch.infra.embedded_clickhouse import EmbeddedClickHouse
from loopwatch.infra.embedded_clickhouse.server import Limits
from loopwatch.schemas.errors import EmbeddedServiceError

from ...waiting import wait_until
from .server import EXACTLY_ONCE, Server, arrow_rows, arrow_stream, count, curl, send_fenced, send_plain


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
    limits = Limits(connections=2, idle_s=20, io_s=10, wait_for_slot_s=2, evict_idle_s=0.2, drain_s=0.5)
    answers: list[str] = []
    with EmbeddedClickHouse(tmp_path / "data", limits=limits) as small, contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            port = urlsplit(small.url).port or 0
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))

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
