"""Windows that take long are evaluated aside, and their queries are patient."""

from collections.abc import Sequence
from typing import Any

from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings

from ..waiting import wait_until
from .evaluated import EVERYWHERE, config_of, evaluator_of, events_of, rows_of, store


def test_what_takes_long_is_asked_patiently(clickhouse: ClickHouse) -> None:
    class Asked(ClickHouse):
        queries = 0

        def rows(self, sql: str) -> Sequence[Sequence[Any]]:
            self.queries += 1
            return super().rows(sql)

    settings = Settings(clickhouse_url=clickhouse.address, clickhouse_database=clickhouse.database)
    unhurried = Asked(settings, patience=True)
    predictions, feedback = events_of("patient", 60)
    store(clickhouse, "predictions", predictions)
    evaluator = evaluator_of(clickhouse, config_of("patient"), slow_s=0.0, unhurried=unhurried)
    evaluator.tick(EVERYWHERE)
    assert unhurried.queries == 0
    store(clickhouse, "feedback", feedback)

    def is_asked() -> bool:
        evaluator.tick(EVERYWHERE)
        return unhurried.queries > 0 and evaluator._aside.is_free

    wait_until(is_asked, 120, "slow windows to be looked at")
    unhurried.close()


def test_patient_queries_come_after_those_with_haste(clickhouse: ClickHouse) -> None:
    settings = Settings(clickhouse_url=clickhouse.address, clickhouse_database=clickhouse.database)
    unhurried = ClickHouse(settings, patience=True)
    sql = "SELECT toInt64(getSetting('priority')) AS priority"
    (hasty,), (patient,) = clickhouse.rows(sql)[0], unhurried.rows(sql)[0]
    assert 0 < hasty < patient
    assert unhurried.arrow(sql).column("priority").to_pylist() == [patient]
    unhurried.close()


def test_what_was_evaluated_aside_of_a_model_that_is_lost_is_not_written(clickhouse: ClickHouse) -> None:
    predictions, feedback = events_of("given-away", 200)
    store(clickhouse, "predictions", predictions)
    evaluator = evaluator_of(clickhouse, config_of("given-away"), "lender", slow_s=0.0)
    evaluator.tick(EVERYWHERE)
    store(clickhouse, "feedback", feedback)

    def is_begun() -> bool:
        evaluator.tick(EVERYWHERE)
        return not evaluator._aside.is_free

    def is_over() -> bool:
        evaluator.tick([])
        return evaluator._aside.is_free

    wait_until(is_begun, 120, "slow windows to be looked at")
    before = rows_of(clickhouse, "given-away", "metrics")
    wait_until(is_over, 120, "that to end")
    assert rows_of(clickhouse, "given-away", "metrics") == before
    evaluator_of(clickhouse, config_of("given-away"), "next").tick(EVERYWHERE)
    assert len(rows_of(clickhouse, "given-away", "metrics")) > len(before)
