"""What a fault run stands on: ClickHouse and workers as processes, a sender, and the wait for the end."""

import contextlib
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaError, Message, Producer
from loopwatch.infra.child_process import ChildProcess, accepts_connections, free_port
from loopwatch.infra.clickhouse import ClickHouse, quote, quoted
from loopwatch.infra.kafka_admin import apply_topics, input_topics
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.errors import LoopwatchError
from loopwatch.schemas.headers import WATERMARK, encode_watermark

from .reference import expected_feedback
from .stream import EventStream, Sent, Truth

HERE = Path(__file__).resolve().parent
CONFIG = HERE / "loopwatch.yaml"
WORKER = (sys.executable, "-m", "loopwatch.console", "worker")
ROOT = HERE.parent.parent
MAX_BACKLOG = 15_000
"""Events unread at which senders pause."""


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


class Run:
    """One run of a scenario: topics, database and group of its own, a seeded stream, and workers."""

    def __init__(self, kafka: str, clickhouse: str, seed: int, stream: EventStream, directory: Path, **more: object):
        tag = secrets.token_hex(4)
        self.settings = Settings(
            **{
                "kafka_bootstrap": kafka,
                "clickhouse_url": clickhouse,
                "clickhouse_database": f"fault_{tag}",
                "topic_prefix": f"fault-{tag}.",
                "consumer_group": f"fault-{tag}",
                "config": str(CONFIG),
                "session_timeout_s": 3.0,
                "idle_after_s": 2.0,
                "stuck_after_s": 120.0,
                "log_format": "text",
                **more,
            }  # pyright: ignore[reportArgumentType]
        )
        self.seed = seed
        self.stream = stream
        directory.mkdir(parents=True, exist_ok=True)
        self.workers = Workers(self.settings, directory)
        self._sent_before = 0
        self._ask_again_at = 0.0
        self._far_behind = False
        self.prepare()
        self.sender = Sender(self.settings)

    @property
    def truth(self) -> Truth:
        """What was sent."""
        return self.stream.truth

    def prepare(self) -> None:
        """Make topics and tables."""
        apply_topics(self.settings)
        clickhouse = ClickHouse(self.settings)
        apply_tables(clickhouse, self.settings)
        clickhouse.close()
        self._topics = input_topics(self.settings)

    def send(self, events: int) -> None:
        """Produce the next events."""
        self.sender.send(self.stream.take(events))

    def send_for(self, seconds: float, rate: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Produce at `rate` events a second, calling `meanwhile` ten times a second."""
        self.send_until(lambda began: time.monotonic() - began >= seconds, rate, meanwhile)

    def send_until(self, over: Callable[[float], bool], rate: int, meanwhile: Callable[[], None]) -> None:
        """Produce at `rate` events a second until `over(time of start)`; pause while the workers are far behind."""
        began = last = time.monotonic()
        while not over(began):
            now = time.monotonic()
            if not self._is_far_behind():
                self.send(max(1, int((now - last) * rate)))
            last = now
            self.sender.flush_some()
            meanwhile()
            time.sleep(0.1)

    def finish(self, silence_s: float = 60.0, *, flush_s: float = 60.0) -> None:
        """Send what is still due, wait until all is read, close every window, wait until all is settled."""
        self.sender.send(self.stream.rest())
        self.sender.flush(flush_s)
        self.wait(self.all_read, silence_s)
        self.close_windows()
        self.wait(self.all_settled, silence_s)

    def reconnect(self) -> None:
        """The broker has forgotten everything: make the topics again, and a sender."""
        self.prepare()
        self.sender = Sender(self.settings)
        self._sent_before = self.truth.events

    def close_windows(self) -> None:
        """Send an explicit watermark behind the last window, on every partition."""
        self.sender.watermark(self.stream.now + timedelta(days=30))
        self.sender.flush(60)

    def wait(self, condition: Callable[[ClickHouse], bool], silence_s: float) -> None:
        """Wait until it holds; give up quietly after `silence_s` without progress: the check says what is missing."""
        clickhouse = ClickHouse(self.settings)
        deadline, before = time.monotonic() + silence_s, (-1, -1)
        while time.monotonic() < deadline:
            self.workers.tend()
            with contextlib.suppress(LoopwatchError, ClickHouseError):
                if condition(clickhouse):
                    break
                if (progress := self._progress(clickhouse)) != before:
                    deadline, before = time.monotonic() + silence_s, progress
            time.sleep(0.25)
        clickhouse.close()

    def _is_far_behind(self) -> bool:
        """Whether so much is unread that more would only make the run longer; asked anew twice a second."""
        now = time.monotonic()
        if now >= self._ask_again_at:
            self._ask_again_at = now + 0.5
            with contextlib.suppress(LoopwatchError, ClickHouseError):
                clickhouse = ClickHouse(self.settings, timeout_s=2)
                backlog = self.truth.events - self._sent_before - self.received(clickhouse)
                self._far_behind = backlog > MAX_BACKLOG
                clickhouse.close()
        return self._far_behind

    def _progress(self, clickhouse: ClickHouse) -> tuple[int, int]:
        database = clickhouse.database
        ((read, settled),) = clickhouse.rows(
            f"SELECT (SELECT sum(n) FROM {database}.ledger), (SELECT count() FROM {database}.feedback)"
        )
        return int(read), int(settled)

    def received(self, clickhouse: ClickHouse, event_class: str = "received") -> int:
        """Records of a class that the ledger has of the present life of the topics."""
        lives = quoted([topic.topic_id for topic in self._topics])
        ((n,),) = clickhouse.rows(
            f"SELECT sum(n) FROM {clickhouse.database}.ledger "
            f"WHERE class = {quote(event_class)} AND _topic_id IN ({lives})"
        )
        return int(n)

    def all_read(self, clickhouse: ClickHouse) -> bool:
        """Whether every event sent is in the ledger."""
        return self.received(clickhouse) >= self.truth.events - self._sent_before

    def all_settled(self, clickhouse: ClickHouse) -> bool:
        """Whether every outcome has a row, no action waits, and the watermark records are in the ledger."""
        wanted = len(expected_feedback(self.truth))
        database = clickhouse.database
        ((settled, held),) = clickhouse.rows(
            f"SELECT (SELECT uniqExact(model, outcome, prediction_id) FROM {database}.feedback), "
            f"(SELECT countIf(class = 'held') FROM {database}.actions_current)"
        )
        return int(settled) >= wanted and not int(held) and self._stored_to_the_end(clickhouse)

    def _stored_to_the_end(self, clickhouse: ClickHouse) -> bool:
        """Whether the watermark records are in the ledger: the last of each partition."""
        return self.received(clickhouse, "control") >= self.sender.controls

    def end(self) -> None:
        """Stop everything that is this run's own."""
        self.workers.end()


class Sender:
    """An idempotent producer of both input topics. Every record must be delivered."""

    def __init__(self, settings: Settings, partitioner: str = "murmur2_random") -> None:
        self._topics = settings.topics
        self._partitions = settings.partitions
        self.controls = 0
        """Watermark records sent."""
        self._failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "enable.idempotence": True,
                "partitioner": partitioner,
                "linger.ms": 20,
                "delivery.timeout.ms": 180_000,
                "message.max.bytes": 16_000_000,
                "queue.buffering.max.messages": 1_000_000,
                "on_delivery": self._delivered,
                "log_level": 0,
            }
        )

    def send(self, records: Sequence[Sent]) -> None:
        """Queue records, keyed by prediction."""
        for record in records:
            self.raw(record.is_action, record.value, record.key.encode())

    def raw(self, is_action: bool, value: bytes | None, key: bytes | None = None, partition: int = -1) -> None:
        """Queue any record."""
        topic = self._topics.actions if is_action else self._topics.predictions
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
                return
            except BufferError:
                self._producer.poll(0.1)

    def watermark(self, instant: datetime) -> None:
        """Queue an explicit watermark on every partition of both topics."""
        for topic in self._topics.inputs:
            for partition in range(self._partitions):
                headers: list[tuple[str, str | bytes | None]] = [(WATERMARK, encode_watermark(instant))]
                self._producer.produce(topic, b"", partition=partition, headers=headers)
                self.controls += 1

    def flush_some(self) -> None:
        """Serve delivery reports."""
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> None:
        """Wait until everything is on the brokers; RuntimeError if something is not."""
        left = self._producer.flush(timeout_s)
        if left or self._failed:
            raise RuntimeError(f"{left + len(self._failed)} records were not delivered: {self._failed[:1]}")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()}: {error}")


@contextlib.contextmanager
def clickhouse_process(directory: Path | None = None) -> Iterator[ClickHouseProcess]:
    """A ClickHouse process that ends with the block."""
    with contextlib.ExitStack() as stack:
        path = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        server = ClickHouseProcess(path)
        stack.callback(server.process.kill)
        server.start()
        yield server
