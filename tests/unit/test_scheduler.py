"""The scheduler hands batch topics on a fetch at a time, and leaves the others as they are."""

from faust.types import TP
from loopwatch.stream_processors.engine.batches import RecordBatch
from loopwatch.stream_processors.engine.scheduler import BatchScheduler

from ..simulation.log import Record

BATCHED, PLAIN = TP("events", 0), TP("other", 0)


def records(*offsets: int) -> list[Record]:
    return [Record(offset, None, b"x", (), 1000 + offset) for offset in offsets]


def scheduler() -> BatchScheduler:
    return BatchScheduler.for_topics(frozenset({"events"}))()


def test_a_fetch_of_a_batch_topic_is_one_record() -> None:
    ((tp, batch),) = list(scheduler().iterate({BATCHED: records(5, 6, 9)}))
    assert isinstance(batch, RecordBatch)
    assert (tp, batch.first_offset, batch.offset, batch.timestamp, batch.done) == (BATCHED, 5, 9, 1009, False)
    assert batch.value is batch


def test_each_partition_is_a_batch_of_its_own() -> None:
    fetched = {TP("events", partition): records(0, 1) for partition in range(3)}
    assert [tp.partition for tp, _ in scheduler().iterate(fetched)] == [0, 1, 2]


def test_a_fetch_without_records_is_no_batch() -> None:
    assert list(scheduler().iterate({BATCHED: []})) == []


def test_other_topics_go_record_by_record() -> None:
    came = list(scheduler().iterate({PLAIN: records(1, 2), BATCHED: records(5)}))
    assert [(tp, each.offset) for tp, each in came] == [(BATCHED, 5), (PLAIN, 1), (PLAIN, 2)]


def test_a_scheduler_made_for_some_topics_leaves_the_class_alone() -> None:
    BatchScheduler.for_topics(frozenset({"events"}))
    assert BatchScheduler.batch_topics == frozenset()
