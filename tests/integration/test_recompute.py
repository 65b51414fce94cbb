"""A rule changed in loopwatch.yaml: workers start anew, and what is stored follows it, exactly, while they run."""

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loopwatch.console.cli import app
from loopwatch.infra.child_process import ChildProcess
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.kafka_admin import apply_topics
from loopwatch.infra.ledger import read_ledger
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.producers import Loopwatch
from loopwatch.schemas.config import load_config
from loopwatch.schemas.errors import ConfigError, LoopwatchError
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.feedback import Feedback
from loopwatch.stream_processors.recompute import run as recomputing
from loopwatch.stream_processors.recompute.reads import Selection
from loopwatch.stream_processors.recompute.run import Progress, Recomputed, recompute
from typer.testing import CliRunner

from tests.kafka_records import consume_all
from tests.simulation.oracle import reference_join
from tests.waiting import wait_until

NOON = datetime(2024, 7, 15, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
N = 100
SHOP = Selection("shop")

OLD = "{actions: [click], window: 1h, on_timeout: negative, combine: last}"
NEW = "{actions: [click], window: 7d, on_timeout: unlabelled, combine: first}"


class Loop:
    """Topics and a database of a test's own, with a history: predictions of five kinds, a second after one another.

    Clicked at once; clicked after two hours; clicked twice; bought, which no outcome names; and nothing.
    """

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self._directory = directory
        self.clickhouse = ClickHouse(settings)
        self.predictions = [Prediction(f"p{n:03}", "shop", NOON + timedelta(seconds=n), score=0.5) for n in range(N)]
        self.actions: list[Action] = []
        for n, at in ((n, each.ts) for n, each in enumerate(self.predictions)):
            delays = [[10 * MINUTE], [2 * HOUR], [10 * MINUTE, 20 * MINUTE], [MINUTE], []][n % 5]
            name = "buy" if n % 5 == 3 else "click"
            self.actions += [Action(f"a{i}", f"p{n:03}", name, at + delay, n + i) for i, delay in enumerate(delays)]

    def with_rule(self, rule: str) -> Settings:
        """Settings of a configuration in which the shop has this outcome."""
        file = self._directory / f"{uuid.uuid4().hex}.yaml"
        file.write_text(f"models: {{shop: {{outcomes: {{click: {rule}}}}}}}\n", encoding="utf-8")
        return msgspec.structs.replace(self.settings, config=str(file))

    @contextlib.contextmanager
    def worker(self, settings: Settings) -> Iterator[None]:
        """A worker that has its partitions."""
        claimed = self.epochs
        command = [sys.executable, "-m", "loopwatch.console", "worker"]
        env = {name: text for name, text in os.environ.items() if not name.startswith("LOOPWATCH_")}
        with ChildProcess(command, name="worker", env=env | settings.environment()) as child:
            child.wait_until(lambda: self.epochs > claimed, 60)
            yield
            child.stop(30)

    def send(self, *events: Prediction | Action, closed: datetime | None = None) -> None:
        with Loopwatch(self.settings) as client:
            for event in events:
                if isinstance(event, Prediction):
                    client.send_prediction(event)
                else:
                    client.send_action(event)
            if closed is not None:
                client.watermark(closed)

    def send_history(self, closed: datetime) -> None:
        self.send(*self.predictions, *self.actions, closed=closed)

    def late(self, kind: int) -> list[Action]:
        """A click a day after each prediction of a kind, which the history knows of from now on."""
        late = [Action("late", each.prediction_id, "click", each.ts + DAY, -1) for each in self.predictions[kind::5]]
        self.actions += late
        return late

    def count(self, table: str) -> int:
        ((n,),) = self.clickhouse.rows(f"SELECT sum(1) FROM {self.clickhouse.database}.{table}")
        return int(n)

    @property
    def epochs(self) -> int:
        """Of all partitions together: it grows with each claim."""
        ((n,),) = self.clickhouse.rows(f"SELECT sum(epoch) FROM {self.clickhouse.database}.fences FINAL")
        return int(n)

    def feedback(self) -> dict[tuple[str, str, str], tuple[Any, ...]]:
        rows = self.clickhouse.rows(
            "SELECT model, outcome, prediction_id, replace(status, 'revised', 'matched'), label, label_value, "
            f"action_id, n_actions FROM {self.clickhouse.database}.feedback_current"
        )
        return {tuple(row[:3]): tuple(row[3:]) for row in rows}

    def classes(self) -> dict[tuple[str, str], tuple[str, str, str]]:
        rows = self.clickhouse.rows(
            "SELECT prediction_id, action_id, replace(class, 'late_revised', 'matched'), reason, model "
            f"FROM {self.clickhouse.database}.actions_current"
        )
        return {tuple(row[:2]): tuple(row[2:]) for row in rows}

    def on_topic(self) -> dict[tuple[str, str, str], tuple[str, str | None]]:
        """Status and label by the messages of topic feedback, those of the highest revision."""
        latest: dict[tuple[str, str, str], Feedback] = {}
        for value in consume_all(self.settings.kafka_bootstrap, self.settings.topics.feedback):
            each = msgspec.json.decode(value, type=Feedback)
            key = (each.model, each.outcome, each.prediction_id)
            if key not in latest or latest[key].revision < each.revision:
                latest[key] = each
        return {
            key: (str(each.status).replace("revised", "matched"), each.label)
            for key, each in latest.items()
            if each.status != "pending"
        }

    def is_as_if(self, settings: Settings) -> bool:
        """Whether the tables are what the configuration makes of the history, when every window has closed."""
        expected = reference_join(load_config(Path(settings.config)), self.predictions, self.actions)
        return (self.feedback(), self.classes()) == (expected.feedback, expected.actions)

    def wait_until_as_if(self, settings: Settings) -> None:
        wait_until(lambda: self.is_as_if(settings), 60, f"the tables as {settings.config} says", poll_s=0.2)

    def check(self, settings: Settings) -> None:
        """The ledger, which is written after the rows, balances, and the topic says what the table says."""
        config = load_config(Path(settings.config))
        wait_until(
            lambda: read_ledger(self.clickhouse, config).predictions.accepted == N, 30, "the ledger of all", poll_s=0.2
        )
        assert read_ledger(self.clickhouse, config).imbalances == []
        assert self.on_topic() == {key: row[:2] for key, row in self.feedback().items()}


def interrupted_after(predictions: int) -> Progress:
    """Has a run end in the middle."""

    def progress(done: int, of: int) -> None:
        if done >= predictions:
            raise InterruptedError

    return progress


def run(settings: Settings, **more: Any) -> Recomputed:
    return recompute(settings, load_config(Path(settings.config)), SHOP, **more)


def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, *options: str) -> list[str]:
    """The lines that ``loopwatch recompute`` prints."""
    for variable, text in settings.environment().items():
        monkeypatch.setenv(variable, text)
    result = CliRunner().invoke(app, ["recompute", *options])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.fixture
def loop(embedded_kafka: EmbeddedKafka, clickhouse_url: str, tmp_path: Path) -> Iterator[Loop]:
    name = f"t{uuid.uuid4().hex[:12]}"
    settings = Settings(
        kafka_bootstrap=embedded_kafka.bootstrap,
        clickhouse_url=clickhouse_url,
        clickhouse_database=name,
        topic_prefix=f"{name}.",
        consumer_group=name,
        partitions=2,
        flush_linger_s=0.1,
        idle_after_s=0.5,
    )
    apply_topics(settings)
    connection = ClickHouse(settings)
    apply_tables(connection, settings)
    connection.close()
    made = Loop(settings, tmp_path)
    yield made
    made.clickhouse.close()


@pytest.mark.timeout(180)
def test_a_wider_window_is_as_if_it_had_always_been_so(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = loop.with_rule(OLD), loop.with_rule(NEW)
    loop.send_history(closed=NOON + 9 * DAY)
    with loop.worker(old):
        loop.wait_until_as_if(old)
        loop.check(old)
    with pytest.raises(ConfigError, match="start the workers anew"):
        run(new)
    with loop.worker(new), ThreadPoolExecutor(1) as thread:
        assert not loop.is_as_if(new)
        monkeypatch.setattr(recomputing, "_ROWS_AT_ONCE", 5)
        with pytest.raises(InterruptedError):
            run(new, progress=interrupted_after(60))
        # Actions come while it runs, for predictions that are done and for others.
        late = [*loop.late(kind=4), *loop.late(kind=2)]
        running = thread.submit(run, new)
        loop.send(*late)
        assert running.result().predictions == N
        loop.wait_until_as_if(new)
        # What was expired for a moment while its action came is called revised by the next run.
        assert run(new).actions <= len(late)
        again = run(new)
        assert (again.rows, again.changed, again.actions) == (0, {}, 0)
        assert loop.is_as_if(new)
        loop.check(new)

        loop.send(*loop.late(kind=3))
        loop.wait_until_as_if(new)
        loop.check(new)


@pytest.mark.timeout(180)
def test_what_a_longer_window_makes_wait_again_is_pending_until_it_ends(loop: Loop) -> None:
    old, new = loop.with_rule(OLD), loop.with_rule(NEW)
    loop.send_history(closed=NOON + 4 * HOUR)
    with loop.worker(old):
        loop.wait_until_as_if(old)
    with loop.worker(new):
        done = run(new)
        waiting = {each.prediction_id for each in (*loop.predictions[3::5], *loop.predictions[4::5])}
        assert done.changed[("click", "pending")] == len(waiting)
        assert {key[2] for key in loop.feedback()} == {each.prediction_id for each in loop.predictions} - waiting
        loop.check(new)
        report = read_ledger(loop.clickhouse, load_config(Path(new.config)))
        assert report.predictions.pending == len(waiting)

        loop.send(closed=NOON + 9 * DAY)
        loop.wait_until_as_if(new)
        loop.check(new)


@pytest.mark.timeout(180)
def test_a_shorter_window_closes_what_waited_and_drops_what_came_too_late_for_it(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = loop.with_rule(NEW), loop.with_rule(OLD)
    loop.send_history(closed=NOON + 4 * HOUR)
    with loop.worker(long):
        wait_until(lambda: len(loop.feedback()) == N * 3 // 5, 60, "all that was clicked", poll_s=0.2)
    with loop.worker(short):
        # What waited has no answer of the former rule: the worker closes it by itself.
        wait_until(lambda: len(loop.feedback()) == N, 60, "the timeouts of the shorter window", poll_s=0.2)
        assert not loop.is_as_if(short)
        said = command(short, monkeypatch, "--model", "shop")
        assert loop.is_as_if(short)
        assert said == [
            f"{N} predictions of shop: {N * 3 // 5} rows written anew, of which",
            f"  {N // 5} of click say something else now: expired",
            f"  {N // 5} of click say something else now: matched",
            f"{N // 5} actions have another class now",
        ]
        loop.check(short)
        assert command(short, monkeypatch, "--model", "shop", "--to", "2024-07-15T12:00:50") == [
            "50 predictions of shop: 0 rows written anew, of which",
            "  none says anything else than before",
        ]
    with pytest.raises(LoopwatchError, match="model shop has click"):
        run(short, outcome="buy")
    with pytest.raises(LoopwatchError, match="nobody has no prediction"):
        recompute(short, load_config(Path(short.config)), Selection("nobody"))
