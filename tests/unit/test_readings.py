"""What is handed on of an assignment: all that was fetched since its read positions were set, and nothing else.

Rebalances come one upon the other here, as when several workers die: the next one begins while Faust still waits for
the start positions of the one before.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP, Message
from loopwatch.infra.settings import Settings
from loopwatch.stream_processors.app import faust_app
from loopwatch.stream_processors.engine.batches import RecordBatch
from loopwatch.stream_processors.engine.transport import BatchConsumer

from ..simulation.log import Record

HERE = TP(Settings().topics.predictions, 0)
THERE = TP(Settings().topics.predictions, 1)


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that asyncio runs."""

    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


class Broker:
    """The thread of a consumer: what it was told to seek, and what a fetch brings."""

    def __init__(self) -> None:
        self.sought: list[Mapping[TP, int]] = []
        self.fetch: asyncio.Future[dict[TP, list[Record]]] = asyncio.get_running_loop().create_future()

    async def seek_wait(self, positions: Mapping[TP, int]) -> None:
        self.sought.append(dict(positions))

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return {HERE: 7, THERE: None}

    async def getmany(self, *_: Any) -> dict[TP, list[Record]]:
        return await self.fetch

    def assignment(self) -> set[TP]:
        return set()

    def highwater(self, _: TP) -> int:
        return 0


class Reader:
    """A consumer on it, and the batches that it hands on. `ledger` is known once it is set."""

    def __init__(self) -> None:
        self.ledger: asyncio.Future[dict[TP, int]] = asyncio.get_running_loop().create_future()
        self.handed_on: list[RecordBatch] = []
        app = faust_app(Settings(), self._never, self._start_positions)
        consumer = app.consumer
        assert isinstance(consumer, BatchConsumer)
        self.consumer: Any = consumer
        self.broker = Broker()
        self.consumer._thread = self.broker
        # Faust's own part of a rebalance.
        self.consumer._on_partitions_revoked = self.consumer._on_partitions_assigned = self._never
        app.topics._tp_to_callback.update({HERE: self._hand_on, THERE: self._hand_on})

    async def rebalance(self, *assigned: TP) -> None:
        await self.consumer.on_partitions_revoked({HERE, THERE})
        await self.consumer.on_partitions_assigned(set(assigned), 1)

    async def come(self, *batches: RecordBatch) -> None:
        for batch in batches:
            message = Message(
                batch.topic, batch.partition, batch.offset, 0.0, 0, {}, None, batch, None, 0, 0, tp=batch.tp
            )  # fmt: skip
            await self.consumer.callback(message)

    async def _start_positions(self, _: set[TP]) -> dict[TP, int]:
        return await asyncio.shield(self.ledger)

    async def _hand_on(self, message: Any) -> None:
        self.handed_on.append(message.value)

    async def _never(self, *_: Any) -> None:
        return


def batch(first: int, last: int, tp: TP = HERE) -> RecordBatch:
    return RecordBatch(tp, [Record(offset, None, b"") for offset in range(first, last + 1)])


@in_a_loop
async def test_reading_begins_behind_the_ledger_or_else_where_kafka_was_committed() -> None:
    reader = Reader()
    reader.ledger.set_result({HERE: 40})
    await reader.rebalance(HERE, THERE)
    assert await reader.consumer.seek_to_committed() == {HERE: 40, THERE: 0}
    assert reader.broker.sought == [{HERE: 40, THERE: 0}]
    first, second = batch(43, 49), batch(50, 59)
    await reader.come(first, second)
    assert reader.handed_on == [first, second]
    assert (first.after, second.after) == (39, 49)


@in_a_loop
async def test_what_comes_before_the_read_position_is_set_is_not_handed_on() -> None:
    reader = Reader()
    await reader.rebalance(HERE)
    seeking = asyncio.create_task(reader.consumer.seek_to_committed())
    await reader.come(batch(7, 9), batch(10, 12))
    reader.ledger.set_result({HERE: 5})
    await seeking
    again = batch(5, 9)
    await reader.come(again)
    # Were it -1 or 12, what was skipped could not be told from what is read again.
    assert again.after == 4
    assert reader.handed_on == [again]


@in_a_loop
async def test_batches_of_an_assignment_that_is_over_are_outdated() -> None:
    reader = Reader()
    reader.ledger.set_result({HERE: 0})
    await reader.rebalance(HERE)
    await reader.consumer.seek_to_committed()
    before = batch(0, 9)
    await reader.come(before)
    await reader.rebalance(HERE)
    assert before.outdated
    await reader.come(batch(10, 19))
    assert reader.handed_on == [before]


@in_a_loop
async def test_a_rebalance_that_begins_before_the_positions_are_known_leaves_all_as_it_is() -> None:
    reader = Reader()
    await reader.rebalance(HERE)
    seeking = asyncio.create_task(reader.consumer.seek_to_committed())
    await asyncio.sleep(0)
    await reader.rebalance(HERE, THERE)
    reader.ledger.set_result({HERE: 5, THERE: 6})
    with pytest.raises(IllegalStateError):
        await seeking
    reader.consumer.resume_flow()
    assert not reader.consumer.flow_active
    assert reader.broker.sought == []
    assert not reader.consumer.reading
    await reader.consumer.seek_to_committed()
    reader.consumer.resume_flow()
    assert reader.consumer.flow_active
    assert reader.consumer.reading == {HERE, THERE}


@in_a_loop
async def test_while_partitions_are_shared_anew_none_is_positioned() -> None:
    reader = Reader()
    reader.ledger.set_result({HERE: 5})
    await reader.rebalance(HERE)
    await reader.consumer.on_partitions_revoked({HERE})
    with pytest.raises(IllegalStateError):
        await reader.consumer.seek_to_committed()
    assert reader.broker.sought == []


@in_a_loop
async def test_no_fetch_is_under_way_while_the_read_position_moves() -> None:
    reader = Reader()
    reader.ledger.set_result({HERE: 5})
    await reader.rebalance(HERE)
    fetching = asyncio.create_task(reader.consumer._getmany({HERE}, 1.0))
    await asyncio.sleep(0)
    seeking = asyncio.create_task(reader.consumer.seek_to_committed())
    for _ in range(5):
        await asyncio.sleep(0)
    assert reader.broker.sought == []
    reader.broker.fetch.set_result({HERE: [SimpleNamespace(offset=9)]})
    assert await fetching is None
    await seeking
    assert reader.broker.sought == [{HERE: 5}]
