"""Faust's consumer with our offsets: what it remembers of acknowledged batches is worked off with each commit."""

from types import SimpleNamespace

import pytest
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP, Message
from loopwatch.infra.settings import Settings
from loopwatch.stream_processors.app import faust_app
from loopwatch.stream_processors.engine.batches import RecordBatch
from loopwatch.stream_processors.engine.parsed import ParsedRecords
from loopwatch.stream_processors.engine.transport import BatchConsumer

INPUT = TP(Settings().topics.predictions, 0)


async def on_batch(event: object) -> None:
    """Never called: nothing is consumed here."""


async def from_the_start(assigned: set[TP]) -> dict[TP, int]:
    return {}


def a_consumer() -> BatchConsumer:
    app = faust_app(Settings(), on_batch, from_the_start)
    # As when the agent has subscribed.
    app.topics._acking_topics.update(Settings().topics.inputs)
    consumer = app.consumer
    assert isinstance(consumer, BatchConsumer)
    return consumer


def message_of(batch: RecordBatch) -> Message:
    return Message(
        batch.topic, batch.partition, batch.offset, 0.0, 0, {}, None, batch, None, 0, 0, tp=batch.tp
    )  # fmt: skip


def test_what_was_acknowledged_is_forgotten_with_the_commit() -> None:
    consumer = a_consumer()
    consumer._committed_offset[INPUT] = None
    consumer.watermark.begin(INPUT, 0)
    for first in range(0, 100, 10):
        batch = RecordBatch(INPUT, [SimpleNamespace(offset=first + each) for each in range(10)])
        consumer.watermark.fetched(batch)
        batch.done = True
        assert consumer.ack(message_of(batch))
    assert consumer._new_offset(INPUT) == 100
    assert not consumer._acked[INPUT]
    assert not consumer._acked_index[INPUT]
    assert consumer._new_offset(INPUT) is None


def batch_of(first: int, last: int, *, corrupt: bool = False) -> bytes:
    """A batch of Kafka's log, with some offsets missing as compaction leaves them."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for offset in range(first, last):
        if offset % 7:
            key = None if offset % 3 == 0 else f"k{offset}".encode()
            value = None if offset % 5 == 0 else f"v{offset}".encode()
            builder.append(offset, 1_700_000_000_000 + offset, key, value, [("h", b"1")] if offset % 2 else [])
    batch = builder.build()
    if corrupt:
        batch[-1] ^= 1
    return bytes(batch)


class Assigned:
    """What a fetch asks of the assignment."""

    active, paused, position = True, False, 3

    def state_value(self, tp: TP) -> "Assigned":
        return self

    def consumed_to(self, offset: int) -> None:
        self.position = offset


def fetched(kind: type[PartitionRecords], log: bytes, most: int) -> tuple[list[list[object]], int]:
    """All that a consumer gets of a fetch from offset 3 on, in pieces, and where it goes on."""
    assigned = Assigned()
    records = kind(INPUT, MemoryRecords(log), [], 3, None, None, True, 1)
    result = FetchResult(INPUT, assignment=assigned, partition_records=records, backoff=0)
    pieces: list[list[object]] = []
    while result.has_more():
        pieces.append(
            [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, tuple(r.headers)) for r in result.getall(most)]
        )
    return pieces, assigned.position


def test_records_are_those_that_aiokafka_hands_out() -> None:
    log = b"".join(batch_of(first, first + 40) for first in range(0, 120, 40))
    for most in (1, 9, 33, 1000):
        found = fetched(ParsedRecords, log, most)
        assert found == fetched(PartitionRecords, log, most)
        assert sum(map(len, found[0])) == sum(1 for offset in range(3, 120) if offset % 7)
        assert found[1] == 119


def test_a_corrupt_batch_is_refused() -> None:
    with pytest.raises(Exception, match="CRC"):
        fetched(ParsedRecords, batch_of(0, 40) + batch_of(40, 80, corrupt=True), 1000)
