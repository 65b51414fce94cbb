"""The commit position moves only over batches that are done from the front."""

from faust.types import TP
from loopwatch.stream_processors.engine.batches import RecordBatch
from loopwatch.stream_processors.engine.offsets import CommitWatermark

from ..simulation.log import Record

HERE, THERE = TP("t", 0), TP("t", 1)


def batch(first: int, last: int, tp: TP = HERE) -> RecordBatch:
    return RecordBatch(tp, [Record(offset, None, b"") for offset in range(first, last + 1)])


def fetched(*batches: RecordBatch) -> CommitWatermark:
    watermark = CommitWatermark()
    for tp in (HERE, THERE):
        watermark.begin(tp, 0)
    for each in batches:
        watermark.fetched(each)
    return watermark


def test_with_two_batches_in_flight_and_the_second_done_first_nothing_is_committed() -> None:
    first, second = batch(0, 9), batch(10, 19)
    watermark = fetched(first, second)
    second.done = True
    assert watermark.position(HERE) is None
    assert watermark.in_flight(HERE) == 2


def test_once_the_first_is_done_both_are_committed_at_once() -> None:
    first, second = batch(0, 9), batch(10, 19)
    watermark = fetched(first, second)
    second.done = first.done = True
    assert watermark.position(HERE) == 20
    assert watermark.position(HERE) is None


def test_offsets_that_nobody_was_handed_are_passed_with_their_batch() -> None:
    first, second = batch(0, 4), batch(7, 9)
    watermark = fetched(first, second)
    first.done = True
    assert watermark.position(HERE) == 5
    second.done = True
    assert watermark.position(HERE) == 10


def test_partitions_do_not_wait_for_each_other() -> None:
    here, there = batch(0, 9), batch(0, 4, THERE)
    watermark = fetched(here, there)
    there.done = True
    assert (watermark.position(HERE), watermark.position(THERE)) == (None, 5)
    assert watermark.partitions() == [HERE]


def test_batches_of_before_the_read_position_moved_say_nothing_any_more() -> None:
    before, after = batch(0, 9), batch(0, 4)
    watermark = fetched(before)
    watermark.begin(HERE, 3)
    watermark.fetched(after)
    before.done = True
    assert watermark.position(HERE) is None
    assert before.outdated
    assert not after.outdated
    assert after.after == 2


def test_what_is_not_read_is_not_noted() -> None:
    watermark = fetched()
    watermark.forget(HERE)
    assert not watermark.fetched(batch(0, 9))
    assert watermark.partitions() == []
    assert watermark.reading == {THERE}
