"""A partition from records to a flush: what is taken, counted and left out, also after a flush that did not end."""

import pytest
from loopwatch.schemas.errors import PoisonLimitExceeded
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.headers import FORWARDED, encode_origin
from loopwatch.schemas.ledger import ActionClass
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.former_lives import Unfinished
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import Stored
from loopwatch.stream_processors.output import Checkpoint, Flush
from loopwatch.stream_processors.partition import Limits, PartitionProcessor
from loopwatch.stream_processors.recovered import Recovered, StoredAction, TopicPosition

from ..simulation.events import action, prediction, record, us
from ..simulation.log import ACTIONS, PREDICTIONS, TOPIC_IDS, Record

NOW_US = us(10**9)


class Partition:
    """The only partition of its topics, with a flush open."""

    def __init__(self, limits: Limits | None = None, **recovered: object) -> None:
        state = Recovered(
            TopicPosition(PREDICTIONS, TOPIC_IDS[PREDICTIONS]), TopicPosition(ACTIONS, TOPIC_IDS[ACTIONS])
        )
        for name, value in recovered.items():
            setattr(state, name, value)
        self.processor = PartitionProcessor(0, 1, Rules(LoopwatchConfig()), limits or Limits(), state)
        self.flush = Flush(1)

    def reads(self, topic: str, *records: Record) -> "Partition":
        batch = self.processor.prepare(topic, records)
        self.processor.apply(topic, batch, {}, self.flush, NOW_US)
        return self

    def sends(self, *events: Prediction | Action, first: int = 0) -> "Partition":
        for offset, event in enumerate(events, start=first):
            topic = PREDICTIONS if isinstance(event, Prediction) else ACTIONS
            self.reads(topic, record(offset, event))
        return self

    def seals(self) -> Flush:
        self.processor.settle(self.flush, NOW_US)
        return self.flush

    def counted(self, event_class: str, *, of_actions: bool) -> int:
        counts = self.flush.output.counts.items()
        return sum(n for count, n in counts if (count.event_class, count.of_actions) == (event_class, of_actions))


def position(topic: str, **fields: object) -> TopicPosition:
    made = TopicPosition(topic, TOPIC_IDS[topic])
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_records_before_the_position_are_left_out() -> None:
    partition = Partition(predictions=position(PREDICTIONS, next_offset=2))
    partition.reads(PREDICTIONS, *(record(offset, prediction(str(offset))) for offset in range(4)))
    assert partition.flush.predictions.table()["_offset"].to_pylist() == [2, 3]
    assert partition.processor.next_offset(PREDICTIONS) == 4


def test_a_batch_that_was_read_already_changes_nothing() -> None:
    partition = Partition().sends(prediction("p"))
    partition.flush = Flush(2)
    partition.sends(prediction("p"))
    assert partition.seals().empty is False
    assert (len(partition.flush), partition.counted("received", of_actions=False)) == (0, 0)


def test_a_checkpoint_says_from_where_to_where() -> None:
    partition = Partition()
    partition.reads(PREDICTIONS, record(3, prediction("p", 7)), record(5, prediction("q", 4)))
    (mark,) = partition.seals().checkpoints
    assert (mark.topic, mark.first_offset, mark.last_offset, mark.max_ts_us) == (PREDICTIONS, 3, 5, us(7))
    assert not mark.of_actions


def test_a_topic_that_was_not_read_has_no_checkpoint() -> None:
    partition = Partition().sends(prediction("p"))
    partition.seals()
    partition.flush = Flush(2)
    assert partition.seals().checkpoints == []


def idle(partition: Partition, now_us: int) -> list[Checkpoint]:
    """Checkpoints of a flush at this time, when both topics have been read to their end."""
    for topic in (PREDICTIONS, ACTIONS):
        partition.processor.set_idle(topic, True)
    flush = Flush(2)
    partition.processor.settle(flush, now_us)
    return flush.checkpoints


def live() -> Partition:
    """One prediction, at offset 0, that came when it was made."""
    partition = Partition()
    batch = partition.processor.prepare(PREDICTIONS, [record(0, prediction("p", 0))])
    partition.processor.apply(PREDICTIONS, batch, {}, partition.flush, us(0))
    partition.processor.settle(partition.flush, us(0))
    return partition


def test_the_watermark_of_a_live_partition_that_is_idle_is_told_with_a_stretch_of_no_offsets() -> None:
    (mark,) = idle(live(), us(25))
    assert (mark.topic, mark.first_offset, mark.last_offset, mark.is_idle) == (PREDICTIONS, 1, 0, True)
    assert (mark.watermark_us, mark.live) == (us(15), True)


def test_an_idle_partition_tells_its_watermark_now_and_then() -> None:
    partition = live()
    told = [n for n in range(25, 125) if idle(partition, us(n))]
    assert told == [25, 55, 85, 115]


def test_a_partition_whose_watermark_stays_tells_nothing() -> None:
    partition = Partition().sends(prediction("p"))
    partition.seals()
    (mark,) = idle(partition, NOW_US)
    assert not mark.live
    assert idle(partition, 2 * NOW_US) == []
    assert idle(Partition(), NOW_US) == []


def test_a_watermark_that_the_ledger_has_is_not_told_again_after_a_restart() -> None:
    read = position(PREDICTIONS, next_offset=1, max_ts_us=us(0), live=True)
    assert idle(Partition(predictions=read, watermark_us=us(15)), us(25)) == []
    (mark,) = idle(Partition(predictions=read, watermark_us=us(15)), us(26))
    assert (mark.first_offset, mark.last_offset, mark.max_ts_us, mark.watermark_us) == (1, 0, us(0), us(16))


def test_a_batch_without_events_still_moves_the_checkpoint() -> None:
    (mark,) = Partition().reads(ACTIONS, record(0, b"{"), record(1, None)).seals().checkpoints
    assert (mark.topic, mark.last_offset, mark.of_actions) == (ACTIONS, 1, True)


def test_every_record_is_counted_once_as_received_and_once_by_class() -> None:
    partition = Partition().reads(PREDICTIONS, record(0, prediction("p")), record(1, prediction("p")), record(2, b"{"))
    assert partition.counted("received", of_actions=False) == 3
    assert [partition.counted(each, of_actions=False) for each in ("accepted", "duplicate", "invalid")] == [1, 1, 1]


def test_a_refused_record_is_a_dead_letter_once() -> None:
    partition = Partition(actions=position(ACTIONS, refused_until=0))
    partition.reads(ACTIONS, record(0, b"{"), record(1, b"["))
    assert [refused.record.offset for refused in partition.flush.refused] == [1]
    assert partition.counted("invalid", of_actions=True) == 2


def test_rows_of_a_flush_that_did_not_end_are_counted_and_not_stored_again() -> None:
    partition = Partition(predictions=position(PREDICTIONS, rows_until=1))
    partition.reads(PREDICTIONS, *(record(offset, prediction(str(offset))) for offset in range(3)))
    assert partition.flush.predictions.table()["_offset"].to_pylist() == [2]
    assert partition.counted("accepted", of_actions=False) == 3


def test_an_action_whose_stored_class_turned_out_otherwise_is_settled() -> None:
    held = {0: StoredAction(ActionClass.HELD, "")}
    partition = Partition(actions=position(ACTIONS, rows_until=0), unfinished_actions=held)
    partition.sends(prediction("p")).sends(action("p", "a", 5))
    assert partition.flush.output.actions == []
    assert [(row.action_id, row.action_class) for row in partition.flush.output.settled] == [("a", ActionClass.MATCHED)]


def test_an_action_whose_stored_class_still_holds_needs_no_row() -> None:
    matched = {0: StoredAction(ActionClass.MATCHED, "")}
    partition = Partition(actions=position(ACTIONS, rows_until=0), unfinished_actions=matched)
    partition.sends(prediction("p")).sends(action("p", "a", 5))
    assert (partition.flush.output.actions, partition.flush.output.settled) == ([], [])


def test_what_was_forwarded_is_noted_with_the_checkpoint() -> None:
    headers = ((FORWARDED, encode_origin(TOPIC_IDS[ACTIONS], 3, 41)),)
    (mark,) = Partition().reads(ACTIONS, record(0, action("p"), headers)).seals().checkpoints
    assert mark.origins == {3: 41}


def test_what_a_former_life_left_behind_is_finished() -> None:
    partition = Partition()
    left = Unfinished(PREDICTIONS, "life-0", False, 3, 9, ["p"], {("m", 7, "received"): 2, ("m", 7, "accepted"): 2})
    partition.processor.adopt([left], {"p": Stored()}, partition.flush)
    (mark,) = partition.flush.checkpoints
    assert (mark.topic_id, mark.first_offset, mark.last_offset, mark.counts) == ("life-0", 3, 9, left.counts)


def test_mostly_poison_stops_before_anything_of_the_batch_is_taken() -> None:
    partition = Partition(Limits(poison_window=4, poison_ratio=0.5))
    with pytest.raises(PoisonLimitExceeded, match="offset 0"):
        partition.reads(PREDICTIONS, *(record(offset, b"{") for offset in range(4)))
    assert partition.seals().empty


def test_a_little_poison_is_no_reason_to_stop() -> None:
    partition = Partition(Limits(poison_window=4, poison_ratio=0.5))
    for offset in range(0, 40, 2):
        partition.reads(PREDICTIONS, record(offset, b"{"), record(offset + 1, prediction(str(offset))))
    assert len(partition.flush.refused) == 20
