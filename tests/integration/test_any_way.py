"""The same input through workers, however it is cut up, spread and interrupted: the same metrics and panes."""

import contextlib
import os
import random
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from loopwatch.infra.child_process import ChildProcess
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.kafka_admin import apply_topics
from loopwatch.infra.ledger import read_ledger
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.producers import Loopwatch
from loopwatch.producers.replay import REPLAY_HEADERS
from loopwatch.schemas.config import load_config
from loopwatch.schemas.events import Action, Prediction
from loopwatch.stream_processors.app import EXIT_FENCED
from loopwatch.stream_processors.live.evaluator import Evaluator
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter

from tests.waiting import wait_until

BEGIN = datetime(2024, 7, 15, tzinfo=UTC)
DAY = timedelta(days=1)
N = 1200
MODELS = ("shop", "price", "kind")
# Predictions of three days, whose windows all end after the last action that is in time: what is late is said below.
CONFIG = """
models:
  shop:
    kind: classification
    segments: [country, city, plan]
    windows: [2d/1d]
    outcomes:
      bought: {actions: [purchase], window: 4d, on_timeout: negative, label: positive}
      satisfied: {actions: [rating], window: 5d, label: value, combine: last, positive: "> 3"}
    kpis:
      revenue: {sum: purchase}
      rated: {share: rating, of: purchase}
  price:
    kind: regression
    windows: [1d]
    outcomes:
      paid: {actions: [purchase], window: 4d, label: value, combine: sum}
  kind:
    windows: [1d]
    outcomes:
      is: {actions: [label], window: 4d, label: value, combine: first}
"""
OUTCOMES = N // 3 * 4
Sent = Prediction | Action


class Stream:
    """A few thousand events. `in_time` may come in any order; `late` ones come when every window is closed."""

    def __init__(self, seed: int = 7) -> None:
        rnd = random.Random(seed)
        self.in_time: list[Sent] = []
        self.late: list[Sent] = []
        for number in range(N):
            model = MODELS[number % 3]
            made = BEGIN + timedelta(microseconds=rnd.randrange(3 * 86_400_000_000))
            self.in_time.append(_prediction(rnd, f"p{number}", model, made))
            for index in range(rnd.choice((0, 0, 1, 1, 2, 3))):
                self._act(rnd, f"p{number}", index, made)
        for number in range(30):
            self._act(rnd, f"never sent {number}", 0, BEGIN + timedelta(hours=number))
        for events in (self.in_time, self.late):
            events += rnd.sample(events, len(events) // 20)

    @property
    def events(self) -> int:
        return len(self.in_time) + len(self.late)

    def _act(self, rnd: random.Random, prediction_id: str, index: int, made: datetime) -> None:
        name = rnd.choice(("purchase", "purchase", "rating", "label"))
        value = {
            "purchase": round(rnd.lognormvariate(2, 1), 2), "rating": rnd.randint(1, 5), "label": rnd.choice("abc")
        }[name]  # fmt: skip
        is_late = rnd.random() < 0.2
        # Up to a day after it, or from two to six: some of these are outside of the window.
        delay = rnd.uniform(2, 6) if is_late else rnd.betavariate(1, 3)
        action = Action(f"a{index}", prediction_id, name, made + delay * DAY, value)
        (self.late if is_late else self.in_time).append(action)


def _prediction(rnd: random.Random, prediction_id: str, model: str, made: datetime) -> Prediction:
    score = rnd.choice((rnd.random(), round(rnd.random(), 1)))
    features: dict[str, Any] = {
        "amount": rnd.lognormvariate(3, 2), "age": rnd.choice((rnd.randint(18, 80), None, "unknown")),
        "plan": rnd.choice(("free", "pro")), "id": f"id {rnd.randrange(1000)}",
    }  # fmt: skip
    segments = {"country": rnd.choice(("de", "fr", "it")), "city": f"c{int(rnd.expovariate(0.1))}"}
    said = {"shop": score > 0.4, "price": rnd.lognormvariate(2, 1), "kind": rnd.choice("abc")}[model]
    return Prediction(
        prediction_id, model, made, rnd.choice(("v1", "v2")), "", said, score if model != "price" else None,
        features=features, segments=segments, variants={"test": rnd.choice("ab")},
        latency_ms=rnd.expovariate(0.1),
    )  # fmt: skip


class Loop:
    """Topics and a database of its own, and workers by number."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sent = 0
        apply_topics(settings)
        self.clickhouse = ClickHouse(settings)
        apply_tables(self.clickhouse, settings)
        self._workers: dict[int, ChildProcess] = {}

    def start(self, number: int, **more: Any) -> None:
        """Start a worker; `more` are settings of its own."""
        env = {name: text for name, text in os.environ.items() if not name.startswith("LOOPWATCH_")}
        env |= self.settings.environment() | {f"LOOPWATCH_{name.upper()}": str(each) for name, each in more.items()}
        worker = ChildProcess([sys.executable, "-m", "loopwatch.console", "worker"], name=f"worker {number}", env=env)
        worker.start()
        self._workers[number] = worker

    def kill(self, number: int) -> None:
        self._workers.pop(number).kill()

    def send(self, events: Sequence[Sent]) -> None:
        """As `loopwatch replay` does."""
        self.sent += len(events)
        with Loopwatch(self.settings) as client:
            for event in events:
                if isinstance(event, Prediction):
                    client.send_prediction(event, headers=REPLAY_HEADERS)
                else:
                    client.send_action(event, headers=REPLAY_HEADERS)

    def close_windows(self) -> None:
        """Send the explicit watermark behind all windows, and wait until they are closed and stored."""
        with Loopwatch(self.settings) as client:
            client.watermark(BEGIN + 10 * DAY, headers=REPLAY_HEADERS)
        self.wait(lambda: self.n_received == self.sent and self.count("feedback_current") == OUTCOMES)

    @property
    def n_received(self) -> int:
        return self.count("ledger", "sumIf(n, class = 'received')")

    def count(self, source: str, what: str = "count()") -> int:
        ((n,),) = self.clickhouse.rows(f"SELECT {what} FROM {self.clickhouse.database}.{source}")
        return int(n)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Who was fenced, because Kafka took it for dead, is started again, as a supervisor would."""

        def holds() -> bool:
            for worker in self._workers.values():
                if not worker.running:
                    assert worker.wait_for_exit(1) == EXIT_FENCED, worker.log_tail()
                    worker.start()
            return condition()

        wait_until(holds, 120, "workers to read and close what was sent", poll_s=0.2)

    def rows(self, source: str, columns: str = "*") -> list[Any]:
        return list(self.clickhouse.rows(f"SELECT {columns} FROM {self.clickhouse.database}.{source} ORDER BY ALL"))

    def end(self) -> None:
        """Kill the workers."""
        for number in list(self._workers):
            self.kill(number)


def evaluate(loop: Loop) -> None:
    """Do what is left of the evaluation, as the next owner of all partitions: a worker rests after each tick."""
    stop = Event()
    fence = Fence(loop.clickhouse, loop.settings.topics.predictions, "the next owner")
    everywhere = range(loop.settings.partitions)
    for partition in everywhere:
        fence.claim(partition)
    inserter = Inserter(loop.clickhouse, fence, give_up_after_s=5, stop=stop)
    evaluator = Evaluator(
        loop.clickhouse, load_config(Path(loop.settings.config)), inserter,
        partitions=len(everywhere), overlap=timedelta(minutes=5), stop=stop,
    )  # fmt: skip
    # The second tick does what was put off for its age, since nothing came any more; behind it there is nothing to do.
    evaluator.tick(everywhere)
    evaluator.tick(everywhere)
    assert evaluator.tick(everywhere) == 0


def contents(loop: Loop) -> dict[str, list[Any]]:
    """All that may not depend on how the input came, by table."""
    return {
        "feedback_current": loop.rows(
            "feedback_current",
            "model, outcome, prediction_id, status, label, label_value, action_id, action_ts, n_actions, revision",
        ),
        "metrics_current": loop.rows("metrics_current", "* EXCEPT _evaluated_at"),
        "panes": loop.rows(
            "panes WHERE seconds > 0 GROUP BY seconds, slice, series, start, bin",
            "seconds, slice, series, start, bin, sum(n), sum(steps), sum(squares)",
        ),
        "pane_names": loop.rows("pane_names FINAL"),
    }


@contextlib.contextmanager
def loop_of(
    kafka: EmbeddedKafka, clickhouse_url: str, directory: Path, partitions: int, session_timeout_s: float = 3.0
) -> Iterator[Loop]:
    config = directory / "loopwatch.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    name = f"t{uuid.uuid4().hex[:12]}"
    loop = Loop(
        Settings(
            kafka_bootstrap=kafka.bootstrap, clickhouse_url=clickhouse_url, clickhouse_database=name,
            topic_prefix=f"{name}.", consumer_group=name, config=str(config), partitions=partitions,
            session_timeout_s=session_timeout_s, flush_linger_s=0.1, idle_after_s=0.5, evaluate_every_s=0.5,
        )
    )  # fmt: skip
    try:
        yield loop
    finally:
        loop.end()
        loop.clickhouse.close()


def in_one_go(loop: Loop, stream: Stream) -> None:
    """One worker, events in order."""
    loop.start(0)
    for events in (stream.in_time, stream.late):
        loop.send(sorted(events, key=lambda event: event.ts))
        loop.close_windows()


def in_pieces(loop: Loop, stream: Stream) -> None:
    """Two workers with flushes of other sizes, each killed or stopped and started again; events in any order."""
    rnd = random.Random(3)
    in_time, late = rnd.sample(stream.in_time, len(stream.in_time)), rnd.sample(stream.late, len(stream.late))
    loop.start(0, flush_rows=100, fetch_max_records=40)
    loop.start(1, flush_rows=30, fetch_max_records=200)
    half = len(in_time) // 2
    loop.send(in_time[:half])
    loop.wait(lambda: loop.n_received > half // 3)
    loop.kill(0)
    loop.send(in_time[half:])
    loop.wait(lambda: loop.n_received > half)
    loop.start(0, flush_rows=500)
    loop.close_windows()
    loop.send(late)
    loop.close_windows()


@pytest.mark.timeout(300)
def test_the_same_input_gives_the_same_metrics_and_panes_any_way(
    embedded_kafka: EmbeddedKafka, clickhouse_url: str, tmp_path: Path
) -> None:
    stream, found = Stream(), []
    for way, partitions in ((in_one_go, 1), (in_pieces, 4)):
        with loop_of(embedded_kafka, clickhouse_url, tmp_path, partitions) as loop:
            way(loop, stream)
            loop.end()
            assert loop.count("metrics") > 0
            evaluate(loop)
            report = read_ledger(loop.clickhouse, load_config(tmp_path / "loopwatch.yaml"))
            assert report.imbalances == []
            assert report.actions.late_revised > 50
            found.append(contents(loop))
    one, other = found
    assert len(one["metrics_current"]) > 3000
    for table, rows in one.items():
        assert other[table] == rows, table
