"""Actions wait for predictions of their time, and for nothing else."""

import time
from types import SimpleNamespace

from faust.types import TP
from loopwatch.stream_processors.alignment import Alignment
from loopwatch.stream_processors.engine.batches import RecordBatch


def batch(topic: str, *timestamps_ms: int) -> RecordBatch:
    records = [SimpleNamespace(offset=offset, timestamp=at_ms) for offset, at_ms in enumerate(timestamps_ms)]
    return RecordBatch(TP(topic, 0), records)


def test_actions_wait_until_the_predictions_have_come_as_far() -> None:
    alignment = Alignment()
    alignment.predictions_read(batch("predictions", 10, 20))
    early, late = batch("actions", 5, 20), batch("actions", 15, 21)
    assert not alignment.is_ahead(early)
    assert alignment.is_ahead(late)
    alignment.put_aside("event", late)
    assert alignment.take(everything=False) == []
    alignment.predictions_read(batch("predictions", 30))
    assert alignment.take(everything=False) == [("event", late)]
    assert not alignment


def test_the_order_of_a_partition_stays() -> None:
    alignment = Alignment()
    first, second = batch("actions", 30), batch("actions", 5)
    alignment.put_aside(1, first)
    alignment.put_aside(2, second)
    alignment.predictions_read(batch("predictions", 10))
    assert alignment.take(everything=False) == []
    assert alignment.take(everything=True) == [(1, first), (2, second)]


def test_a_clock_that_runs_ahead_waits_for_the_present_alone() -> None:
    alignment = Alignment()
    in_a_year_ms = int((time.time() + 31_536_000) * 1000)
    wild = batch("actions", in_a_year_ms)
    alignment.put_aside("event", wild)
    alignment.predictions_read(batch("predictions", int(time.time() * 1000) + 1))
    assert alignment.take(everything=False) == [("event", wild)]


def test_records_without_a_timestamp_do_not_wait() -> None:
    alignment = Alignment()
    alignment.predictions_read(batch("predictions", 10))
    assert not alignment.is_ahead(RecordBatch(TP("actions", 0), [SimpleNamespace(offset=0, timestamp=None)]))
