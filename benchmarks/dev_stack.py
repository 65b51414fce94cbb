"""``loopwatch dev`` as a child process: embedded services and one worker, on free ports and an empty directory."""

import contextlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from loopwatch.infra.child_process import free_port
from loopwatch.infra.settings import Settings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
_CLICKHOUSE = re.compile(r"https?://[^\s,;]+")
_KAFKA = re.compile(r"(?<![/\w.@-])[\w.-]+:\d+\b(?!/)")


@contextlib.contextmanager
def dev_stack() -> Iterator[Settings]:
    """Start it, yield settings with its addresses, and end it.

    Raises RuntimeError with its last words if it ends, or doesn't print its ``ready`` line within two minutes.
    """
    with tempfile.TemporaryDirectory(prefix="loopwatch-bench-", ignore_cleanup_errors=True) as directory:
        command = [sys.executable, "-m", "loopwatch.console.cli", "dev"]
        command += ["--kafka-port", str(free_port()), "--clickhouse-port", str(free_port())]
        command += ["--data", str(Path(directory, "data"))]
        log_path = Path(directory, "dev.log")
        with (
            log_path.open("w", encoding="utf-8") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
        ):
            try:
                yield addresses_in(_ready_line(process, log_path))
            finally:
                process.terminate()
                try:
                    process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def addresses_in(ready_line: str) -> Settings:
    """Settings with the two addresses of a ``ready`` line.

    >>> settings = addresses_in("ready kafka=127.0.0.1:19092 clickhouse=http://127.0.0.1:18123")
    >>> settings.kafka_bootstrap, settings.clickhouse_url
    ('127.0.0.1:19092', 'http://127.0.0.1:18123')
    """
    clickhouse, kafka = _CLICKHOUSE.search(ready_line), _KAFKA.search(ready_line)
    if clickhouse is None or kafka is None:
        raise RuntimeError(f"loopwatch dev: expected `ready`, HOST:PORT of Kafka and a ClickHouse URL: {ready_line!r}")
    return Settings(kafka_bootstrap=kafka[0], clickhouse_url=clickhouse[0])


def _ready_line(process: subprocess.Popen[str], log_path: Path) -> str:
    assert process.stdout is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # The thread reads on to the end: a full pipe would stop the worker.
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    deadline = time.monotonic() + START_TIMEOUT_S
    said: list[str] = []
    with contextlib.suppress(queue.Empty):
        while (line := lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            if line.startswith("ready"):
                return line
            said.append(line)
    raise RuntimeError(f"loopwatch dev was not ready: {''.join(said)[-2000:]}{log_path.read_text()[-2000:]}")


def _read(stream: IO[str], lines: "queue.SimpleQueue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)
