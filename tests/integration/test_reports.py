"""What workers say of themselves: a real one, until it is killed, and one that is held up."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from faust.types import TP
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.schemas.alerting import Ill, OfPipeline
from loopwatch.stream_processors.alerts.conditions.context import Context
from loopwatch.stream_processors.reports import PartitionReport, Waiting

from .alerted import found, rule
from .test_any_way import Stream, loop_of

TP0 = TP("reports.predictions", 0)


def test_a_real_worker_reports_on_each_partition_and_is_missed_when_it_is_killed(
    embedded_kafka: EmbeddedKafka, clickhouse_url: str, tmp_path: Path
) -> None:
    # One owner from beginning to end: it isn't taken for dead before it is killed.
    with loop_of(embedded_kafka, clickhouse_url, tmp_path, 2, session_timeout_s=30) as loop:
        loop.start(0)
        loop.send(Stream().in_time)
        loop.wait(lambda: loop.n_received == loop.sent)
        caught_up = "worker_reports FINAL WHERE lag = 0 AND waiting_s = 0 AND stuck_s = 0 AND failed_at IS NULL"
        loop.wait(lambda: loop.count(caught_up) == 4)
        assert {row[:2] for row in loop.rows("worker_reports FINAL", "_topic, partition")} == {
            (topic, partition) for topic in loop.settings.topics.inputs for partition in range(2)
        }
        (owner,) = {row[0] for row in loop.rows("worker_reports FINAL", "owner")}
        assert owner == loop.rows("fences FINAL WHERE partition = 0", "owner")[0][0]
        context = Context(None, topics=loop.settings.topics.inputs, partitions=2)
        rules = [rule(OfPipeline(ill), name=ill.value) for ill in Ill]
        now = datetime.now(UTC)
        assert found(loop.clickhouse, *rules, now=now, context=context) == []
        loop.kill(0)
        (one,) = found(loop.clickhouse, *rules, now=now + timedelta(minutes=3), context=context)
        assert one.rule == Ill.STUCK.value


def test_a_worker_that_is_held_up_says_so_though_it_sees_nothing_new() -> None:
    waits, rests = PartitionReport("t", 0, 7, 3.0, 2.0, 100.0), PartitionReport("t", 1, 0, 0.0, 0.0, 100.0)
    assert (waits.as_of(100.2).waiting_s, rests.as_of(100.2).stuck_s) == (3.200000000000003, 0.0)
    assert (waits.as_of(220.0).waiting_s, waits.as_of(220.0).stuck_s) == (123.0, 122.0)
    assert (rests.as_of(220.0).waiting_s, rests.as_of(220.0).stuck_s) == (0.0, 120.0)


def test_what_waits_is_as_old_as_its_first_record() -> None:
    waiting = Waiting()
    for second in range(3000):
        waits_s = waiting.since(TP0, 100, 1 + second, float(second))
    assert waits_s == 2999.0
    assert waiting.since(TP0, 1100, 4900, 3000.0) == 2000.0
    assert waiting.since(TP0, 6000, 0, 3001.0) == 0.0
