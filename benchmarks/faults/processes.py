"""Workers as processes of a fault run."""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from loopwatch.infra.child_process import ChildProcess
from loopwatch.infra.settings import Settings
from loopwatch.schemas.errors import LoopwatchError

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = (sys.executable, "-m", "loopwatch.console", "worker")


class Workers:
    """Worker processes by number. A worker that was fenced and ended is started again by `tend`."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self.exits: list[int] = []
        """Exit codes of workers that ended by themselves."""
        self._running: dict[int, ChildProcess] = {}

    def start(
        self, number: int = 0, command: Sequence[str] = WORKER, env: Mapping[str, str] | None = None
    ) -> ChildProcess:
        """Start worker `number`, with more environment if wanted."""
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, **self.settings.environment(), **(env or {})}
        log = self.directory / f"worker-{number}.log"
        worker = ChildProcess([*command], name=f"worker {number}", log_file=log, env=environment)
        worker.start()
        self._running[number] = worker
        return worker

    def __getitem__(self, number: int) -> ChildProcess:
        return self._running[number]

    def running(self) -> list[int]:
        """Numbers of the workers that run."""
        return [number for number, worker in self._running.items() if worker.running]

    def kill(self, number: int = 0) -> None:
        """SIGKILL."""
        self._running.pop(number).kill()

    def signal(self, number: int, signum: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(LoopwatchError):
            self._running[number].signal(signum)

    def stop(self, number: int = 0) -> int:
        """End it in order; returns its exit code."""
        worker = self._running.pop(number)
        worker.stop(30)
        return worker.wait_for_exit(1)

    def forget(self, number: int = 0) -> None:
        """Count a worker that ended as expected no more."""
        self._running.pop(number)

    def tend(self) -> None:
        """Start workers again that ended by themselves."""
        for number, worker in list(self._running.items()):
            if not worker.running:
                self.exits.append(worker.wait_for_exit(1))
                self.start(number)

    def end(self) -> None:
        """SIGKILL all."""
        for number in list(self._running):
            self._running.pop(number).kill()
