"""What rules find in the ledger, in dead letters, delays, costs and queries; and all of them together."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.schemas.alerting import (
    Bound,
    OfBudget,
    OfDeadLetters,
    OfLabelDelay,
    OfLedger,
    OfMetric,
    OfQuery,
)
from loopwatch.schemas.alerts import Category
from loopwatch.schemas.comparison import Comparison
from loopwatch.schemas.default_alerting import DEFAULT_RULES
from loopwatch.schemas.errors import ServiceUnavailable
from loopwatch.schemas.ledger import LedgerReport
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.alerts.conditions import query
from loopwatch.stream_processors.alerts.conditions.context import Context
from loopwatch.stream_processors.alerts.conditions.evaluate import evaluate
from loopwatch.stream_processors.alerts.conditions.operations import LedgerWatch

from .alerted import DAY, HOUR, MINUTE, NOW, arrivals, ask, found, labels, rule, store, window


def counted(topic: str, received: int, dead: int, at: datetime = NOW - MINUTE) -> list[dict[str, Any]]:
    head = {"_topic": topic, "_topic_id": "life", "model": "", "bucket": at, "_ingested_at": at}
    return [{**head, "class": "received", "n": received}, {**head, "class": "invalid", "n": dead}]


def letters(topic: str, n: int, at: datetime = NOW - MINUTE) -> list[dict[str, Any]]:
    return [
        {
            "reason": "schema" if number else "not_json", "detail": "`ts` is missing", "_topic": topic,
            "_partition": 1, "_offset": number, "_ingested_at": at,
        }
        for number in range(n)
    ]  # fmt: skip


def test_a_share_that_cannot_be_read_is_found_with_what_is_wrong(clickhouse: ClickHouse) -> None:
    for table in ("ledger", "dead_letters"):
        clickhouse.command(f"TRUNCATE TABLE {clickhouse.database}.{table}")
    store(clickhouse, "ledger", counted("dead.predictions", 1000, 30))
    store(clickhouse, "dead_letters", letters("dead.predictions", 30))
    store(clickhouse, "ledger", counted("few.predictions", 100, 9))
    store(clickhouse, "ledger", counted("rare.predictions", 100_000, 30))
    store(clickhouse, "ledger", counted("past.predictions", 1000, 500, NOW - HOUR))
    (one,) = found(clickhouse, rule(OfDeadLetters()))
    assert one.labels["subject"] == "dead.predictions"
    assert one.details.message == (
        f"3.0% of the records on dead.predictions can't be read since {NOW - MINUTE:%Y-%m-%d %H:%M} UTC, more than "
        "1.0%: 30 of 1,000 in the last 15 minutes, most of them schema (`ts` is missing)"
    )
    assert one.details.examples[0].startswith("dead.predictions[1] offset ")


def test_a_broken_producer_is_told_by_its_model_where_that_is_known(clickhouse: ClickHouse) -> None:
    """Letters name the model they are of; a name that no prediction ever had makes no alert."""
    for table in ("ledger", "dead_letters", "arrivals"):
        clickhouse.command(f"TRUNCATE TABLE {clickhouse.database}.{table}")
    topic, at = "broken.predictions", NOW - MINUTE
    head = {"_topic": topic, "_topic_id": "life", "bucket": at, "_ingested_at": at}
    taken = [{**head, "model": model, "class": "accepted", "n": n} for model, n in (("shop", 60), ("sound", 5000))]
    store(clickhouse, "ledger", [*counted(topic, 5200, 140), *taken])
    shapes = ['{"model":"shop","ts":"***"}'] * 40 + ['{"model":"never seen"}'] * 30 + ['{"model":"sound"}'] * 30
    # One that was cut.
    shapes += ["*** (18 bytes)"] * 39 + ['{"model":"shop","features":{"a":"**']
    store(
        clickhouse, "dead_letters",
        [{**letter, "value": shape} for letter, shape in zip(letters(topic, 140), shapes, strict=True)],
    )  # fmt: skip
    store(
        clickhouse, "arrivals",
        [
            {"kind": "predictions", "model": model, "outcome": "", "minute": NOW - HOUR, "n": 1}
            for model in ("shop", "sound")
        ],
    )  # fmt: skip
    by_model = {each.labels.get("model", ""): each for each in found(clickhouse, rule(OfDeadLetters()))}
    assert by_model.keys() == {"shop", ""}
    assert by_model["shop"].details.message.startswith(
        "40.0% of the records of shop on broken.predictions can't be read"
    )
    assert by_model["shop"].details.n == 40
    assert by_model[""].details.message.startswith("1.9% of the records on broken.predictions can't be read")
    assert by_model[""].details.n == 100
    (alone,) = found(clickhouse, rule(OfDeadLetters(), "shop"))
    assert alone.labels["model"] == "shop"


def test_a_ledger_that_does_not_balance_is_found(clickhouse: ClickHouse) -> None:
    for table in ("ledger", "dead_letters", "predictions", "actions", "feedback"):
        clickhouse.command(f"TRUNCATE TABLE {clickhouse.database}.{table}")
    assert found(clickhouse, rule(OfLedger())) == []
    store(clickhouse, "ledger", counted("lost.predictions", 20, 3))
    (one,) = found(clickhouse, rule(OfLedger()))
    assert one.labels["category"] == "pipeline"
    assert "invalid 3, but table dead_letters has 0" in one.details.message
    clickhouse.command(f"TRUNCATE TABLE {clickhouse.database}.ledger")


def test_the_ledger_is_read_rarely_and_nobody_waits_for_it() -> None:
    asked: list[int] = []

    def read() -> LedgerReport:
        asked.append(1)
        if len(asked) == 2:
            raise ServiceUnavailable("clickhouse")
        return LedgerReport.from_counts({}, {}, further=(), notes=())

    watch = LedgerWatch(read, in_background=False)
    for second in range(0, 60, 2):
        assert watch.report(NOW + timedelta(seconds=second)) is not None
    assert len(asked) == 1
    with pytest.raises(ServiceUnavailable):
        watch.report(NOW + MINUTE)
    assert watch.report(NOW + 2 * MINUTE) is not None
    assert len(asked) == 3


def test_labels_that_come_later_than_they_did_are_found(clickhouse: ClickHouse) -> None:
    before = [NOW - DAY - n * 10 * MINUTE for n in range(500)]
    of_late = [NOW - n * MINUTE for n in range(1, 200)]
    for model, delay in (("slow", 5 * HOUR), ("same", 1.5 * HOUR)):
        labels(clickhouse, model, before, HOUR)
        labels(clickhouse, model, of_late, delay)
    labels(clickhouse, "quick", before, timedelta(seconds=1))
    labels(clickhouse, "quick", of_late, timedelta(seconds=20))
    labels(clickhouse, "new", of_late, 5 * HOUR)
    delays = rule(OfLabelDelay(), "slow", "same", "quick", "new")
    (one,) = found(clickhouse, delays)
    assert (one.labels["model"], one.labels["outcome"]) == ("slow", "click")
    assert one.details.value == pytest.approx(5 * 3600, rel=0.1)
    assert one.details.expected == pytest.approx(3600, rel=0.1)
    assert one.details.message.startswith("10% of the labels of slow (click) that came since")
    above = rule(OfLabelDelay(above=4 * HOUR), "slow", "same", "quick", "new")
    assert {each.labels["model"] for each in found(clickhouse, above)} == {"slow", "new"}


def test_a_budget_that_burns_in_the_long_run_and_still_is_found(clickhouse: ClickHouse) -> None:
    minutes = [NOW - n * MINUTE for n in range(1, 61)]
    arrivals(clickhouse, "dear", minutes, cost=1.0)
    arrivals(clickhouse, "was-dear", minutes[10:], cost=1.2)
    arrivals(clickhouse, "cheap", minutes, cost=0.5)
    arrivals(clickhouse, "peak", minutes[:5], cost=2.0)
    arrivals(clickhouse, "old", minutes, cost=9.0, late=3 * DAY)
    # 30 dollars an hour are within it, twice that are not.
    condition = OfBudget(usd=30 * 24, per=DAY, burn=1.5)
    (one,) = found(clickhouse, rule(condition, "dear", "was-dear", "cheap", "peak", "old"))
    assert (one.labels["model"], one.labels["category"]) == ("dear", "cost")
    assert one.details.message == (
        "dear cost 60 USD an hour in the last 1 hour and 60 in the last 5 minutes, 2.0 times the 30 that its budget of "
        "720 USD in 1 day allows"
    )


ROWS = "SELECT 'a' AS model, 'x' AS label, 3 AS value, now() AS at UNION ALL SELECT 'b', 'y', 7, now()"


def test_rows_of_a_query_are_findings(clickhouse: ClickHouse) -> None:
    bound = Bound(Comparison.MORE, 5)
    asked = rule(OfQuery(ROWS, bound, Category.COST), name="Sevens")
    (one,) = found(clickhouse, asked)
    assert one.labels == {
        "alertname": "Sevens", "category": "cost", "severity": "warning", "model": "b", "label": "y"
    }  # fmt: skip
    assert (one.details.value, one.details.threshold) == (7.0, 5)
    assert one.details.message == "Sevens of model b, label y is 7, above 5"
    assert len(found(clickhouse, rule(OfQuery(ROWS)))) == 2
    assert [each.labels["model"] for each in found(clickhouse, rule(OfQuery(ROWS), "a"))] == ["a"]
    said = "SELECT 'rule' AS rule, 'info' AS severity, 'It is so' AS message, 1 AS value, NULL AS nothing"
    (one,) = found(clickhouse, rule(OfQuery(said)))
    assert (one.details.message, one.labels["severity"], one.labels["rule"]) == ("It is so", "warning", "rule")
    assert found(clickhouse, rule(OfQuery("SELECT NULL AS value UNION ALL SELECT nan"))) == []


def test_a_query_reads_our_tables_and_knows_the_instant(clickhouse: ClickHouse) -> None:
    store(clickhouse, "metrics", window("asked", NOW - HOUR, 0.25))
    text = (
        "SELECT model, value FROM metrics_current WHERE metric = 'accuracy' AND model = 'asked' "
        "AND window_start < {now:DateTime64(6)};"
    )
    assert [each.details.value for each in found(clickhouse, rule(OfQuery(text)))] == [0.25]
    assert found(clickhouse, rule(OfQuery(text)), now=NOW - 2 * HOUR) == []


def test_no_more_findings_than_fit(clickhouse: ClickHouse) -> None:
    asked = rule(OfQuery("SELECT toString(number) AS n, 1 AS value FROM numbers(100000)"))
    assert len(found(clickhouse, asked)) == 1000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT value FROM no_such_table", "no_such_table"),
        ("SELECT 1 AS other", "no column `value`"),
        ("SELECT 'much' AS value", "no number"),
        ("SELECT count() AS value FROM numbers(1e15)", "TIMEOUT_EXCEEDED"),
        ("SELECT length(groupArray(repeat('x', 1000000))) AS value FROM numbers(1e6)", "MEMORY_LIMIT_EXCEEDED"),
        ("INSERT INTO predictions (model) VALUES ('x')", "begins with SELECT"),
        ("SELECT 1 AS value FROM url('http://127.0.0.1:1', TSV, 'a String')", "url() is not allowed"),
        ("SELECT 1 AS value; DROP TABLE predictions", "Multi-statements"),
        ("", "begins with SELECT"),
    ],
)
def test_a_query_that_fails_leaves_its_rule_unknown_and_the_others_alone(
    clickhouse: ClickHouse, text: str, why: str
) -> None:
    store(clickhouse, "metrics", window("beside", NOW - HOUR, 0.25))
    broken = rule(OfQuery(text), name="broken")
    good = [
        rule(OfQuery("SELECT 1 AS value"), name="good"),
        rule(OfMetric("accuracy", Bound(Comparison.LESS, 0.6)), "beside", name="metric"),
    ]
    evaluation = ask(clickhouse, broken, *good)
    assert evaluation.evaluated == {"good", "metric"}
    assert {each.rule for each in evaluation.findings} == {"good", "metric"}
    assert evaluation.errors.keys() == {"broken"}
    assert why in evaluation.errors["broken"]
    assert "\n" not in evaluation.errors["broken"]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("SELECT model, count() AS value FROM predictions GROUP BY model", []),
        ("WITH {now:DateTime64(6)} AS at SELECT avg(score) AS value FROM predictions WHERE ts < at", []),
        ("SELECT modle, count() AS value FROM predictions GROUP BY modle", ["modle"]),
        ("SELECT model FROM predictions", ["no column `value`"]),
        ("SELECT model AS value FROM predictions", ["is no number: LowCardinality(String)"]),
        ("SELECT 'x' AS alertname, 1 AS value", ["`alertname` can't be a label"]),
        ("DROP TABLE predictions", ["begins with SELECT"]),
    ],
)
def test_a_query_is_checked_without_running_it(clickhouse: ClickHouse, text: str, problems: list[str]) -> None:
    said = query.check(clickhouse, OfQuery(text), NOW)
    assert len(said) == len(problems)
    assert all(part in each for part, each in zip(problems, said, strict=True))


def test_a_clickhouse_that_is_away_is_no_fault_of_a_rule(clickhouse: ClickHouse) -> None:
    away = ClickHouse(Settings(clickhouse_url="http://127.0.0.1:1"))
    for condition in (OfMetric("accuracy", Bound(Comparison.LESS, 0.6)), OfDeadLetters(), OfLedger()):
        with pytest.raises(ServiceUnavailable):
            ask(away, rule(condition))


def test_the_rules_of_every_configuration_can_be_asked(clickhouse: ClickHouse) -> None:
    settings = Settings(clickhouse_url=clickhouse.address, clickhouse_database=clickhouse.database)
    config = LoopwatchConfig()
    context = Context(config, topics=settings.topics.inputs)
    evaluation = evaluate(clickhouse, config.alerting.rules, context, NOW)
    assert evaluation.errors == {}
    assert evaluation.evaluated == {each.name for each in DEFAULT_RULES}
