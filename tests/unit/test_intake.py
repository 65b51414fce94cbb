"""Rounds take what a flush has room for; a flush is full by its rows or by the bytes they came from."""

from types import SimpleNamespace

from faust.types import TP
from loopwatch.stream_processors.engine.batches import RecordBatch
from loopwatch.stream_processors.intake import Intake
from loopwatch.stream_processors.output import Flush


def batch(*values: bytes | None) -> RecordBatch:
    return RecordBatch(TP("predictions", 0), [SimpleNamespace(offset=n, value=value) for n, value in enumerate(values)])


def intake_of(*batches: RecordBatch) -> Intake:
    intake = Intake("predictions", "actions")
    for each in batches:
        intake.put(SimpleNamespace(value=each))
    return intake


def test_a_round_ends_with_the_batch_that_fills_the_room() -> None:
    first, second, third = batch(b"1", b"2"), batch(b"3", b"4"), batch(b"5")
    intake = intake_of(first, second, third)
    assert [event.value for event in intake.next_round(3)] == [first, second]
    assert [event.value for event in intake.next_round(3)] == [third]
    assert intake.next_round(3) == []


def test_a_round_takes_a_batch_even_where_there_is_no_room() -> None:
    intake = intake_of(batch(b"1", b"2"), batch(b"3"))
    assert len(intake.next_round(0)) == 1
    assert len(intake.next_round(-5)) == 1


def test_what_is_outdated_is_acknowledged_and_not_taken() -> None:
    before, after, last = batch(b"1"), batch(b"1"), batch(b"2")
    before.outdated = True
    acknowledged: list[RecordBatch] = []
    intake = Intake("predictions", "actions")
    for each in (before, after, last):
        intake.put(SimpleNamespace(value=each, ack=lambda each=each: acknowledged.append(each)))
    assert [event.value for event in intake.next_round(1)] == [after]
    assert acknowledged == [before]
    assert [event.value for event in intake.next_round(1)] == [last]


def test_a_flush_is_full_by_bytes_however_few_its_records() -> None:
    flush = Flush(1)
    flush.carry("event", batch(b"x" * 60, None))
    assert flush.size_bytes == 60
    assert not flush.reaches(rows=10, size_bytes=61)
    flush.carry("event", batch(b"x"))
    assert flush.reaches(rows=10, size_bytes=61)
    assert len(flush.batches) == 2
