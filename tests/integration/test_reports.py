"""What workers say of themselves: of a real one, of one that is held up, and of one that ClickHouse refuses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from faust.types import TP
from loopwatch.infra import metrics
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.settings import Settings
from loopwatch.schemas.alerting import Ill, OfPipeline
from loopwatch.stream_processors.alerts.conditions.context import Context
from loopwatch.stream_processors.backlog import Backlog
from loopwatch.stream_processors.reports import Observed, Reporter

from .alerted import found, rule
from .test_any_way import Stream, loop_of

TP0 = TP("reports.predictions", 0)


def test_a_real_worker_reports_on_each_partition_and_is_missed_when_it_is_killed(
    embedded_kafka: EmbeddedKafka, clickhouse_url: str, tmp_path: Path
) -> None:
    with loop_of(embedded_kafka, clickhouse_url, tmp_path, 2) as loop:
        loop.start(0)
        loop.send(Stream().in_time)
        loop.wait(lambda: loop.n_received == loop.sent)
        caught_up = "worker_reports FINAL WHERE lag = 0 AND waits_s = 0 AND behind_s = 0 AND errors = 0"
        loop.wait(lambda: loop.count(caught_up) == 4)
        assert {row[:2] for row in loop.rows("worker_reports FINAL", "_topic, partition")} == {
            (topic, partition) for topic in loop.settings.topics.inputs for partition in range(2)
        }
        (owner,) = {row[0] for row in loop.rows("worker_reports FINAL", "owner")}
        assert owner == loop.rows("fences FINAL", "owner")[0][0]
        context = Context(None, topics=loop.settings.topics.inputs, partitions=2)
        rules = [rule(OfPipeline(ill), name=ill.value) for ill in Ill]
        now = datetime.now(UTC)
        assert found(loop.clickhouse, *rules, now=now, context=context) == []
        loop.kill(0)
        (one,) = found(loop.clickhouse, *rules, now=now + timedelta(minutes=3), context=context)
        assert one.rule == Ill.STUCK.value


def test_a_worker_that_is_held_up_says_so_though_it_sees_nothing_new(clickhouse: ClickHouse) -> None:
    now, clock = [datetime(2026, 3, 2, tzinfo=UTC)], [100.0]
    seen = {TP0: Observed(7, 3.0, 2.0, 100.0), TP("reports.predictions", 1): Observed(0, 0.0, 0.0, 100.0)}
    reporter = Reporter(clickhouse, "w:1:a", lambda: seen, lambda: now[0], lambda: clock[0])

    def columns() -> list[tuple[float, float, int]]:
        return [
            tuple(row)
            for row in clickhouse.rows(
                f"SELECT waits_s, behind_s, errors FROM {clickhouse.database}.worker_reports FINAL "
                "WHERE _topic = 'reports.predictions' ORDER BY partition"
            )
        ]

    before = int(metrics.REGISTRY.get_sample_value("loopwatch_evaluation_errors_total") or 0)
    before += int(metrics.REGISTRY.get_sample_value("loopwatch_monitor_errors_total") or 0)
    assert reporter.report() == 2
    assert columns() == [(3.0, 2.0, before), (0.0, 0.0, before)]
    now[0], clock[0] = now[0] + timedelta(minutes=2), 220.0
    metrics.EVALUATION_ERRORS.inc()
    reporter.report()
    assert columns() == [(123.0, 122.0, before + 1), (0.0, 120.0, before + 1)]
    ((failed,),) = clickhouse.rows(
        f"SELECT DISTINCT failed_at FROM {clickhouse.database}.worker_reports FINAL WHERE _topic = '{TP0.topic}'"
    )
    assert failed.replace(tzinfo=UTC) == now[0]


def test_reports_that_fail_are_counted_and_stop_nobody(clickhouse: ClickHouse) -> None:
    settings = Settings(clickhouse_url=clickhouse.address, clickhouse_database="no_such_database")
    before = metrics.REGISTRY.get_sample_value("loopwatch_report_errors_total") or 0
    assert Reporter(ClickHouse(settings), "w", lambda: {TP0: Observed(0, 0.0, 0.0, 0.0)}).report() == 0
    assert metrics.REGISTRY.get_sample_value("loopwatch_report_errors_total") == before + 1
    assert Reporter(ClickHouse(settings), "w", dict).report() == 0


def test_a_backlog_is_as_old_as_its_first_record_and_bounded() -> None:
    backlog = Backlog()
    for second in range(5000):
        waits = backlog.observe({TP0: (100, 101 + second)}, float(second))
    assert waits[TP0] == 4999.0
    assert 3980 <= backlog.observe({TP0: (1100, 6000)}, 5000.0)[TP0] <= 4000
    assert backlog.observe({}, 5001.0) == {}
    assert backlog.observe({TP0: (1100, 6000)}, 5002.0)[TP0] == 0.0
