"""What a worker does between Faust and the services: feeds partitions, flushes, looks up, and stops when it must.

Two things go on at once: batches are joined into the open flush, and the flushes before it are being written, one after
the other, by a thread. A batch is acknowledged when the flush that carries it is stored. State changes only under one
lock.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from faust.types import TP

from ..infra import metrics
from ..infra.kafka_admin import TopicInfo
from ..infra.logs import logger
from ..infra.settings import Settings
from ..schemas.errors import ServiceUnavailable
from .calls import Calls
from .engine.transport import BatchConsumer
from .flushes import Flushes
from .intake import Intake, Ready
from .join.sweeps import Sweep
from .liveness import Liveness, Progress
from .lookups import Lookups
from .output import Flush
from .ownership import Ownership
from .partition import PartitionProcessor
from .reports import PartitionReport, Waiting
from .rounds import Round
from .sink.writer import FlushWriter

log = logger(__name__)

_SWEEP_IDS = 20_000
_INBOX_BATCHES = 16
_TAKE_AHEAD_S = 10.0
# Lingers, in a backlog.
_PATIENCE = 4


class JoinWorker:
    """Runs the partitions that Kafka assigns to this process."""

    def __init__(
        self,
        settings: Settings,
        topics: tuple[TopicInfo, TopicInfo],
        *,
        calls: Calls,
        lookups: Lookups,
        ownership: Ownership,
        writer: FlushWriter,
        topics_now: Callable[[], tuple[TopicInfo, TopicInfo]],
        on_fatal: Callable[[BaseException], None],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._calls = calls
        self._lookups = lookups
        self._ownership = ownership
        self._flushes = Flushes(writer, self._on_stored, on_fatal)
        self._topics_now = topics_now
        self._on_fatal = on_fatal
        self._now_us = now_us
        self._lock = asyncio.Lock()
        self._intake = Intake(topics[0].name, topics[1].name)
        self._taking: asyncio.Task[None] | None = None
        self._releases = 0
        self._joining: asyncio.Task[None] | None = None
        self._stored: dict[TP, int] = {}
        self._caught_up_since: dict[TP, float] = {}
        self._liveness = Liveness(settings.stuck_after_s)
        self._oldest_batch_s: float | None = None
        self._waiting = Waiting()
        self.reports: list[PartitionReport] = []
        """How each topic of its partitions is, as of the last tick."""
        self.behind = 0
        self.unhealthy: str | None = None

    @property
    def _partitions(self) -> dict[int, PartitionProcessor]:
        return self._ownership.partitions

    @property
    def owned(self) -> frozenset[int]:
        """Partitions that are this worker's now."""
        return frozenset(self._partitions)

    @property
    def stored_offsets(self) -> dict[TP, int]:
        """Offset of the next record to store, for each partition that got on since it was taken."""
        return dict(self._stored)

    async def start_positions(self, assigned: set[TP]) -> dict[TP, int]:
        """Where to read on: behind what is stored.

        What ClickHouse doesn't know is read from its beginning, whatever was committed to Kafka: tables that were
        dropped fill again.
        """
        releases = self._releases
        if await self._calls.run(self._topics_now) != self._topics:
            self._on_fatal(
                ServiceUnavailable(self._settings.kafka_bootstrap, "topics were made anew, or got partitions")
            )
        self._taking = asyncio.create_task(self._take_ahead({tp.partition for tp in assigned}, releases))
        # Faust has little patience here; what takes longer goes on while the first batches come.
        await asyncio.wait([self._taking], timeout=_TAKE_AHEAD_S)
        return await self._ownership.positions(assigned)

    async def on_batch(self, event: Any) -> None:
        """Take a batch in, to be joined with whatever else waits by then; waits itself only while much does.

        Never raises: what can't be handled stops the process.
        """
        self._intake.put(event)
        if self._joining is None or self._joining.done():
            self._joining = asyncio.create_task(self._join_inbox())
        if len(self._intake) >= _INBOX_BATCHES:
            await self._joining

    async def tick(self, consumer: BatchConsumer) -> None:
        """To be called a few times in the linger: flush what is due, run sweeps, watch progress."""
        try:
            async with self._lock:
                self._intake.consumer = consumer
                await self._take({tp.partition for tp in consumer.reading})
                self._ownership.forget_parked()
                self._hand_on_stored()
                if waited := self._intake.waited(self._partitions):
                    await self._join(waited)
                self._note_idle(consumer)
                await self._sweep()
                lingered = self._oldest_batch_s is not None and (
                    time.monotonic() - self._oldest_batch_s >= self._linger_s
                )
                if not self._flushes.writing and (lingered or self._oldest_batch_s is None):
                    await self._seal()
                self._watch(consumer)
        except Exception as exc:
            self._on_fatal(exc)

    async def release(self, revoked: Iterable[TP]) -> None:
        """Give partitions back: everything of theirs is stored, or is dropped and will be read again."""
        if not list(revoked):
            return
        self._releases += 1
        async with self._lock:
            await self._flushes.all_written()
            self._hand_on_stored()
            self._intake.drop()
            clean = self._flushes.open.empty
            if not clean:
                self._flushes.drop_open()
            self._oldest_batch_s = None
            log.info("partitions released", partitions=sorted(self._partitions), clean=clean)
            self._ownership.give_back(keep=clean)
            self._stored, self._caught_up_since, self.reports = {}, {}, []
            self._waiting = Waiting()
            metrics.forget_partitions()

    async def drain(self) -> None:
        """Join and store everything that came: the end is near, or a rebalance goes on."""
        try:
            async with self._lock:
                while self._intake:
                    await self._join_round()
                await self._join(self._intake.all_waiting())
                await self._seal()
                await self._flushes.all_written()
        except Exception as exc:
            self._on_fatal(exc)

    def close(self) -> None:
        """Let the threads go."""
        self._calls.close()
        self._flushes.close()

    async def _join_inbox(self) -> None:
        try:
            while self._intake:
                async with self._lock:
                    await self._join_round()
        except Exception as exc:
            self._on_fatal(exc)

    async def _join_round(self) -> None:
        events = self._intake.next_round(self._settings.flush_rows - len(self._flushes.open))
        await self._take({event.value.partition for event in events})
        await self._join(self._intake.ready_with(events, self._partitions))

    async def _join(self, ready: Sequence[Ready]) -> None:
        """Join batches in this order, with one look into ClickHouse for all of them."""
        # Only here may entries leave memory: from planning the lookup until the join they must stay.
        self._hand_on_stored()
        joined = Round(self._flushes.open, self._now_us())
        for _, batch in ready:
            processor = self._partitions[batch.partition]
            if batch.after >= processor.next_offset(batch.topic):
                raise RuntimeError(
                    f"batches of {batch.topic}[{batch.partition}] before {batch.first_offset} were skipped"
                )
            joined.add(processor, batch.topic, batch.records)
        stored = await self._calls.find(joined.unknown, joined.next_offsets) if joined.unknown else {}
        joined.join(stored)
        if ready and self._oldest_batch_s is None:
            self._oldest_batch_s = time.monotonic()
        for event, batch in ready:
            self._flushes.open.carry(event, batch)
            metrics.BATCH_RECORDS.labels(batch.topic).observe(len(batch.records))
        # Not in between: a checkpoint covers all that was prepared.
        if self._flushes.open.reaches(self._settings.flush_rows, self._settings.flush_bytes):
            await self._seal()

    async def _take_ahead(self, partitions: set[int], releases: int) -> None:
        """Take partitions before their first batch is there, unless they were given back by then."""
        try:
            async with self._lock:
                if releases == self._releases:
                    await self._take(partitions)
        except Exception as exc:
            self._on_fatal(exc)

    async def _take(self, partitions: set[int]) -> None:
        await self._ownership.take(partitions, self._flushes.open)

    async def _seal(self) -> None:
        """Settle the open flush and have it written, behind those before it."""
        await self._flushes.room()
        flush, now_us = self._flushes.open, self._now_us()
        for processor in self._partitions.values():
            processor.settle(flush, now_us)
        if not flush.empty:
            self._oldest_batch_s = None
            self._flushes.seal()

    def _on_stored(self, flush: Flush) -> None:
        for event, batch in flush.batches:
            batch.done = True
            event.ack()
        for mark in flush.checkpoints:
            self._stored[TP(mark.topic, mark.partition)] = mark.last_offset + 1
        for count, n in flush.output.counts.items():
            metrics.EVENTS.labels(self._topics[count.of_actions].name, count.event_class).inc(n)

    @property
    def _linger_s(self) -> float:
        """How long a batch waits for more. In a backlog nobody waits for it, and full flushes cost ClickHouse less."""
        in_backlog = self.behind > self._settings.flush_rows
        return self._settings.flush_linger_s * (_PATIENCE if in_backlog else 1)

    def _hand_on_stored(self) -> None:
        for processor in self._partitions.values():
            processor.stored(self._flushes.stored)

    async def _sweep(self) -> None:
        """Bring predictions back whose window ended while they were in ClickHouse alone: their timeout is due."""
        for processor in self._partitions.values():
            due = processor.join.sweeps.due(processor.join.watermark.us)
            for merged, sweeps in _merged(due):
                after = ""
                while ids := await self._calls.run(
                    self._lookups.waiting, merged, processor.partition, processor.partitions, after, _SWEEP_IDS
                ):
                    cold = [prediction_id for prediction_id in ids if prediction_id not in processor.join.hot.entries]
                    found = await self._calls.find(cold, {processor.partition: processor.next_offsets})
                    for prediction_id, stored in found.items():
                        if stored.prediction is not None:
                            processor.join.load(prediction_id, stored, self._flushes.open.number)
                    after = ids[-1]
                    await self._seal()
                    self._hand_on_stored()
                for sweep in sweeps:
                    processor.join.sweeps.done(sweep)

    def _note_idle(self, consumer: BatchConsumer) -> None:
        now_s, now_ms = time.monotonic(), time.time() * 1000
        for processor in self._partitions.values():
            for topic in self._topics:
                tp = TP(topic.name, processor.partition)
                if consumer.caught_up(tp, processor.next_offset(topic.name), now_ms):
                    since = self._caught_up_since.setdefault(tp, now_s)
                    processor.set_idle(topic.name, now_s - since >= self._settings.idle_after_s)
                else:
                    self._caught_up_since.pop(tp, None)
                    processor.set_idle(topic.name, False)

    def _watch(self, consumer: BatchConsumer) -> None:
        progress: dict[TP, Progress] = {}
        lags: dict[TP, int] = {}
        behind, now_s = 0, time.monotonic()
        for processor in self._partitions.values():
            name = str(processor.partition)
            join = processor.join
            metrics.WATERMARK.labels(name).set(max(0.0, join.watermark.us / 1e6))
            metrics.HOT_BYTES.labels(name).set(join.hot.size_bytes)
            metrics.HOT_PREDICTIONS.labels(name).set(len(join.hot.entries))
            metrics.HELD_ACTIONS.labels(name).set(join.held.n_actions)
            metrics.KNOWN_BYTES.labels(name).set(join.known.size_bytes)
            for topic in self._topics:
                tp = TP(topic.name, processor.partition)
                stored = self._stored.get(tp, processor.next_offset(topic.name))
                lag = consumer.lag(tp, stored)
                progress[tp], lags[tp] = Progress(stored, lag > 0), lag
                behind += lag
                metrics.LAG.labels(topic.name, name).set(lag)
        self.behind = behind
        ages = self._liveness.observe(progress, now_s)
        for tp, age_s in ages.items():
            metrics.COMMIT_AGE.labels(tp.topic, str(tp.partition)).set(age_s)
        self.reports = [
            PartitionReport(
                tp.topic, tp.partition, lags[tp], self._waiting.since(tp, stored, lags[tp], now_s), ages[tp], now_s
            )
            for tp, (stored, _) in progress.items()
        ]
        if stuck := self._liveness.stuck(ages):
            self.unhealthy = f"no progress on {', '.join(f'{tp.topic}[{tp.partition}]' for tp in stuck)}"
            raise RuntimeError(f"{self.unhealthy} for {self._settings.stuck_after_s:g} s: leaving for a restart")


def _merged(due: Sequence[Sweep]) -> list[tuple[Sweep, list[Sweep]]]:
    """Sweeps of one outcome as one stretch: what lies between them is due as well."""
    groups: dict[tuple[str, str, int, int], list[Sweep]] = {}
    for sweep in due:
        groups.setdefault((sweep.model, sweep.outcome, sweep.window_us, sweep.answered_from), []).append(sweep)
    return [
        (
            group[0]._replace(from_us=min(sweep.from_us for sweep in group), to_us=max(sweep.to_us for sweep in group)),
            group,
        )
        for group in groups.values()
    ]
