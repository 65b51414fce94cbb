"""Everything a worker does with one partition pair, without touching a service: batches in, output for the sink."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ..schemas.decode import DEFAULT_MAX_EVENT_BYTES, EventDecoder, action_decoder, prediction_decoder
from ..schemas.errors import PoisonLimitExceeded
from ..schemas.ledger import ActionClass, IgnoreReason, PredictionClass
from .former_lives import Unfinished
from .join.join import PartitionJoin
from .join.output import HOUR_US, Count, Output, SettledAction, by_model_and_hour
from .join.rules import Rules
from .join.state import Stored
from .join.sweeps import MINUTE_US
from .join.watermark import NEVER, TopicClock
from .output import Checkpoint, Flush, Forward, Refused
from .records import Origins, SortedOut, sort_out
from .recovered import Recovered, TopicPosition

RECEIVED = "received"
REPEATED = "repeated"
CONTROL = "control"

# The watermark of a partition that nothing comes for is stored at most so often: monitors and estimates wait for it.
_IDLE_EVERY_US = 30_000_000


class Limits(Struct, frozen=True):
    """Bounds of what a partition holds and takes. Durations are µs."""

    hot_bytes: int = 1 << 30
    held_actions: int = 500_000
    known_ids: int = 50_000_000
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    live_within_us: int = 86_400_000_000
    poison_window: int = 1000
    poison_ratio: float = 0.5


class _Input:
    """Progress through one input topic of the partition."""

    def __init__(self, position: TopicPosition, decoder: EventDecoder[Any], clock: TopicClock) -> None:
        self.position = position
        self.topic = position.topic
        self.topic_id = position.topic_id
        self.decoder = decoder
        self.clock = clock
        clock.max_ts_us, clock.live = position.max_ts_us, position.live
        self.next_offset = position.next_offset or 0
        self.origins = Origins(position.origins)
        self.flush_from: int | None = None


class PartitionProcessor:
    """Decodes, sorts out, joins and counts the records of one partition of both input topics. Not thread-safe."""

    def __init__(self, partition: int, partitions: int, rules: Rules, limits: Limits, recovered: Recovered) -> None:
        self.partition = partition
        self.partitions = partitions
        self.limits = limits
        self.join = join = PartitionJoin(
            partition,
            rules,
            hot_bytes=limits.hot_bytes,
            held_limit=limits.held_actions,
            known_limit=limits.known_ids,
        )
        join.watermark.us = recovered.watermark_us
        self.predictions = _Input(
            recovered.predictions, prediction_decoder(limits.max_event_bytes), join.watermark.predictions
        )
        self.actions = _Input(recovered.actions, action_decoder(limits.max_event_bytes), join.watermark.actions)
        self._inputs = {self.predictions.topic: self.predictions, self.actions.topic: self.actions}
        self._unfinished = dict(recovered.unfinished_actions)
        self._retired = frozenset(
            offset for offset, stored in self._unfinished.items() if stored.reason == IgnoreReason.AFTER_RETENTION
        )
        self._recent: deque[tuple[int, int]] = deque()
        self._told_us = recovered.watermark_us
        """The watermark that the ledger has."""
        self._idle_told_us = NEVER
        """When it was told last without records."""
        for ids in recovered.known_ids:
            join.known.add(ids)
        for prediction_id, acted in recovered.held.items():
            join.hold_stored(prediction_id, acted)
        for model, minute_us in recovered.pending_minutes:
            for rule in rules.of(model).outcomes:
                # What was due before stays as a former rule answered it; what comes due follows the present one.
                was_due = minute_us + 2 * MINUTE_US + rule.window_us < recovered.watermark_us
                answered_from = 0 if was_due else rule.revision(0, expired=True)
                join.sweeps.add(model, rule.name, rule.window_us, minute_us, answered_from)

    def next_offset(self, topic: str) -> int:
        """Offset of the next record to read."""
        return self._inputs[topic].next_offset

    @property
    def next_offsets(self) -> tuple[int, int]:
        """The same of predictions and of actions."""
        return self.predictions.next_offset, self.actions.next_offset

    def prepare(self, topic: str, records: Sequence[Any]) -> SortedOut[Any]:
        """Decode a batch and sort it out, leaving out what was processed before.

        Raises:
            PoisonLimitExceeded: most of the latest records are no events; nothing of this batch was taken.
        """
        source = self._inputs[topic]
        if records and records[0].offset < source.next_offset:
            records = [record for record in records if record.offset >= source.next_offset]
        batch = sort_out(source.decoder, records, self.partition, self.partitions, source.origins, source.topic_id)
        if records:
            self._check_for_poison(topic, records, len(batch.rejected))
            if source.flush_from is None:
                source.flush_from = records[0].offset
            source.next_offset = records[-1].offset + 1
        return batch

    def unknown_to_memory(self, batch: SortedOut[Any]) -> list[str]:
        """Ids of the batch to look up in ClickHouse before `apply`."""
        return self.join.unknown_to_memory(batch.ids)

    def apply(self, topic: str, batch: SortedOut[Any], stored: Mapping[str, Stored], flush: Flush, now_us: int) -> None:
        """Join a prepared batch, with what was found in ClickHouse, into the output of the flush."""
        source = self._inputs[topic]
        of_actions = source is self.actions
        clock = source.clock
        if batch.events:
            clock.observe(max(batch.ts_us), now_us, self.limits.live_within_us, replayed=batch.replayed)
        if batch.closed_us is not None:
            clock.close(batch.closed_us, now_us, self.limits.live_within_us)
        clock.idle = False
        out, stored_until = flush.output, source.position.rows_until
        # Rows of a flush that did not end are stored already, and must not be stored again.
        unfinished = bool(batch.events) and batch.offsets[0] <= stored_until
        joined = Output() if unfinished else out
        if of_actions:
            retired = self._retired if unfinished else frozenset()
            self.join.actions(batch.offsets, batch.ts_us, batch.events, stored, joined, flush.number, retired)
        else:
            if batch.events:
                self.join.last_prediction_offset = batch.offsets[-1]
            accepted = self.join.predictions(batch.offsets, batch.ts_us, batch.events, stored, joined, flush.number)
            if unfinished:
                accepted = accepted.after(stored_until)
            flush.predictions.add(self.partition, self.join.watermark.us, accepted)
        if unfinished:
            self._settle_unfinished(joined)
            out.extend(joined, after=stored_until)
        self._count(of_actions, batch, out, now_us)
        for record, rejected in batch.rejected:
            if record.offset > source.position.refused_until:
                flush.refused.append(Refused(topic, source.topic_id, self.partition, record, rejected))
        for misrouted in batch.misrouted:
            flush.forwards.append(Forward(topic, source.topic_id, self.partition, misrouted))

    def adopt(self, unfinished: Sequence[Unfinished], stored: Mapping[str, Stored], flush: Flush) -> None:
        """Finish what a former life of the topics left behind: its outcomes, and its ledger rows."""
        for prediction_id, found in stored.items():
            self.join.adopt(prediction_id, found, flush.output, flush.number)
        for left in unfinished:
            flush.checkpoints.append(
                Checkpoint(
                    left.topic,
                    left.topic_id,
                    self.partition,
                    left.of_actions,
                    left.first_offset,
                    left.last_offset,
                    NEVER,
                    NEVER,
                    False,
                    {},
                    left.counts,
                )
            )

    def settle(self, flush: Flush, now_us: int) -> None:
        """Before a flush: emit outcomes, handle timeouts, and note how far the partition has come.

        Where nothing was read the watermark goes on alone: it is told now and then, with a stretch of no offsets.
        """
        self.join.settle(now_us, flush.output, flush.number)
        marks = [self._checkpoint(source) for source in self._inputs.values() if source.flush_from is not None]
        if not marks and self.join.settled_us > self._told_us and now_us - self._idle_told_us >= _IDLE_EVERY_US:
            marks = [self._checkpoint(source) for source in self._inputs.values() if source.next_offset][:1]
            self._idle_told_us = now_us
        if marks:
            self._told_us = max(self._told_us, self.join.settled_us)
        flush.checkpoints += marks

    def stored(self, flush_number: int) -> None:
        """Everything up to this flush is stored."""
        self.join.stored(flush_number)

    def set_idle(self, topic: str, idle: bool) -> None:
        """Say whether everything in the topic has been read, for some seconds now."""
        self._inputs[topic].clock.idle = idle

    def _checkpoint(self, source: _Input) -> Checkpoint:
        """What was read since the last one; of nothing it begins behind its end."""
        mark = Checkpoint(
            source.topic,
            source.topic_id,
            self.partition,
            source is self.actions,
            source.next_offset if source.flush_from is None else source.flush_from,
            source.next_offset - 1,
            max(source.clock.max_ts_us, source.clock.closed_us + self.join.watermark.disorder_us),
            self.join.settled_us,
            source.clock.live,
            dict(source.origins.moved),
            None,
        )
        source.flush_from = None
        source.origins.moved.clear()
        return mark

    def _settle_unfinished(self, joined: Output) -> None:
        """Say of actions that are stored already what they are now, where that is something else."""
        for row in joined.actions:
            before = self._unfinished.get(row.offset)
            # What it is now holds, unless it waits: then its final class will be written when it is known.
            if (
                before is not None
                and row.action_class is not ActionClass.HELD
                and (row.action_class, row.reason or "") != before
            ):
                joined.settled.append(
                    SettledAction(
                        self.partition,
                        row.event.prediction_id,
                        row.event.action_id,
                        row.model,
                        row.action_class,
                        row.reason,
                    )
                )

    def _count(self, of_actions: bool, batch: SortedOut[Any], out: Output, now_us: int) -> None:
        partition, now_hour = self.partition, now_us // HOUR_US
        counts = out.counts
        if of_actions:
            hours = Counter([ts_us // HOUR_US for ts_us in batch.ts_us])
            for hour, n in hours.items():
                counts[Count(True, partition, "", hour, RECEIVED)] += n
        else:
            for (model, hour), n in by_model_and_hour(batch.events, batch.ts_us).items():
                counts[Count(False, partition, model, hour, RECEIVED)] += n
        invalid = ActionClass.INVALID if of_actions else PredictionClass.INVALID
        forwarded = ActionClass.FORWARDED if of_actions else PredictionClass.FORWARDED
        for event_class, n in (
            (RECEIVED, len(batch.rejected)),
            (invalid, len(batch.rejected)),
            (forwarded, len(batch.misrouted)),
            (REPEATED, batch.repeated),
            (CONTROL, batch.control),
        ):
            if n:
                counts[Count(of_actions, partition, "", now_hour, event_class)] += n

    def _check_for_poison(self, topic: str, records: Sequence[Any], n_rejected: int) -> None:
        recent, limits = self._recent, self.limits
        recent.append((len(records), n_rejected))
        total = sum(n for n, _ in recent)
        while total - recent[0][0] >= limits.poison_window:
            total -= recent.popleft()[0]
        rejected = sum(n for _, n in recent)
        if total >= limits.poison_window and rejected > limits.poison_ratio * total:
            raise PoisonLimitExceeded(
                f"{topic}[{self.partition}] near offset {records[0].offset}: {rejected} of the latest {total} records "
                f"are no valid events. Nothing is lost: the worker stops before offset {records[0].offset}. Look at "
                "dead_letters for the reasons and mend the producer; to read on all the same, raise "
                "LOOPWATCH_POISON_RATIO to 1"
            )
