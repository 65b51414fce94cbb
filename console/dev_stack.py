"""What ``loopwatch dev`` runs: the embedded broker, the embedded ClickHouse and one worker, each a child process.

They are started in the order in which they need each other and stopped in the reverse one. None outlives this process.
"""

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ..infra.child_process import ChildProcess, accepts_connections, free_port
from ..infra.embedded_kafka import EmbeddedKafka
from ..infra.kafka_admin import apply_topics
from ..infra.settings import Settings, variable_of
from ..schemas.errors import EmbeddedServiceError

_START_TIMEOUT_S = 60.0
# A group's first join takes half of the session timeout; a cold start on a busy machine takes longer than that.
_ASSIGNMENT_TIMEOUT_S = 120.0
_WORKER_GRACE_S = 30.0
_CLICKHOUSE_GRACE_S = 30.0
_POLL_S = 0.2
_MOST_RESTARTS = 10
_RESTART_WINDOW_S = 600.0
# What comes in and how it is configured stay the same however often a worker starts.
_NOT_MENDED_BY_RESTART = (65, 78)
_EXIT_REASONS = {
    65: "most of the latest records are no events",
    69: "Kafka or ClickHouse could not be reached",
    70: "an unexpected error",
    75: "another worker took its partitions over",
    78: "a setting or the configuration is wrong",
}


class Stopped(Exception):
    """The stack was told to stop while it was starting."""


class DevStack:
    """Starts, watches and stops the services. `stop` is an event that ends starting and watching from outside.

    `settings` after the start have the real addresses. Everything is bound to loopback.
    """

    def __init__(
        self, settings: Settings, *, kafka_port: int, clickhouse_port: int, data: Path, stop: threading.Event
    ) -> None:
        self.data = data
        self.logs = data / "logs"
        self._stop = stop
        kafka_port, clickhouse_port = kafka_port or free_port(), clickhouse_port or free_port()
        self.settings = msgspec.structs.replace(
            settings,
            kafka_bootstrap=f"127.0.0.1:{kafka_port}",
            clickhouse_url=f"http://127.0.0.1:{clickhouse_port}",
            clickhouse_user="",
            clickhouse_password="",
            clickhouse_password_file="",
            metrics_host="127.0.0.1",
            metrics_port=settings.metrics_port or free_port(),
        )
        self._kafka = EmbeddedKafka(kafka_port, self.logs / "kafka.log")
        self._clickhouse = self._child(
            "embedded ClickHouse",
            "loopwatch.infra.embedded_clickhouse",
            *("--port", str(clickhouse_port), "--data", str(data / "clickhouse")),
            env={name: text for name, text in os.environ.items() if not name.startswith("LOOPWATCH_CLICKHOUSE_")},
        )
        self._worker = self._child(
            "worker", "loopwatch.console", "worker", env=_environment(self.settings, os.environ)
        )  # fmt: skip
        self._with_worker = False
        self._restarts: list[float] = []

    def start(self, *, with_worker: bool = True) -> None:
        """Start all and return once the worker has its partitions.

        Raises:
            EmbeddedServiceError: a service did not start, with what it said last.
            Stopped: `stop` was set meanwhile. In both cases call `stop_all`.
        """
        clickhouse_port = int(self.settings.clickhouse_url.rpartition(":")[2])
        if accepts_connections(clickhouse_port):
            raise EmbeddedServiceError(f"port {clickhouse_port} of 127.0.0.1 is taken: choose a --clickhouse-port")
        self._clickhouse.start()
        self._kafka.start()
        self._wait(self._clickhouse, lambda: _get(f"{self.settings.clickhouse_url}/ping") is not None, _START_TIMEOUT_S)
        if with_worker:
            self._with_worker = True
            self._worker.start()
            self._wait(self._worker, self._has_partitions, _ASSIGNMENT_TIMEOUT_S)
        else:
            # A broker that makes topics for any name it is asked for must not be the one to choose their partitions.
            apply_topics(self.settings)

    def watch(self, say: Callable[[str], None]) -> None:
        """Block until `stop` is set. Starts ClickHouse or the worker again when they end: they have lost nothing.

        A worker that ended for a reason that starting again does not mend stays down, and `say` is told; the broker,
        whose records live in memory, stays up.

        Raises:
            EmbeddedServiceError: the broker ended, or another child again and again, with its last words.
        """
        while not self._stop.wait(_POLL_S):
            if not self._clickhouse.running:
                self._start_again(self._clickhouse, say)
            if self._with_worker and not self._worker.running:
                code = self._worker.wait_for_exit(1.0)
                if code in _NOT_MENDED_BY_RESTART:
                    self._with_worker = False
                    say(f"{self._ended(self._worker)}; the services stay up: mend it, then run `loopwatch worker`")
                else:
                    self._start_again(self._worker, say)
            if not self._kafka.running:
                raise EmbeddedServiceError(f"embedded Kafka ended by itself; see {self.logs / 'kafka.log'}")

    def stop_all(self, *, graceful: bool = True) -> None:
        """Stop the worker, then ClickHouse, then the broker; at once if not `graceful`."""
        self._worker.stop(_WORKER_GRACE_S if graceful else 0)
        self._clickhouse.stop(_CLICKHOUSE_GRACE_S if graceful else 0)
        self._kafka.stop()

    @property
    def metrics_url(self) -> str:
        """Where the worker shows its metrics."""
        return f"http://127.0.0.1:{self.settings.metrics_port}/metrics"

    def _child(self, name: str, module: str, *arguments: str, env: Mapping[str, str]) -> ChildProcess:
        log_file = self.logs / f"{name.split()[-1].lower()}.log"
        return ChildProcess([sys.executable, "-m", module, *arguments], name=name, log_file=log_file, env=env)

    def _has_partitions(self) -> bool:
        """Whether the worker shows a watermark for each partition: it does so from when it has taken them."""
        shown = _get(self.metrics_url) or ""
        return (
            sum(line.startswith("loopwatch_watermark_seconds{") for line in shown.splitlines())
            >= self.settings.partitions
        )

    def _wait(self, child: ChildProcess, ready: Callable[[], bool], timeout_s: float) -> None:
        def stopped_or_ready() -> bool:
            if self._stop.is_set():
                raise Stopped
            return ready()

        try:
            child.wait_until(stopped_or_ready, timeout_s, _POLL_S)
        except EmbeddedServiceError:
            self._check(child)
            raise EmbeddedServiceError(
                f"{child.name} was not ready after {timeout_s:g} s; it said last: {_last_words(child)} "
                f"(all of it in {self._log_of(child)})"
            ) from None

    def _start_again(self, child: ChildProcess, say: Callable[[str], None]) -> None:
        now_s = time.monotonic()
        self._restarts = [at_s for at_s in self._restarts if now_s - at_s < _RESTART_WINDOW_S]
        if len(self._restarts) >= _MOST_RESTARTS:
            raise EmbeddedServiceError(f"{self._ended(child)}; {_MOST_RESTARTS} restarts did not help")
        self._restarts.append(now_s)
        say(f"{self._ended(child)}; starting it again")
        child.start()

    def _check(self, child: ChildProcess) -> None:
        if not child.running:
            raise EmbeddedServiceError(self._ended(child))

    def _ended(self, child: ChildProcess) -> str:
        code = child.wait_for_exit(1.0)
        reason = _EXIT_REASONS.get(code) if child is self._worker else None
        return (
            f"{child.name} ended with exit code {code}{f' ({reason})' if reason else ''}: {_last_words(child)} "
            f"(its log: {self._log_of(child)})"
        )

    def _log_of(self, child: ChildProcess) -> Path:
        return self.logs / f"{child.name.split()[-1].lower()}.log"


def _environment(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """The variables with which a child loads just these settings."""
    names = {variable_of(field.name) for field in msgspec.structs.fields(Settings)} | {"LOOPWATCH_SETTINGS"}
    return {name: text for name, text in env.items() if name not in names} | settings.environment()


def _last_words(child: ChildProcess) -> str:
    lines = [line.strip() for line in child.log_tail().splitlines() if line.strip()]
    return lines[-1][:1000] if lines else "nothing"


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None
