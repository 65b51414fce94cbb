"""Faust's consumer with our offsets: what it remembers of acknowledged batches is worked off with each commit."""

from types import SimpleNamespace

from faust.types import TP, Message
from loopwatch.infra.settings import Settings
from loopwatch.stream_processors.app import faust_app
from loopwatch.stream_processors.engine.batches import RecordBatch
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
    for first in range(0, 100, 10):
        batch = RecordBatch(INPUT, [SimpleNamespace(offset=first + each) for each in range(10)])
        consumer.watermark.fetched(batch)
        batch.done = True
        assert consumer.ack(message_of(batch))
    assert consumer._new_offset(INPUT) == 100
    assert not consumer._acked[INPUT]
    assert not consumer._acked_index[INPUT]
    assert consumer._new_offset(INPUT) is None
