"""What all scenarios share: Kafka, ClickHouse, a directory for logs, and the form of a scenario and of its result."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from loopwatch.infra.real_kafka import RealKafka
from loopwatch.stream_processors.app import EXIT_SOFTWARE
from msgspec import Struct

from ..clickhouse_process import ClickHouseProcess
from .check import Verdict, check
from .run import Run
from .stream import EventStream, Traits


class Bench:
    """Services that most scenarios share, started at first use and stopped at the end."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.seed = seed
        self._stack = contextlib.ExitStack()
        self._kafka = ""
        self._clickhouse: ClickHouseProcess | None = None
        self._n_runs = 0

    @property
    def kafka(self) -> str:
        """Bootstrap of a real broker."""
        if not self._kafka:
            kafka = self._stack.enter_context(RealKafka())
            self._kafka = kafka.bootstrap
        return self._kafka

    @property
    def clickhouse(self) -> ClickHouseProcess:
        """A ClickHouse."""
        if self._clickhouse is None:
            server = ClickHouseProcess(self.directory)
            self._stack.callback(server.process.kill)
            server.start()
            self._clickhouse = server
        return self._clickhouse

    def run(
        self, name: str, traits: Traits | None = None, *, kafka: str = "", clickhouse: str = "", **settings: object
    ) -> Run:
        """A run on the shared services, or on those given."""
        self._n_runs += 1
        seed = self.seed * 1000 + self._n_runs
        directory = self.directory / f"{self._n_runs:02d}-{name}"
        return Run(
            kafka or self.kafka,
            clickhouse or self.clickhouse.url,
            seed,
            EventStream(seed, traits),
            directory,
            **settings,
        )

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Result(Struct, kw_only=True):
    """What a scenario came to."""

    runs: int
    """Kills, outages or whatever the scenario repeats."""
    events: int
    verdict: Verdict
    exits: list[int] = []
    """Exit codes of workers that ended by themselves and were started again."""
    notes: list[str] = []


class Scenario(Struct, frozen=True):
    """A named fault. `play(bench, quick)` runs it."""

    name: str
    title: str
    play: Callable[[Bench, bool], Result]


def concluded(run: Run, runs: int, *notes: str, feedback_topic: bool = True) -> Result:
    """The result of a run that is over."""
    verdict = check(run.settings, run.truth, feedback_topic=feedback_topic)
    if EXIT_SOFTWARE in run.workers.exits:
        verdict.problems["workers that ended on an unexpected error"] = [str(run.workers.exits)]
    return Result(runs=runs, events=run.truth.events, verdict=verdict, exits=run.workers.exits, notes=[*notes])
