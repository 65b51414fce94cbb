"""What is written when: tables at once, an action before what became of it, the ledger behind everything."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pyarrow as pa
import pytest
from loopwatch.infra.kafka_admin import TopicInfo
from loopwatch.schemas.errors import ServiceUnavailable
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.output import Flush
from loopwatch.stream_processors.partition import Limits, PartitionProcessor
from loopwatch.stream_processors.recovered import Recovered, TopicPosition
from loopwatch.stream_processors.sink.inserts import Inserter
from loopwatch.stream_processors.sink.publisher import Publisher
from loopwatch.stream_processors.sink.writer import FlushWriter

from ..simulation.events import NOON_US, action, prediction, record

PREDICTIONS, ACTIONS = TopicInfo("t.predictions", "P1", 1, 1), TopicInfo("t.actions", "A1", 1, 1)


class Services:
    """Notes what reaches ClickHouse and Kafka, in the order in which it is done."""

    def __init__(self, failing: str = "", meeting: threading.Barrier | None = None) -> None:
        self.done: list[str] = []
        self._failing = failing
        self._meeting = meeting

    def insert(self, table: str, rows: pa.Table, token: str, partitions: Iterable[int]) -> None:
        if table == self._failing:
            raise ServiceUnavailable("clickhouse", "away")
        if self._meeting is not None and table in ("predictions", "actions"):
            self._meeting.wait(30)
        self.done.append(table)

    def messages(self, rows: list[Any]) -> list[Any]:
        return rows

    def feedback(self, messages: list[Any]) -> None:
        self.done.append("kafka")

    def forwards(self, forwards: list[Any]) -> None:
        pass

    def dead_letters(self, letters: list[Any]) -> None:
        pass

    def flush(self) -> None:
        self.done.append("kafka flush")


def a_flush(number: int) -> Flush:
    """One with rows in every table but the dead letters: an action that waits, its prediction, and a later action."""
    processor = PartitionProcessor(
        0, 1, Rules(LoopwatchConfig()), Limits(),
        Recovered(TopicPosition("t.predictions", "P1"), TopicPosition("t.actions", "A1")),
    )  # fmt: skip
    flush = Flush(number)
    for topic, values in (
        ("t.actions", [action("p", "held")]),
        ("t.predictions", [prediction("p")]),
        ("t.actions", [action("p", "matched")]),
    ):
        first = processor.next_offset(topic)
        records = [record(first + index, each) for index, each in enumerate(values)]
        processor.apply(topic, processor.prepare(topic, records), {}, flush, NOON_US)
    processor.settle(flush, NOON_US)
    return flush


@pytest.fixture
def closing() -> Iterator[list[FlushWriter]]:
    writers: list[FlushWriter] = []
    yield writers
    for writer in writers:
        writer.close()


def writer_on(services: Services, closing: list[FlushWriter]) -> FlushWriter:
    writer = FlushWriter(cast("Inserter", services), cast("Publisher", services), (PREDICTIONS, ACTIONS), "worker")
    closing.append(writer)
    return writer


def test_rows_then_kafka_then_the_ledger(closing: list[FlushWriter]) -> None:
    services = Services()
    writer_on(services, closing).write(a_flush(1))
    rows, rest = services.done[:-3], services.done[-3:]
    assert sorted(rows) == ["action_status", "actions", "feedback", "predictions"]
    assert rows.index("actions") < rows.index("action_status")
    assert rows.index("predictions") < rows.index("feedback")
    assert rest == ["kafka", "kafka flush", "ledger"]


def test_tables_are_written_at_once(closing: list[FlushWriter]) -> None:
    # Each of the two goes on only when the other is on its way too.
    services = Services(meeting=threading.Barrier(2))
    writer_on(services, closing).write(a_flush(1))
    assert services.done[-1] == "ledger"


@pytest.mark.parametrize("table", ["predictions", "actions", "action_status", "feedback", "ledger"])
def test_nothing_is_stored_behind_a_flush_that_failed(table: str, closing: list[FlushWriter]) -> None:
    services = Services(failing=table)
    writer = writer_on(services, closing)
    with pytest.raises(ServiceUnavailable):
        writer.write(a_flush(1))
    assert "ledger" not in services.done
    if table != "ledger":
        assert "kafka" not in services.done
    done = list(services.done)
    with pytest.raises(RuntimeError, match="before this one"):
        writer.write(a_flush(2))
    assert services.done == done
