"""Workers on the simulated services: `JoinWorker` without asyncio, which can stop between any two of its steps."""

from collections import deque
from collections.abc import Callable

from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.output import Flush
from loopwatch.stream_processors.partition import Limits, PartitionProcessor
from loopwatch.stream_processors.rounds import Round

from .log import TOPICS, Log
from .store import Fenced, Store

_ALL = 1 << 30
_FLUSHES_AT_MOST = 2


class SimulatedWorker:
    """One process. What it knows is gone when it crashes; only `store` and `log` stay."""

    def __init__(
        self, name: str, store: Store, log: Log, rules: Rules, limits: Limits, now_us: int, flush_rows: int
    ) -> None:
        self.name = name
        self._flush_rows = flush_rows
        self._store = store
        self._log = log
        self._rules = rules
        self._limits = limits
        self._now_us = now_us
        self._life = 0
        self.crash()

    def crash(self) -> None:
        """Forget everything, as SIGKILL does, and start again without partitions."""
        self._life += 1
        self.owner = f"{self.name}:{self._life}"
        self.partitions: dict[int, PartitionProcessor] = {}
        self._parked: dict[int, PartitionProcessor] = {}
        self._fetched: dict[tuple[str, int], int] = {}
        self._flush = Flush(1)
        self._writing: deque[tuple[int, list[Callable[[], None]]]] = deque()
        self._stored_flush = 0

    def restart(self, rules: Rules) -> None:
        """Die, and start again with other rules."""
        self._rules = rules
        self.crash()

    def take(self, partition: int) -> None:
        """Be given a partition: claim it and rebuild its state, or go on with it where nobody had it in between."""
        for topic in TOPICS:
            self._fetched[topic, partition] = self._store.next_offset(topic, partition) or 0
        parked = self._parked.pop(partition, None)
        if parked is not None and self._store.owners.get(partition) == self.owner:
            self.partitions[partition] = parked
            return
        self._store.claim(partition, self.owner)
        recovered = self._store.recover(partition, self._log.partitions)
        processor = PartitionProcessor(partition, self._log.partitions, self._rules, self._limits, recovered)
        if recovered.unpublished:
            ids = sorted({prediction_id for prediction_id, *_ in recovered.unpublished})
            stored = self._store.find(ids, {partition: processor.next_offsets}, self._rules.epochs)
            processor.join.repeat(recovered.unpublished, stored, self._flush.number)
        self.partitions[partition] = processor

    def release(self) -> None:
        """Give all partitions back, as a rebalance asks."""
        self.write(_ALL)
        self._hand_on_stored()
        if self._flush.empty:
            self._parked |= self.partitions
        else:
            self._parked = {}
            self._flush = Flush(self._flush.number + 1)
        self.partitions = {}

    def read(self, *fetches: tuple[str, int, int]) -> int:
        """Join some batches into the open flush, with one lookup for all: topic, partition and most records of each.

        Returns the number of records.
        """
        self._hand_on_stored()
        joined = Round(self._flush, self._now_us)
        read = 0
        for topic, partition, limit in fetches:
            records = self._log.read(topic, partition, self._fetched[topic, partition], limit)
            if records:
                read += len(records)
                self._fetched[topic, partition] = records[-1].offset + 1
                joined.add(self.partitions[partition], topic, records)
        stored = self._store.find(joined.unknown, joined.next_offsets, self._rules.epochs) if joined.unknown else {}
        joined.join(stored)
        if len(self._flush) >= self._flush_rows:
            self.seal()
        return read

    def fetch_again(self, topic: str, partition: int, records: int) -> None:
        """Have the consumer go back by some offsets, as after a lost commit."""
        self._fetched[topic, partition] = max(0, self._fetched[topic, partition] - records)

    def seal(self) -> bool:
        """Settle the open flush and have it written, behind the one before it. False if there was nothing."""
        while len(self._writing) >= _FLUSHES_AT_MOST:
            self.write(len(self._writing[0][1]))
        flush = self._flush
        for processor in self.partitions.values():
            processor.settle(flush, self._now_us)
        if flush.empty:
            return False
        self._flush = Flush(flush.number + 1)
        self._writing.append((flush.number, self._store.parts(flush, self.owner)))
        return True

    def write(self, parts: int) -> None:
        """Go on writing, by some parts. A worker that lost a partition dies of it."""
        try:
            while self._writing and parts > 0:
                number, steps = self._writing[0]
                self._store.clock_us += 1_000_000
                steps[0]()
                steps.pop(0)
                parts -= 1
                if not steps:
                    self._writing.popleft()
                    self._stored_flush = number
        except Fenced:
            self.crash()

    def sweep(self) -> int:
        """Bring back what waited in ClickHouse alone and is due; the number of sweeps."""
        number = 0
        for partition, processor in list(self.partitions.items()):
            for sweep in processor.join.sweeps.due(processor.join.watermark.us):
                number += 1
                after = ""
                while ids := self._store.waiting(sweep, partition, self._log.partitions, after, 2):
                    cold = [prediction_id for prediction_id in ids if prediction_id not in processor.join.hot.entries]
                    not_yet = {partition: processor.next_offsets}
                    for prediction_id, stored in self._store.find(cold, not_yet, self._rules.epochs).items():
                        if stored.prediction is not None:
                            processor.join.load(prediction_id, stored, self._flush.number)
                    after = ids[-1]
                    self.seal()
                    if partition not in self.partitions:
                        return number
                processor.join.sweeps.done(sweep)
        return number

    def set_idle(self, idle: bool) -> None:
        """Say of every partition that everything in both topics was read, or that it wasn't."""
        for processor in self.partitions.values():
            for topic in TOPICS:
                processor.set_idle(topic, idle)

    def finish(self) -> None:
        """Read what there is, store it and sweep, until nothing is left to do."""
        while True:
            worked = self.read(*((topic, partition, _ALL) for partition in list(self.partitions) for topic in TOPICS))
            worked += self.seal()
            self.write(_ALL)
            self._hand_on_stored()
            worked += self.sweep()
            if not worked:
                return

    def _hand_on_stored(self) -> None:
        for processor in self.partitions.values():
            processor.stored(self._stored_flush)


class Cluster:
    """A few workers that share the partitions. A step for a worker that is not there, or idle, does nothing."""

    def __init__(
        self, workers: int, store: Store, log: Log, rules: Rules, limits: Limits, now_us: int, flush_rows: int
    ) -> None:
        self.log = log
        self.store = store
        self.workers = [
            SimulatedWorker(f"worker-{index}", store, log, rules, limits, now_us, flush_rows)
            for index in range(workers)
        ]
        self._homes: dict[int, int] = {}
        self.rebalance(0)

    def rebalance(self, shift: int) -> None:
        """Have every worker give back what it has, and share the partitions anew."""
        for worker in self.workers:
            worker.release()
        self._homes = {partition: (partition + shift) % len(self.workers) for partition in range(self.log.partitions)}
        self._take_missing()

    def steal(self, partition: int, index: int) -> None:
        """Give a partition to another worker while its owner sleeps, knows nothing of it and may wake up."""
        partition, index = partition % self.log.partitions, index % len(self.workers)
        if self._homes[partition] != index:
            self._homes[partition] = index
            if partition in self.workers[index].partitions:
                self.workers[index].crash()
            self._take_missing()

    def read(self, index: int, *fetches: tuple[str, int, int]) -> None:
        """A worker joins a batch of each of these partitions, of any number, as far as it takes them for its own."""
        worker = self.worker(index)
        owned = sorted(worker.partitions)
        if owned:
            worker.read(*((topic, owned[partition % len(owned)], limit) for topic, partition, limit in fetches))
        self._take_missing()

    def fetch_again(self, topic: str, partition: int, records: int) -> None:
        """The owner's consumer goes back."""
        partition %= self.log.partitions
        worker = self.workers[self._homes[partition]]
        if partition in worker.partitions:
            worker.fetch_again(topic, partition, records)

    def worker(self, index: int) -> SimulatedWorker:
        """A worker by any number."""
        return self.workers[index % len(self.workers)]

    def crash(self, index: int) -> None:
        """Kill a worker and start it again with the same partitions."""
        self.worker(index).crash()
        self._take_missing()

    def restart(self, index: int, rules: Rules) -> None:
        """Kill a worker and start it again with the same partitions and other rules."""
        self.worker(index).restart(rules)
        self._take_missing()

    def write(self, index: int, parts: int) -> None:
        """A worker goes on writing its flush; dies if it was fenced, and starts again."""
        self.worker(index).write(parts)
        self._take_missing()

    def seal(self, index: int) -> None:
        """A worker closes its flush."""
        self.worker(index).seal()
        self._take_missing()

    def flush(self, index: int) -> None:
        """A worker closes its flush and writes all of it."""
        self.worker(index).seal()
        self.write(index, _ALL)

    def tear(self, index: int, parts: int) -> None:
        """Kill a worker in the middle of a flush, with some of its parts written."""
        self.worker(index).seal()
        self.worker(index).write(parts)
        self.crash(index)

    def sweep(self, index: int) -> None:
        """A worker runs its sweeps."""
        self.worker(index).sweep()
        self._take_missing()

    def finish(self) -> None:
        """Everybody works until nothing is left; those that lost a partition find out."""
        while True:
            for worker in self.workers:
                if any(self._homes[partition] != self.workers.index(worker) for partition in worker.partitions):
                    worker.crash()
            self._take_missing()
            for worker in self.workers:
                worker.finish()
            if all(
                worker.partitions.keys() == self._of(index) and self._is_read(worker)
                for index, worker in enumerate(self.workers)
            ):
                return

    def set_idle(self, index: int, idle: bool) -> None:
        """A worker takes both topics for read to the end, or not."""
        self.worker(index).set_idle(idle)

    def idle(self) -> None:
        """Some seconds after the end: everybody takes both topics for read to the end, and finishes."""
        for worker in self.workers:
            worker.set_idle(True)
            worker.finish()

    def _is_read(self, worker: SimulatedWorker) -> bool:
        return all(
            processor.next_offset(topic) >= self.log.end(topic, partition)
            for partition, processor in worker.partitions.items()
            for topic in TOPICS
        )

    def _of(self, index: int) -> set[int]:
        return {partition for partition, home in self._homes.items() if home == index}

    def _take_missing(self) -> None:
        for index, worker in enumerate(self.workers):
            for partition in self._of(index) - worker.partitions.keys():
                worker.take(partition)
