"""Two days of a model in which something was planted, and the monitors that look for it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.errors import ServiceUnavailable
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.live.evaluator import Evaluator
from loopwatch.stream_processors.monitor.monitor import Monitor
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter

from ..monitored import Answer, Workers, at
from ..paned import Store

MODEL = "fraud"
PARTITIONS = 4
HOURS, AN_HOUR = 48, 250
BROKEN_H, SHIFTED_H = 30, 36
PARAMETERS: dict[str, Any] = {"kind": "classification", "segments": ["country"]}
CONFIG = parse_config(
    {"models": {MODEL: {**PARAMETERS, "outcomes": {"answer": {"window": "1h", "on_timeout": "unlabelled"}}}}}
)
Row = tuple[Any, ...]


class Stream:
    """Two days of predictions and labels: from `BROKEN_H` on half are wrong in one country; later a feature moves."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.events: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        for index in range(HOURS * AN_HOUR):
            made = index * 3600 / AN_HOUR
            hour, country = made / 3600, "df"[index % 2]
            features: dict[str, Any] = {f"x{n}": float(value) for n, value in enumerate(rng.normal(0, 1, 5))}
            features["plan"] = str(rng.choice(["free", "pro"]))
            if hour >= SHIFTED_H:
                features["x3"] += 1.5
            said = float(rng.random() < 0.5)
            wrong = rng.random() < (0.5 if hour >= BROKEN_H and country == "d" else 0.1)
            self.events.append(
                {
                    "prediction_id": f"p{index:05}", "model": MODEL, "ts": at(made).isoformat(), "features": features,
                    "prediction": bool(said), "segments": {"country": country},
                    "score": round(float(rng.beta(2, 2)), 4),
                }
            )  # fmt: skip
            label = 1 - said if wrong else said
            self.answers.append(Answer(f"p{index:05}", made, made + 60, label, said, segments=(("country", country),)))


class Stored:
    """The stream in a database, all of it; how much of that monitors may see is up to the ledger."""

    def __init__(self, url: str, stream: Stream) -> None:
        self.store = Store(url)
        self.clickhouse = self.store.clickhouse
        self.stream = stream
        self.store.insert(stream.events)
        self.workers = Workers(self.clickhouse, MODEL, predictions=False)
        self.workers.store(stream.answers)
        self._clock = datetime.now(UTC)

    def begin(self) -> None:
        """As if nothing had been watched."""
        for table in ("ledger", "signals", "monitors", "drift"):
            self.clickhouse.command(f"TRUNCATE TABLE {self.clickhouse.database}.{table}")

    def now(self) -> datetime:
        """Later each time."""
        self._clock += timedelta(seconds=61)
        return self._clock

    def inserter(self, owner: str = "monitor") -> Inserter:
        fence = Fence(self.clickhouse, "t.predictions", owner)
        for partition in range(PARTITIONS):
            fence.claim(partition)
        return Inserter(self.clickhouse, fence, give_up_after_s=5, stop=Event())

    def monitor(
        self,
        publish: Callable[[Sequence[Signal]], None],
        config: LoopwatchConfig = CONFIG,
        inserter: Inserter | None = None,
        owner: str = "monitor",
        now: Callable[[], datetime] | None = None,
        rest: timedelta = timedelta(0),
    ) -> Monitor:
        """A new one, as a worker makes it."""
        inserter = inserter or self.inserter(owner)
        evaluator = Evaluator(
            self.clickhouse, config, inserter, partitions=PARTITIONS, overlap=timedelta(minutes=5), stop=Event()
        )
        evaluator.tick(range(PARTITIONS))
        return Monitor(self.clickhouse, inserter, evaluator.models, publish, now or self.now, rest)

    def rows(self, source: str, columns: str = "*") -> list[Row]:
        return [
            tuple(row) for row in self.clickhouse.rows(f"SELECT {columns} FROM {self.clickhouse.database}.{source}")
        ]

    def signals(self) -> list[Row]:
        return self.rows("signals_current ORDER BY signal_id", "* EXCEPT _detected_at")


class Fails:
    """An inserter and a publisher that die when they come to a step."""

    def __init__(self, inserter: Inserter, out: list[Signal], step: str) -> None:
        self._inserter = inserter
        self._out = out
        self._step = step
        self.died = False

    def insert(self, table: str, rows: pa.Table, token: str, partitions: Any) -> None:
        if table in ("signals", "monitors", "drift"):
            self._reach(f"before {table}")
        self._inserter.insert(table, rows, token, partitions)
        if table in ("signals", "monitors", "drift"):
            self._reach(f"behind {table}")

    @property
    def fence(self) -> Fence:
        return self._inserter.fence

    def publish(self, signals: Sequence[Signal]) -> None:
        self._reach("before publishing")
        self._out.extend(signals)
        self._reach("behind publishing")

    def _reach(self, what: str) -> None:
        if what == self._step:
            self.died = True
            raise ServiceUnavailable("test", what)


class Run:
    """What came of it: the signals as they are stored, and all that was published, in its order."""

    def __init__(self, signals: list[Row], published: list[Signal], drift: list[dict[str, Any]]) -> None:
        self.signals = signals
        self.published = published
        self.drift = drift

    @property
    def contents(self) -> dict[tuple[str, datetime], Signal]:
        return {(signal.signal_id, signal.until): signal for signal in self.published}


WATERMARKS_H = (3, 12, 24, 31, 33, 35, 37, 38, 40, 44, 48)


def run(stored: Stored, make: Callable[[list[Signal]], Monitor], *, drop_each: bool = False) -> Run:
    """Let the watermark go on, and have everything that is over watched each time."""
    stored.begin()
    out: list[Signal] = []
    monitor = make(out)
    for hour in WATERMARKS_H:
        stored.workers.commit(0, hour * 3600.0)
        while True:
            try:
                monitor.tick()
            except ServiceUnavailable:
                monitor = make(out)
                continue
            if not monitor.is_behind:
                break
        if drop_each:
            monitor = make(out)
    return Run(stored.signals(), out, drift_of(stored))


def drift_of(stored: Stored) -> list[dict[str, Any]]:
    rows = stored.rows("drift FINAL ORDER BY ALL", "* EXCEPT _evaluated_at")
    return [dict(zip(columns(stored, "drift"), row, strict=True)) for row in rows]


def columns(stored: Stored, table: str) -> list[str]:
    """Those of what was found, without when."""
    return [name for name, *_ in stored.clickhouse.rows(f"DESCRIBE {stored.clickhouse.database}.{table}")][:-1]


def aware(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)


def watch(monitor: Monitor) -> None:
    """All that there is."""
    monitor.tick()
    while monitor.is_behind:
        monitor.tick()
