"""Which partitions this process owns: claimed in ClickHouse, their state rebuilt or kept."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from faust.types import TP

from ..infra.kafka_admin import TopicInfo
from ..infra.logs import logger
from .calls import Calls
from .join.epochs import RULE
from .join.rules import Rules
from .output import Flush
from .partition import Limits, PartitionProcessor
from .recovered import Recovered
from .recovery import Recovery
from .sink.fence import Fence

log = logger(__name__)


class Ownership:
    """The processors of the owned partitions, and those given back that may come again before anybody else has them."""

    def __init__(
        self,
        calls: Calls,
        recovery: Recovery,
        fence: Fence,
        topics: tuple[TopicInfo, TopicInfo],
        rules: Rules,
        limits: Limits,
        outdated_rules: Callable[[], Sequence[RULE]],
    ) -> None:
        self._calls = calls
        self._recovery = recovery
        self._fence = fence
        self._topics = topics
        self._rules = rules
        self._limits = limits
        self._outdated_rules = outdated_rules
        self._parked: dict[int, PartitionProcessor] = {}
        self.partitions: dict[int, PartitionProcessor] = {}

    async def take(self, wanted: set[int], flush: Flush) -> None:
        """Own these partitions too; what former owners left unfinished goes into the open flush.

        Raises:
            ServiceUnavailable: ClickHouse did not answer in time, or others keep claiming a partition.
        """
        new = sorted(wanted - self.partitions.keys())
        # Partitions move when a worker starts, and it may have come with another configuration.
        for model, outcome in await self._calls.run(self._outdated_rules) if new else ():
            log.warning("another worker runs a later rule: start this one anew", model=model, outcome=outcome)
        processors = await asyncio.gather(*(self._take(partition, flush) for partition in new))
        self.partitions |= zip(new, processors, strict=True)

    async def positions(self, assigned: Iterable[TP]) -> dict[TP, int]:
        """Offset to read on from, of each topic partition: behind what is stored of this life of the topic."""
        positions: dict[TP, int] = {}
        for topic in self._topics:
            partitions = sorted(tp.partition for tp in assigned if tp.topic == topic.name)
            if partitions:
                offsets = await self._calls.run(self._recovery.next_offsets, topic, partitions)
                positions |= {TP(topic.name, partition): offsets.get(partition, 0) for partition in partitions}
        return positions

    def give_back(self, *, keep: bool) -> None:
        """Own nothing any more. `keep` the state, if all of it is stored, for partitions that come again."""
        self._parked = self._parked | self.partitions if keep else {}
        self.partitions = {}

    def forget_parked(self) -> None:
        """What did not come again is somebody else's now."""
        self._parked.clear()

    async def _take(self, partition: int, flush: Flush) -> PartitionProcessor:
        parked = self._parked.pop(partition, None)
        if parked is not None and await self._calls.run(self._fence.holds, partition):
            return parked
        began = time.monotonic()
        await self._calls.run(self._fence.claim, partition)
        await self._calls.run(self._recovery.complete_panes, partition, self._fence.broken([partition]))
        processor, recovered = await self._calls.run(self._rebuild, partition)
        if recovered.unpublished:
            ids = sorted({prediction_id for prediction_id, *_ in recovered.unpublished})
            stored = await self._calls.find(ids, {partition: processor.next_offsets})
            processor.join.repeat(recovered.unpublished, stored, flush.number)
        if recovered.unfinished:
            ids = sorted({prediction_id for left in recovered.unfinished for prediction_id in left.ids})
            stored = await self._calls.find(ids, {partition: processor.next_offsets})
            processor.adopt(recovered.unfinished, stored, flush)
        log.info(
            "partition taken", partition=partition, predictions_from=recovered.predictions.next_offset,
            actions_from=recovered.actions.next_offset, known_ids=processor.join.known.count,
            held=processor.join.held.n_actions, seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
        return processor

    def _rebuild(self, partition: int) -> tuple[PartitionProcessor, Recovered]:
        # In one piece: ids are read while the processor takes them, and a second try must begin anew.
        recovered = self._recovery.recover(partition)
        processor = PartitionProcessor(partition, self._topics[0].partitions, self._rules, self._limits, recovered)
        return processor, recovered
