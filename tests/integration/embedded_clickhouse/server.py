"""The server as a process of its own, and what its tests send it."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlencode, urlsplit

import clickhouse_connect
import numpy as np
import pyarrow as pa
import urllib3

WRITER, READER = "writer-secret", "reader-secret"
HTTP = urllib3.PoolManager(maxsize=20)
EXACTLY_ONCE = {
    "insert_deduplicate": 1,
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}
FENCED = (
    "INSERT INTO {table} (a, s, f) SELECT a, s, f FROM input('a Int64, s String, f Float64') "
    "WHERE throwIf((SELECT {epoch}) != 1, 'fenced') = 0 FORMAT ArrowStream"
)


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


def curl(*arguments: str, stdin: bytes = b"") -> str:
    return subprocess.run(
        ["curl", "-sS", "--max-time", "20", *arguments], input=stdin, capture_output=True, check=True
    ).stdout.decode()


def send_plain(client, table: str, block: bytes, settings: dict) -> None:
    client.raw_insert(table, ["a", "s", "f"], block, fmt="ArrowStream", settings=settings)


def send_fenced(client, table: str, block: bytes, settings: dict) -> None:
    client.command(FENCED.format(table=table, epoch=1), data=block, settings=settings)
