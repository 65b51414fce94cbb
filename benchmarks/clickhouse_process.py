"""The embedded ClickHouse of a benchmark or a fault run."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loopwatch.infra.child_process import ChildProcess, accepts_connections, free_port


class ClickHouseProcess:
    """The embedded ClickHouse as a process, always on the same port and directory."""

    def __init__(self, data: Path, port: int = 0) -> None:
        self.port = port or free_port()
        command = [sys.executable, "-m", "loopwatch.infra.embedded_clickhouse", "--port", str(self.port)]
        command += ["--data", str(data / "clickhouse")]
        self.process = ChildProcess(command, name="ClickHouse", log_file=data / "clickhouse.log")

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start()
        self.process.wait_until(lambda: accepts_connections(self.port), 60)


@contextlib.contextmanager
def clickhouse_process(directory: Path | None = None) -> Iterator[ClickHouseProcess]:
    """A ClickHouse process that ends with the block."""
    with contextlib.ExitStack() as stack:
        path = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        server = ClickHouseProcess(path)
        stack.callback(server.process.kill)
        server.start()
        yield server
