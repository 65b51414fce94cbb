"""One run of a fault scenario, from its topics to the wait for its end."""

import contextlib
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from clickhouse_connect.driver.exceptions import ClickHouseError
from loopwatch.infra.clickhouse import ClickHouse, quote, quoted
from loopwatch.infra.kafka_admin import apply_topics, input_topics
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.errors import LoopwatchError

from .processes import Workers
from .reference import expected_feedback
from .sender import Sender
from .stream import EventStream, Truth

CONFIG = Path(__file__).resolve().parent / "loopwatch.yaml"
MAX_BACKLOG = 15_000
"""Events unread at which senders pause."""


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
