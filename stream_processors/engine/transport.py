"""Faust's aiokafka transport with a consumer that commits batches exactly and starts where ClickHouse says."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, ClassVar, cast

from aiokafka.consumer import fetcher
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import ConsumerT

from .batches import RecordBatch
from .offsets import CommitWatermark
from .parsed import ParsedRecords

# The broker answers a fetch at least every half second.
_FRESH_MS = 5000.0

# There is no setting for it.
fetcher.PartitionRecords = ParsedRecords

StartPositions = Callable[[set[TP]], Awaitable[Mapping[TP, int]]]


class BatchConsumer(driver.Consumer):
    """Replaces Faust's offset tracking for partitions that are read in batches.

    An assignment is read from where `start_positions` says, and where that says nothing from Kafka's committed offsets.
    The next rebalance may begin before that is known: then nothing moves and nothing flows until it is over. What was
    fetched before the positions were set is not handed on.
    """

    start_positions: ClassVar[Any]

    def __init__(self, transport: Any, callback: Any, *args: Any, **kwargs: Any) -> None:
        self.watermark = CommitWatermark()
        self._last_fetched: dict[TP, int] = {}
        self._assigned: set[TP] | None = None
        self._positioned = False
        # No fetch is under way while the read position moves: nobody could tell where it read.
        self._fetching = asyncio.Lock()
        is_read = self.watermark.fetched

        # Faust inlines `track_message` in its streams, so a batch is noted where it leaves the fetcher.
        async def noting(message: Any) -> None:
            if not isinstance(message.value, RecordBatch) or is_read(message.value):
                await callback(message)

        super().__init__(transport, noting, *args, **kwargs)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps inside and between batches need no bookkeeping: a batch is passed as a whole."""

    def _new_offset(self, tp: TP) -> int | None:
        # Faust's own tracking would work these off here: kept, they grow by every batch.
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self.watermark.position(tp)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self.watermark.partitions() if topics is None or tp in topics or tp.topic in topics)

    @property
    def reading(self) -> set[TP]:
        """Partitions of this assignment, once their read position is set."""
        return self.watermark.reading

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let Faust have the batches of all partitions joined and committed; what is left of them is outdated."""
        self._assigned, self._positioned = None, False
        self.stop_flow()
        await super().on_partitions_revoked(revoked)
        for tp in self.reading:
            self.watermark.forget(tp)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A new assignment, which replaces the one before."""
        self._assigned = set(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Have the assignment read from its start positions.

        Raises:
            IllegalStateError: a rebalance began meanwhile. Faust waits for its end then.
        """
        assigned = self._assigned
        if assigned is None:
            raise IllegalStateError("no partitions are assigned while they are shared anew")
        positions = dict(await self.start_positions(assigned))
        if others := assigned - positions.keys():
            committed = await super().seek_to_committed()
            positions |= {tp: committed.get(tp) or 0 for tp in others}
        async with self._fetching:
            self._check_that_these_are_assigned(assigned)
            await self.seek_wait(positions)
        self._check_that_these_are_assigned(assigned)
        for tp, offset in positions.items():
            self.watermark.begin(tp, offset)
        self._positioned = True
        return positions

    def resume_flow(self) -> None:
        """Let batches flow, unless a rebalance began since the positions were set."""
        if self._positioned:
            super().resume_flow()

    def _check_that_these_are_assigned(self, tps: set[TP]) -> None:
        if self._assigned is not tps:
            raise IllegalStateError("partitions were shared anew before their positions were set")

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        async with self._fetching:
            records = await super()._getmany(active_partitions, timeout)
        if not self.flow_active:
            # Of an assignment that is over. Faust would seek here; who lets the flow go on does that before.
            return None
        for tp, fetched in records.items():
            if fetched:
                self._last_fetched[tp] = fetched[-1].offset
        return records

    def caught_up(self, tp: TP, next_offset: int, now_ms: float) -> bool:
        """Whether the broker said a moment ago that nothing is left to read from `next_offset` on.

        An answer from before an outage says nothing about what waits in the broker since.
        """
        if tp not in self.assignment():
            return False
        consumer = self._thread._ensure_consumer()
        highwater, asked_ms = consumer.highwater(tp), consumer.last_poll_timestamp(tp)
        fresh = highwater is not None and asked_ms is not None and now_ms - asked_ms < _FRESH_MS
        return fresh and self.lag(tp, next_offset) == 0

    def lag(self, tp: TP, next_offset: int) -> int:
        """Records in Kafka from `next_offset` on, as far as the broker has said; markers of transactions are none."""
        if tp not in self.assignment():
            return 0
        consumer = self._thread._ensure_consumer()
        if next_offset > self._last_fetched.get(tp, -1):
            # All that was fetched is processed. The read position has passed markers, which nobody is handed.
            state = consumer._subscription.subscription.assignment.state_value(driver.ensure_aiokafka_TP(tp))
            next_offset = max(next_offset, state._position or 0)
        return max(0, (consumer.highwater(tp) or 0) - next_offset)


class BatchTransport(driver.Transport):
    """Faust transport for batch topics; set its class as the app's transport."""

    Consumer: ClassVar[type[ConsumerT]] = cast("type[ConsumerT]", BatchConsumer)


def consumer_with(start_positions: StartPositions) -> type[BatchConsumer]:
    """A consumer class that asks for its start positions at every assignment."""
    return type("PositionedConsumer", (BatchConsumer,), {"start_positions": staticmethod(start_positions)})


def transport_with(consumer: type[BatchConsumer]) -> type[BatchTransport]:
    """A transport class for that consumer."""
    return type("PositionedTransport", (BatchTransport,), {"Consumer": consumer})
