"""What a worker does between Faust and the services: feeds partitions, flushes, looks up, and stops when it must.

Two things go on at once: batches are joined into the open flush, and the flushes before it are being written, one after
the other, by a thread. A batch is acknowledged when the flush that carries it is stored. State changes only under one
lock.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from faust.types import TP

from ..infra import metrics
from ..infra.kafka_admin import TopicInfo
from ..infra.logs import logger
from ..infra.settings import Settings
from ..schemas.errors import ServiceUnavailable
from .alignment import Alignment
from .engine.batches import RecordBatch
from .engine.transport import BatchConsumer
from .join.rules import Rules
from .join.state import Stored
from .join.sweeps import Sweep
from .liveness import Liveness, Progress
from .lookups import Lookups, NotYet
from .output import Flush
from .partition import Limits, PartitionProcessor, Recovered
from .records import SortedOut
from .recovery import Recovery
from .sink.fence import Fence
from .sink.writer import FlushWriter

log = logger(__name__)

T = TypeVar("T")
_SWEEP_IDS = 20_000
_INBOX_BATCHES = 16
_FLUSHES_AT_MOST = 2
_RETRY_PAUSE_S = 1.0
_TAKE_AHEAD_S = 10.0


class JoinWorker:
    """Runs the partitions that Kafka assigns to this process."""

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        topics: tuple[TopicInfo, TopicInfo],
        *,
        recovery: Recovery,
        lookups: Lookups,
        fence: Fence,
        writer: FlushWriter,
        topics_now: Callable[[], tuple[TopicInfo, TopicInfo]],
        on_fatal: Callable[[BaseException], None],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._topics = topics
        self._recovery = recovery
        self._lookups = lookups
        self._fence = fence
        self._writer = writer
        self._topics_now = topics_now
        self._on_fatal = on_fatal
        self._now_us = now_us
        self._limits = Limits(
            hot_bytes=max(1 << 20, settings.hot_state_bytes // topics[0].partitions),
            held_actions=settings.held_actions,
            known_ids=max(1 << 16, settings.known_ids // topics[0].partitions),
            max_event_bytes=settings.max_event_bytes,
            live_within_us=int(settings.live_within_s * 1e6),
            poison_window=settings.poison_window,
            poison_ratio=settings.poison_ratio,
        )
        self._lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="lookup")
        self._flush_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flush")
        self._partitions: dict[int, PartitionProcessor] = {}
        self._parked: dict[int, PartitionProcessor] = {}
        self._alignments: dict[int, Alignment] = {}
        self._taking: asyncio.Task[None] | None = None
        self._releases = 0
        self._inbox: list[Any] = []
        self._joining: asyncio.Task[None] | None = None
        self._consumer: BatchConsumer | None = None
        self._flush = Flush(1)
        self._writing: deque[asyncio.Task[None]] = deque()
        self._stored_flush = 0
        self._stored: dict[TP, int] = {}
        self._caught_up_since: dict[TP, float] = {}
        self._liveness = Liveness(settings.stuck_after_s)
        self._oldest_batch_s: float | None = None
        self.unhealthy: str | None = None

    @property
    def stored_offsets(self) -> dict[TP, int]:
        """Offset of the next record to store, for each partition that got on since it was taken."""
        return dict(self._stored)

    async def start_positions(self, assigned: set[TP]) -> dict[TP, int]:
        """Where to read on: behind what is stored.

        What ClickHouse doesn't know is read from its beginning, whatever was committed to Kafka: tables that were
        dropped fill again.
        """
        if await self._in_thread(self._topics_now) != self._topics:
            self._on_fatal(
                ServiceUnavailable(self._settings.kafka_bootstrap, "topics were made anew, or got partitions")
            )
        self._taking = asyncio.create_task(self._take_ahead({tp.partition for tp in assigned}, self._releases))
        # Faust has little patience here; what takes longer goes on while the first batches come.
        await asyncio.wait([self._taking], timeout=_TAKE_AHEAD_S)
        positions: dict[TP, int] = {}
        for topic in self._topics:
            partitions = sorted(tp.partition for tp in assigned if tp.topic == topic.name)
            if partitions:
                offsets = await self._in_thread(self._recovery.next_offsets, topic, partitions)
                positions |= {TP(topic.name, partition): offsets.get(partition, 0) for partition in partitions}
        return positions

    async def on_batch(self, event: Any) -> None:
        """Take a batch in, to be joined with whatever else waits by then; waits itself only while much does.

        Never raises: what can't be handled stops the process.
        """
        self._inbox.append(event)
        if self._joining is None or self._joining.done():
            self._joining = asyncio.create_task(self._join_inbox())
        if len(self._inbox) >= _INBOX_BATCHES:
            await self._joining

    async def tick(self, consumer: BatchConsumer) -> None:
        """To be called a few times in the linger: flush what is due, run sweeps, watch progress."""
        try:
            async with self._lock:
                self._consumer = consumer
                await self._take_partitions({tp.partition for tp in consumer.assignment()})
                # What was not given back to us is somebody else's now.
                self._parked.clear()
                self._hand_on_stored()
                for partition, alignment in self._alignments.items():
                    if alignment:
                        await self._join(self._aligned(self._partitions[partition], alignment))
                self._note_idle(consumer)
                await self._sweep()
                lingered = self._oldest_batch_s is not None and (
                    time.monotonic() - self._oldest_batch_s >= self._settings.flush_linger_s
                )
                if not self._writing and (lingered or self._oldest_batch_s is None):
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
            await self._written()
            self._hand_on_stored()
            self._drop_waiting()
            clean = self._flush.empty
            if clean:
                self._parked |= self._partitions
            else:
                self._parked = {}
                self._flush = Flush(self._flush.number + 1)
            self._oldest_batch_s = None
            log.info("partitions released", partitions=sorted(self._partitions), clean=clean)
            self._partitions, self._alignments = {}, {}
            self._stored, self._caught_up_since = {}, {}
            metrics.forget_partitions()

    async def drain(self) -> None:
        """Join and store everything that came: the end is near, or a rebalance goes on."""
        try:
            async with self._lock:
                while self._inbox:
                    await self._join([ready for event in self._next_round() for ready in await self._ready_with(event)])
                for alignment in self._alignments.values():
                    await self._join(alignment.take(everything=True))
                await self._seal()
                await self._written()
        except Exception as exc:
            self._on_fatal(exc)

    def _drop_waiting(self) -> None:
        """Forget batches that were not joined: acknowledged to Faust, which waits for that, but never committed."""
        waiting, self._inbox = self._inbox, []
        for alignment in self._alignments.values():
            waiting += [event for event, _ in alignment.take(everything=True)]
        for event in waiting:
            event.ack()

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._flush_thread.shutdown(wait=False, cancel_futures=True)
        self._writer.close()

    async def _join_inbox(self) -> None:
        try:
            while self._inbox:
                async with self._lock:
                    await self._join([ready for event in self._next_round() for ready in await self._ready_with(event)])
        except Exception as exc:
            self._on_fatal(exc)

    def _next_round(self) -> list[Any]:
        """Batches from the inbox, oldest first, of about one flush."""
        size = taken = 0
        while taken < len(self._inbox) and size < self._settings.flush_rows:
            size += len(self._inbox[taken].value.records)
            taken += 1
        events, self._inbox = self._inbox[:taken], self._inbox[taken:]
        return events

    async def _ready_with(self, event: Any) -> list[tuple[Any, RecordBatch]]:
        """What may be joined now that this batch has come: the batch, unless it runs ahead, and what waited for it."""
        batch: RecordBatch = event.value
        processor = await self._processor(batch.partition)
        alignment = self._alignments.setdefault(batch.partition, Alignment())
        if batch.topic == self._topics[0].name:
            alignment.predictions_read(batch)
            return [(event, batch), *self._aligned(processor, alignment)]
        if alignment or (self._predictions_left(processor) and alignment.is_ahead(batch)):
            alignment.put_aside(event, batch)
            self._hold_back(batch.tp)
            return self._aligned(processor, alignment)
        return [(event, batch)]

    def _aligned(self, processor: PartitionProcessor, alignment: Alignment) -> list[tuple[Any, RecordBatch]]:
        """Action batches that waited for predictions and need not any more."""
        ready = alignment.take(everything=not self._predictions_left(processor))
        if ready and not alignment and self._consumer is not None:
            self._consumer.on_buffer_drop(TP(self._topics[1].name, processor.partition))
        return ready

    async def _join(self, ready: Sequence[tuple[Any, RecordBatch]]) -> None:
        """Join batches in this order, with one look into ClickHouse for all of them."""
        # Only here may entries leave memory: from planning the lookup until the join they must stay.
        self._hand_on_stored()
        prepared: list[tuple[Any, RecordBatch, PartitionProcessor, SortedOut[Any]]] = []
        not_yet: dict[int, tuple[NotYet, NotYet]] = {}
        ids: dict[str, None] = {}
        for event, batch in ready:
            processor = self._partitions[batch.partition]
            not_yet.setdefault(batch.partition, self._not_yet(processor))
            if batch.after >= processor.next_offset(batch.topic):
                raise RuntimeError(
                    f"batches of {batch.topic}[{batch.partition}] before {batch.first_offset} were skipped"
                )
            sorted_out = processor.prepare(batch.topic, batch.records)
            ids |= dict.fromkeys(processor.unknown_to_memory(sorted_out))
            prepared.append((event, batch, processor, sorted_out))
        stored = await self._find(list(ids), list(not_yet.values())) if ids else {}
        for event, batch, processor, sorted_out in prepared:
            processor.apply(batch.topic, sorted_out, stored, self._flush, self._now_us())
            self._flush.batches.append((event, batch))
            if self._oldest_batch_s is None:
                self._oldest_batch_s = time.monotonic()
            metrics.BATCH_RECORDS.labels(batch.topic).observe(len(batch.records))
        # Not in between: a checkpoint covers all that was prepared.
        if len(self._flush) >= self._settings.flush_rows:
            await self._seal()

    def _predictions_left(self, processor: PartitionProcessor) -> bool:
        """Whether Kafka has predictions of the partition that were not read yet."""
        name = self._topics[0].name
        consumer = self._consumer
        return consumer is not None and consumer.lag(TP(name, processor.partition), processor.next_offset(name)) > 0

    def _hold_back(self, tp: TP) -> None:
        """Fetch no more of a topic partition until what was put aside is joined."""
        if self._consumer is not None:
            self._consumer.on_buffer_full(tp)

    async def _processor(self, partition: int) -> PartitionProcessor:
        if partition not in self._partitions:
            await self._take_partitions({partition})
        return self._partitions[partition]

    async def _take_ahead(self, partitions: set[int], releases: int) -> None:
        """Take partitions before their first batch is there, unless they were given back by then."""
        try:
            async with self._lock:
                if releases == self._releases:
                    await self._take_partitions(partitions)
        except Exception as exc:
            self._on_fatal(exc)

    async def _take_partitions(self, assigned: set[int]) -> None:
        new = sorted(assigned - self._partitions.keys())
        self._partitions |= zip(new, await asyncio.gather(*map(self._take, new)), strict=True)

    async def _take(self, partition: int) -> PartitionProcessor:
        """Claim a partition and rebuild its state, or go on with it where nobody else had it in between."""
        parked = self._parked.pop(partition, None)
        if parked is not None and await self._in_thread(self._fence.holds, partition):
            return parked
        began = time.monotonic()
        await self._in_thread(self._fence.claim, partition)
        processor, recovered = await self._in_thread(self._rebuild, partition)
        if recovered.unpublished_timeouts:
            ids = sorted({prediction_id for prediction_id, _ in recovered.unpublished_timeouts})
            stored = await self._find(ids, [self._not_yet(processor)])
            processor.join.repeat_timeouts(recovered.unpublished_timeouts, stored, self._flush.number)
        if recovered.unfinished:
            ids = sorted({prediction_id for left in recovered.unfinished for prediction_id in left.ids})
            processor.adopt(recovered.unfinished, await self._find(ids, [self._not_yet(processor)]), self._flush)
        log.info(
            "partition taken", partition=partition, predictions_from=recovered.predictions.next_offset,
            actions_from=recovered.actions.next_offset, known_ids=processor.join.known.count,
            held=processor.join.n_held, seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
        return processor

    def _rebuild(self, partition: int) -> tuple[PartitionProcessor, Recovered]:
        # In one piece: ids are read while the processor takes them, and a second try must begin anew.
        recovered = self._recovery.recover(partition)
        return PartitionProcessor(
            partition, self._topics[0].partitions, self._rules, self._limits, recovered
        ), recovered

    async def _find(self, ids: Sequence[str], not_yet: Sequence[tuple[NotYet, NotYet]]) -> dict[str, Stored]:
        metrics.LOOKUPS.inc(len(ids))
        with metrics.LOOKUP_SECONDS.time():
            return await self._in_thread(self._lookups.find, ids, not_yet)

    def _not_yet(self, processor: PartitionProcessor) -> tuple[NotYet, NotYet]:
        predictions, actions = (
            NotYet(topic.topic_id, processor.partition, processor.next_offset(topic.name)) for topic in self._topics
        )
        return predictions, actions

    async def _seal(self) -> None:
        """Settle the open flush and hand it to the writing thread, behind those before it."""
        await self._written(_FLUSHES_AT_MOST - 1)
        flush, now_us = self._flush, self._now_us()
        for processor in self._partitions.values():
            processor.settle(flush, now_us)
        if flush.empty:
            return
        self._flush = Flush(flush.number + 1)
        self._oldest_batch_s = None
        self._writing.append(asyncio.create_task(self._write(flush)))

    async def _write(self, flush: Flush) -> None:
        try:
            with metrics.FLUSH_SECONDS.time():
                await asyncio.get_running_loop().run_in_executor(self._flush_thread, self._writer.write, flush)
        except Exception as exc:
            self._on_fatal(exc)
            return
        finally:
            self._writing.popleft()
        self._stored_flush = flush.number
        for event, batch in flush.batches:
            batch.done = True
            event.ack()
        for mark in flush.checkpoints:
            self._stored[TP(mark.topic, mark.partition)] = mark.last_offset + 1
        for count, n in flush.output.counts.items():
            metrics.EVENTS.labels(self._topics[count.of_actions].name, count.event_class).inc(n)

    async def _written(self, left: int = 0) -> None:
        """Wait until at most so many flushes are left to write."""
        while len(self._writing) > left:
            await self._writing[0]

    def _hand_on_stored(self) -> None:
        for processor in self._partitions.values():
            processor.stored(self._stored_flush)

    async def _sweep(self) -> None:
        """Bring predictions back whose window ended while they were in ClickHouse alone: their timeout is due."""
        for processor in self._partitions.values():
            due = processor.join.sweeps.due(processor.join.watermark.us)
            for merged, sweeps in _merged(due):
                after = ""
                while ids := await self._in_thread(
                    self._lookups.waiting, merged, processor.partition, processor.partitions, after, _SWEEP_IDS
                ):
                    cold = [prediction_id for prediction_id in ids if prediction_id not in processor.join.hot.entries]
                    for prediction_id, stored in (await self._find(cold, [self._not_yet(processor)])).items():
                        if stored.prediction is not None:
                            processor.join.load(prediction_id, stored, self._flush.number)
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
        for processor in self._partitions.values():
            name = str(processor.partition)
            join = processor.join
            metrics.WATERMARK.labels(name).set(max(0.0, join.watermark.us / 1e6))
            metrics.HOT_BYTES.labels(name).set(join.hot.size_bytes)
            metrics.HOT_PREDICTIONS.labels(name).set(len(join.hot.entries))
            metrics.HELD_ACTIONS.labels(name).set(join.n_held)
            metrics.KNOWN_BYTES.labels(name).set(join.known.size_bytes)
            for topic in self._topics:
                tp = TP(topic.name, processor.partition)
                stored = self._stored.get(tp, processor.next_offset(topic.name))
                lag = consumer.lag(tp, stored)
                progress[tp] = Progress(stored, lag > 0)
                metrics.LAG.labels(topic.name, name).set(lag)
        ages = self._liveness.observe(progress, time.monotonic())
        for tp, age_s in ages.items():
            metrics.COMMIT_AGE.labels(tp.topic, str(tp.partition)).set(age_s)
        if stuck := self._liveness.stuck(ages):
            self.unhealthy = f"no progress on {', '.join(f'{tp.topic}[{tp.partition}]' for tp in stuck)}"
            raise RuntimeError(f"{self.unhealthy} for {self._settings.stuck_after_s:g} s: leaving for a restart")

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        """Run a call that blocks on a service; while the service is away, again, as long as the settings allow."""
        deadline = time.monotonic() + self._settings.stuck_after_s
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)
            except ServiceUnavailable as exc:
                if time.monotonic() > deadline:
                    raise
                log.warning("service away, trying again", error=str(exc)[:300])
            await asyncio.sleep(_RETRY_PAUSE_S)


def _merged(due: Sequence[Sweep]) -> list[tuple[Sweep, list[Sweep]]]:
    """Sweeps of one outcome as one stretch: what lies between them is due as well."""
    groups: dict[tuple[str, str, int], list[Sweep]] = {}
    for sweep in due:
        groups.setdefault((sweep.model, sweep.outcome, sweep.window_us), []).append(sweep)
    return [
        (Sweep(*key, min(s.from_us for s in group), max(s.to_us for s in group)), group)
        for key, group in groups.items()
    ]
