"""``loopwatch dev`` as a child process: embedded services and one worker, on free ports and an empty directory."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
from loopwatch.infra.child_process import ChildProcess, free_port
from loopwatch.infra.settings import Settings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0


class Stack(NamedTuple):
    """What runs: `settings` with its addresses, the address of the worker's metrics, and the worker's process."""

    settings: Settings
    metrics_url: str
    worker: psutil.Process


@contextlib.contextmanager
def dev_stack(config: Path | None = None) -> Iterator[Stack]:
    """Start it with a ``loopwatch.yaml`` or none, yield it once the worker has its partitions, and end it.

    Other settings are those of the environment. Raises EmbeddedServiceError with its last words if it doesn't start.
    """
    with tempfile.TemporaryDirectory(prefix="loopwatch-bench-", ignore_cleanup_errors=True) as directory:
        command = [sys.executable, "-m", "loopwatch.console", "dev", "--data", str(Path(directory, "data"))]
        command += ["--kafka-port", str(free_port()), "--clickhouse-port", str(free_port())]
        environment = dict(os.environ)
        if config is not None:
            environment["LOOPWATCH_CONFIG"] = str(config)
        log = Path(directory, "dev.log")
        process = ChildProcess(command, name="loopwatch dev", log_file=log, env=environment)
        try:
            process.start()
            process.wait_until(lambda: _ready_line(log) != "", START_TIMEOUT_S, 0.1)
            said = addresses_in(_ready_line(log))
            settings = Settings(
                kafka_bootstrap=said["kafka"],
                clickhouse_url=said["clickhouse"],
                config=environment.get("LOOPWATCH_CONFIG", ""),
            )
            yield Stack(settings, said["metrics"], _worker_below(process.pid))
        finally:
            process.stop(STOP_TIMEOUT_S)


def addresses_in(ready_line: str) -> dict[str, str]:
    """What a ``ready`` line says, by name.

    >>> addresses_in("ready kafka=127.0.0.1:19092 clickhouse=http://127.0.0.1:18123")
    {'kafka': '127.0.0.1:19092', 'clickhouse': 'http://127.0.0.1:18123'}
    """
    pairs = (word.partition("=") for word in ready_line.split()[1:])
    return {name: said for name, equals, said in pairs if equals}


def _ready_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    return next((line for line in lines if line.startswith("ready ") and line.endswith("\n")), "")


def _worker_below(pid: int) -> psutil.Process:
    for process in psutil.Process(pid).children(recursive=True):
        if process.cmdline()[-1:] == ["worker"]:
            return process
    raise RuntimeError("loopwatch dev is ready and has no worker")
