"""What ClickHouse and the feedback topic hold, and what `lookups.py` and `recovery.py` read out of it, in memory.

A flush is applied a part at a time, in an order that `sink/writer.py` may come to, so that a worker can die between any
two parts.
Each method says in Python what a query of ours says in SQL; the integration tests hold the two together.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

import msgspec
from loopwatch.schemas.ledger import ActionClass, IgnoreReason
from loopwatch.schemas.partitioner import partition_of
from loopwatch.stream_processors.former_lives import CLOCKS_APART_S
from loopwatch.stream_processors.join.epochs import Epochs, revision_of
from loopwatch.stream_processors.join.output import ActionRow, Count, OutcomeRow, SettledAction
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import Acted, Stored, StoredPrediction
from loopwatch.stream_processors.join.sweeps import MINUTE_US, Sweep
from loopwatch.stream_processors.join.watermark import NEVER
from loopwatch.stream_processors.lookups import scalar_of
from loopwatch.stream_processors.output import Checkpoint, Flush
from loopwatch.stream_processors.recompute.derive import Answer, Derived, Written, derive
from loopwatch.stream_processors.records import micros_of
from loopwatch.stream_processors.recovered import Recovered, StoredAction, TopicPosition

from .log import ACTIONS, PREDICTIONS, TOPIC_IDS, Log

FeedbackKey = tuple[str, str, str]
"""Model, outcome, prediction id."""


class FeedbackRow(NamedTuple):
    """A revision of an outcome, as table and topic have it."""

    revision: int
    status: str
    label: str | None
    label_value: float | None
    action_id: str | None
    n_actions: int


class PredictionRow(NamedTuple):
    """A row of table `predictions`."""

    stored: StoredPrediction
    partition: int
    offset: int


class StatusRow(NamedTuple):
    """A row of table `action_status`."""

    rank: int
    model: str
    action_class: str
    reason: str


class Block(NamedTuple):
    """What one flush wrote into the ledger for one topic partition."""

    mark: Checkpoint
    counts: dict[tuple[str, int, str], int]
    at_us: int


class Fenced(Exception):
    """A partition was claimed by somebody else."""


class Store:
    """Tables as lists and dicts, and the claims on partitions."""

    def __init__(self, log: Log, longest_window_us: int, tables_in_turn: Sequence[int] = (0,)) -> None:
        self.log = log
        self._tables_in_turn = cycle(tables_in_turn)
        self.longest_window_us = longest_window_us
        self.clock_us = 0
        self.owners: dict[int, str] = {}
        self.predictions: dict[str, list[PredictionRow]] = defaultdict(list)
        self.actions: dict[tuple[str, str], list[ActionRow]] = defaultdict(list)
        self.statuses: dict[tuple[str, str], list[StatusRow]] = defaultdict(list)
        self.feedback: dict[FeedbackKey, list[tuple[FeedbackRow, int | None]]] = defaultdict(list)
        """Rows in the order of insertion, with the instant of it where no event caused them."""
        self.published: dict[FeedbackKey, list[FeedbackRow]] = defaultdict(list)
        self.dead_letters: list[tuple[str, int, int]] = []
        self.ledger: list[Block] = []

    def parts(self, flush: Flush, owner: str) -> list[Callable[[], None]]:
        """The steps of writing a flush, each stored wholly or not at all.

        Raises (when called): Fenced, if another worker claimed one of the partitions whose rows it stores.
        """
        out = flush.output
        steps: list[tuple[set[int], Callable[[], None]]] = []
        # Written at the same time: any of them may be next.
        tables: list[list[tuple[set[int], Callable[[], None]]]] = [
            [
                (flush.predictions.partitions, lambda: self._insert_predictions(flush)),
                ({row.partition for row in out.outcomes}, lambda: self._insert_feedback(flush)),
            ],
            [
                ({row.partition for row in out.actions}, lambda: self._insert_actions(flush)),
                ({row.partition for row in out.settled}, lambda: self._insert_statuses(flush)),
            ],
            [({row.partition for row in flush.refused}, lambda: self._insert_dead_letters(flush))],
        ]
        while tables:
            table = tables[next(self._tables_in_turn) % len(tables)]
            steps.append(table.pop(0))
            if not table:
                tables.remove(table)
        steps += [
            (set(), lambda: self._publish_feedback(flush)),
            *((set[int](), lambda each=forward: self.log.forward(each)) for forward in flush.forwards),
            ({mark.partition for mark in flush.checkpoints}, lambda: self._insert_ledger(flush)),
        ]

        def guarded(partitions: set[int], step: Callable[[], None]) -> None:
            if any(self.owners.get(partition) != owner for partition in partitions):
                raise Fenced
            step()

        return [lambda p=partitions, s=step: guarded(p, s) for partitions, step in steps]

    def claim(self, partition: int, owner: str) -> None:
        """From here on nobody else's rows are taken for the partition."""
        self.owners[partition] = owner

    def merge(self) -> None:
        """Do what a merge of ReplacingMergeTree does: keep the row that holds."""
        for rows in self.feedback.values():
            rows[:] = [max(reversed(rows), key=lambda row: row[0].revision)]
        for key, rows in self.statuses.items():
            self.statuses[key] = [max(reversed(rows), key=lambda row: row.rank)]

    def feedback_now(self) -> dict[FeedbackKey, FeedbackRow]:
        """View `feedback_current`: of each key the highest revision, of equal ones the later, unless it is pending."""
        last = self.last_feedback()
        return {key: row for key, row in last.items() if row.status != "pending"}

    def last_feedback(self) -> dict[FeedbackKey, FeedbackRow]:
        """Table `feedback` with FINAL."""
        return {key: latest([row for row, _ in rows]) for key, rows in self.feedback.items() if rows}

    def class_now(self, row: ActionRow) -> tuple[str, str, str]:
        """Class, reason and model of an action in view `actions_current`."""
        statuses = self.statuses.get((row.event.prediction_id, row.event.action_id))
        if not statuses:
            return row.action_class, row.reason or "", row.model
        status = max(reversed(statuses), key=lambda status: status.rank)
        return status.action_class, status.reason, status.model

    # What lookups.py asks.

    def find(self, ids: Sequence[str], next_offsets: dict[int, tuple[int, int]], epochs: Epochs) -> dict[str, Stored]:
        """What is stored of each id, without predictions and actions of a partition from these offsets on."""
        found: dict[str, Stored] = {}
        for prediction_id in ids:
            for row in self.predictions.get(prediction_id, ()):
                if row.partition not in next_offsets or row.offset < next_offsets[row.partition][0]:
                    stored = found.setdefault(prediction_id, Stored(actions=[]))
                    expired, outdated = self._answers(prediction_id, row.stored.model, epochs)
                    stored.prediction = msgspec.structs.replace(row.stored, expired=expired, outdated=outdated)
        wanted = set(ids)
        for row in self._action_rows():
            visible = row.partition not in next_offsets or row.offset < next_offsets[row.partition][1]
            if row.event.prediction_id in wanted and visible:
                found.setdefault(row.event.prediction_id, Stored(actions=[])).actions.append(self._acted(row))
        return found

    def waiting(self, sweep: Sweep, partition: int, partitions: int, after: str, limit: int) -> list[str]:
        """Ids, in order and behind `after`, of the sweep's predictions that have no answer for its outcome."""
        answers = self.feedback_now()
        ids = {
            prediction_id
            for prediction_id, rows in self.predictions.items()
            for row in rows
            if row.stored.model == sweep.model
            and sweep.from_us <= row.stored.ts_us < sweep.to_us
            and partition_of(prediction_id, partitions) == partition
            and prediction_id > after
            and not (
                (answer := answers.get((sweep.model, sweep.outcome, prediction_id)))
                and answer.revision >= sweep.answered_from
            )
        }
        return sorted(ids)[:limit]

    # What recompute/ reads and writes.

    def written(self) -> Written:
        """What is written of every prediction and action."""
        return Written(
            {(key[2], key[1]): Answer(*row) for key, row in self.last_feedback().items()},
            {key: self.class_now(row)[:2] for key, rows in self.actions.items() for row in rows},
        )

    def settled_watermarks_us(self) -> list[int]:
        """Up to where the windows of each partition were closed."""
        known = {partition: self._watermark_us(partition) for partition in range(self.log.partitions)}
        least = min((each for each in known.values() if each != NEVER), default=NEVER)
        return [least if each == NEVER else each for each in known.values()]

    def derive(self, rules: Rules, portion: int = 1 << 30) -> Derived:
        """What recomputing has to write of the first predictions, as things are now."""
        ids = sorted(self.predictions)[:portion]
        return derive(rules, self.settled_watermarks_us(), self.find(ids, {}, rules.epochs), self.written())

    def write_derived(self, derived: Derived, parts: int = 1 << 30) -> None:
        """Do some of the parts of writing that."""
        self.clock_us += 1_000_000
        for part in [
            lambda: self._publish(derived.changed),
            lambda: self._insert_settled(derived.settled),
            lambda: self._insert_derived(derived.rows),
        ][:parts]:
            part()

    # What recovery.py reads.

    def next_offset(self, topic: str, partition: int) -> int | None:
        """Where to read on, or None where nothing is stored."""
        blocks = [block for block in self.ledger if (block.mark.topic, block.mark.partition) == (topic, partition)]
        return max((block.mark.last_offset for block in blocks), default=-2) + 1 if blocks else None

    def recover(self, partition: int, partitions: int) -> Recovered:
        """Everything that the processor of a partition starts from."""
        here = {row.event.prediction_id for row in self._action_rows()} | set(self.predictions)
        ours = {prediction_id for prediction_id in here if partition_of(prediction_id, partitions) == partition}
        next_action = self.next_offset(ACTIONS, partition) or 0
        held: dict[str, list[Acted]] = {}
        for key, rows in self.actions.items():
            for row in rows:
                read_again = row.partition == partition and row.offset >= next_action
                waits = row.action_class is ActionClass.HELD and not self.statuses.get(key)
                if waits and key[0] in ours and not read_again:
                    held.setdefault(key[0], []).append(self._acted(row))
        return Recovered(
            self._position(PREDICTIONS, partition),
            self._position(ACTIONS, partition),
            self._watermark_us(partition),
            {
                row.offset: StoredAction(*self.class_now(row)[:2])
                for row in self._action_rows()
                if row.partition == partition and row.offset >= next_action
            },
            [
                [prediction_id for prediction_id in self.predictions if prediction_id in ours],
                [
                    row.event.prediction_id
                    for row in self._action_rows()
                    if row.action_class is ActionClass.HELD and row.event.prediction_id in ours
                ],
            ],
            held,
            self._pending_minutes(ours),
            self._unpublished(partition, ours),
        )

    def _position(self, topic: str, partition: int) -> TopicPosition:
        position = TopicPosition(topic, TOPIC_IDS[topic], self.next_offset(topic, partition))
        blocks = [block.mark for block in self.ledger if (block.mark.topic, block.mark.partition) == (topic, partition)]
        if blocks:
            position.max_ts_us = max([0, *(mark.max_ts_us for mark in blocks)]) or NEVER
            position.live = max(blocks, key=lambda mark: mark.last_offset).live
        beyond = position.next_offset or 0
        if topic == PREDICTIONS:
            rows = [(row.partition, row.offset) for rows in self.predictions.values() for row in rows]
        else:
            rows = [(row.partition, row.offset) for row in self._action_rows()]
        position.rows_until = max((o for p, o in rows if p == partition and o >= beyond), default=-1)
        letters = [offset for of, p, offset in self.dead_letters if (of, p) == (topic, partition)]
        position.refused_until = max((offset for offset in letters if offset >= beyond), default=-1)
        position.origins = {}
        for mark in blocks:
            for origin, offset in mark.origins.items():
                position.origins[origin] = max(offset, position.origins.get(origin, -1))
        return position

    def _watermark_us(self, partition: int) -> int:
        marks = [block.mark.watermark_us for block in self.ledger if block.mark.partition == partition]
        return max([0, *marks]) or NEVER

    def _pending_minutes(self, ours: set[str]) -> list[tuple[str, int]]:
        settled: dict[int, int] = {}
        for block in self.ledger:
            partition = block.mark.partition
            settled[partition] = max(settled.get(partition, 0), block.mark.watermark_us, 0)
        since_us = max(0, min(settled.values(), default=0) - self.longest_window_us - 2 * MINUTE_US)
        return sorted(
            {
                (row.stored.model, row.stored.ts_us - row.stored.ts_us % MINUTE_US)
                for prediction_id in ours
                for row in self.predictions.get(prediction_id, ())
                if row.stored.ts_us >= since_us
            }
        )

    def _unpublished(self, partition: int, ours: set[str]) -> list[tuple[str, str, int]]:
        of_all = [block.at_us for block in self.ledger]
        of_here = [block.at_us for block in self.ledger if block.mark.partition == partition]
        since_us = max(of_here or of_all, default=0) - CLOCKS_APART_S * 1_000_000
        next_offset = self.next_offset(PREDICTIONS, partition) or 0
        to_be_read_again = {
            prediction_id
            for prediction_id, rows in self.predictions.items()
            if any(row.partition == partition and row.offset >= next_offset for row in rows)
        }
        return sorted(
            {
                (prediction_id, outcome, row.revision)
                for (_, outcome, prediction_id), rows in self.feedback.items()
                for row, at_us in rows
                if prediction_id in ours
                if at_us is not None and (at_us > since_us or prediction_id in to_be_read_again)
            }
        )

    def _answers(self, prediction_id: str, model: str, epochs: Epochs) -> tuple[frozenset[str], frozenset[str]]:
        """Outcomes of a prediction: those that ever had a provisional row, and those that a former rule answered."""
        expired: set[str] = set()
        outdated: set[str] = set()
        for (of_model, outcome, of), rows in self.feedback.items():
            if (of_model, of) == (model, prediction_id) and rows:
                last = latest([row for row, _ in rows])
                if last.revision < revision_of(epochs.of(model, outcome), 0, False):
                    outdated.add(outcome)
                elif last.status in ("expired", "revised"):
                    expired.add(outcome)
        return frozenset(expired), frozenset(outdated)

    def _action_rows(self) -> Iterator[ActionRow]:
        for rows in self.actions.values():
            yield from rows

    def _acted(self, row: ActionRow) -> Acted:
        event = row.event
        statuses = self.statuses.get((event.prediction_id, event.action_id), ())
        reasons = {row.reason or "", *(status.reason for status in statuses)}
        retired = IgnoreReason.AFTER_RETENTION in reasons
        return Acted(event.action_id, event.name, row.ts_us, event.value, row.offset, retired)

    # What writer.py stores.

    def _insert_predictions(self, flush: Flush) -> None:
        rows = flush.predictions
        for row in rows.table().to_pylist() if rows else ():
            stored = StoredPrediction(
                ts_us=micros_of(row["ts"]), accepted_us=micros_of(row["_watermark"]), model=row["model"],
                version=row["version"], prediction=scalar_of(row["prediction"], row["prediction_value"]),
                score=row["score"], segments=dict(row["segments"]) or None, variants=dict(row["variants"]) or None,
            )  # fmt: skip
            self.predictions[row["prediction_id"]].append(PredictionRow(stored, row["_partition"], row["_offset"]))

    def _insert_actions(self, flush: Flush) -> None:
        for row in flush.output.actions:
            self.actions[row.event.prediction_id, row.event.action_id].append(row)

    def _insert_statuses(self, flush: Flush) -> None:
        self._insert_settled(flush.output.settled)

    def _insert_settled(self, rows: Sequence[SettledAction]) -> None:
        for row in rows:
            rank = 1 if row.action_class is ActionClass.ORPHAN else 2
            status = StatusRow(rank, row.model, row.action_class, row.reason or "")
            self.statuses[row.prediction_id, row.action_id].append(status)

    def _insert_dead_letters(self, flush: Flush) -> None:
        self.dead_letters += [(row.topic, row.partition, row.record.offset) for row in flush.refused]

    def _insert_feedback(self, flush: Flush) -> None:
        for row in flush.output.outcomes:
            self.feedback[_key(row)].append((_row(row), None if row.from_action else self.clock_us))

    def _insert_derived(self, rows: Sequence[OutcomeRow]) -> None:
        for row in rows:
            self.feedback[_key(row)].append((_row(row), None))

    def _publish_feedback(self, flush: Flush) -> None:
        self._publish(flush.output.outcomes)

    def _publish(self, rows: Sequence[OutcomeRow]) -> None:
        for row in rows:
            self.published[_key(row)].append(_row(row))

    def _insert_ledger(self, flush: Flush) -> None:
        for mark in flush.checkpoints:
            counts = mark.counts or {
                (count.model, count.hour, str(count.event_class)): n
                for count, n in flush.output.counts.items()
                if _is_of(count, mark)
            }
            self.ledger.append(Block(mark, counts, self.clock_us))


def latest(rows: Sequence[FeedbackRow]) -> FeedbackRow:
    """The row that holds: the highest revision, of equal ones the later."""
    return max(reversed(rows), key=lambda row: row.revision)


def _is_of(count: Count, mark: Checkpoint) -> bool:
    return count.partition == mark.partition and count.of_actions == mark.of_actions


def _key(row: OutcomeRow) -> FeedbackKey:
    return (row.entry.rules.model, row.outcome, row.prediction_id)


def _row(row: OutcomeRow) -> FeedbackRow:
    return FeedbackRow(row.revision, str(row.status), row.label, row.label_value, row.action_id, row.n_actions)
