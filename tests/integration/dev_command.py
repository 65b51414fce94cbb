"""``loopwatch dev`` as a child of a test, and ``loopwatch`` commands against it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from loopwatch.infra.child_process import ChildProcess
from loopwatch.infra.settings import Settings

LOOPWATCH = [sys.executable, "-m", "loopwatch.console"]
READY = re.compile(r"^ready kafka=(?P<kafka>\S+) clickhouse=(?P<clickhouse>\S+)", re.MULTILINE)


class Dev:
    """A running `loopwatch dev`."""

    def __init__(self, child: ChildProcess, settings: Settings) -> None:
        self.child = child
        self.settings = settings
        self.family = psutil.Process(child.pid).children(recursive=True)

    def loopwatch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against it."""
        env = os.environ | self.settings.environment()
        return subprocess.run([*LOOPWATCH, *arguments], env=env, capture_output=True, text=True, timeout=120)

    def sql(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query, by `loopwatch sql`."""
        done = self.loopwatch("sql", "--format", "json", query)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def child_running(self, word: str) -> psutil.Process:
        """The process of a service, by a word of its command line."""
        (found,) = [each for each in self.family if word in " ".join(each.cmdline())]
        return found

    def terminate(self) -> int:
        """SIGTERM; returns the exit code, and fails if a child outlives it."""
        self.family = psutil.Process(self.child.pid).children(recursive=True)
        self.child.signal(signal.SIGTERM)
        code = self.child.wait_for_exit(60)
        assert self.left() == []
        return code

    def left(self) -> list[psutil.Process]:
        """Children that still run, a few moments after."""
        return psutil.wait_procs(self.family, timeout=20)[1]


@contextlib.contextmanager
def dev(directory: Path, *options: str) -> Iterator[Dev]:
    """Start it on free ports, with its data in `directory`."""
    command = [*LOOPWATCH, "dev", "--kafka-port", "0", "--clickhouse-port", "0", "--data", str(directory), *options]
    env = {name: text for name, text in os.environ.items() if not name.startswith("LOOPWATCH_")}
    with ChildProcess(command, name="loopwatch dev", env=env) as child:
        child.wait_until(lambda: READY.search(child.log_tail()) is not None, 120)
        found = READY.search(child.log_tail())
        assert found is not None
        try:
            yield Dev(child, Settings(kafka_bootstrap=found["kafka"], clickhouse_url=found["clickhouse"]))
        except BaseException as exc:
            exc.add_note(f"loopwatch dev said: {child.log_tail()}")
            raise
