"""Every query of docs/sql.md runs on the tables as they are, and finds the rows it is about."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from loopwatch.infra.clickhouse import ClickHouse

DOCUMENT = Path(__file__).parents[2] / "docs" / "sql.md"
_QUERY = re.compile(r"^### (?P<title>.+?)$(?:(?!^#).)*?^```sql$(?P<sql>.+?)^```$", re.MULTILINE | re.DOTALL)
QUERIES = {found["title"]: found["sql"].strip() for found in _QUERY.finditer(DOCUMENT.read_text(encoding="utf-8"))}

# 90 flights over 90 days from 2013-03-01 on: by number, the 45 even ones are late and were called late, of the odd ones
# every sixth was too. The last six have no row yet, the six before expired, and the six before those were revised.
FILL = (
    """
    INSERT INTO predictions
        (prediction_id, model, version, ts, entity_id, prediction, prediction_value, score, segments, latency_ms,
         cost_usd, _topic, _topic_id, _partition, _offset, _ingested_at)
    SELECT
        format('p-{}', toString(number)), 'flights-late', if(number < 60, '2013-02', '2013-04'),
        toDateTime64('2013-03-01 12:00:00', 6, 'UTC') + INTERVAL number DAY, 'UA15',
        if(called_late, 'true', 'false'), called_late, if(called_late, 0.8, 0.2),
        map('carrier', if(number < 40, 'UA', 'AA')), 10 + number, 0.01,
        'loopwatch.predictions', 'life', 0, number, now64(3)
    FROM (SELECT number, number % 2 = 0 OR number % 6 = 1 AS called_late FROM numbers(90))
    """,
    """
    INSERT INTO feedback
        (model, outcome, prediction_id, status, label, label_value, action_id, n_actions, prediction, prediction_value,
         score, version, segments, prediction_ts, action_ts, delay_ms, revision, _ingested_at)
    SELECT
        model, 'arrival', prediction_id, if(came, 'matched', 'expired'), if(came, toString(minutes), NULL),
        if(came, minutes, NULL), if(came, 'a', NULL), came, prediction, prediction_value, score, version, segments, ts,
        if(came, ts + INTERVAL 3 HOUR, NULL), if(came, 10800000, NULL), 1, now64(3)
    FROM (SELECT *, if(_offset % 2 = 0, 40, -5) AS minutes, _offset < 72 AS came FROM predictions WHERE _offset < 84)
    """,
    """
    INSERT INTO feedback
        (model, outcome, prediction_id, status, label, label_value, action_id, n_actions, prediction, prediction_value,
         score, version, segments, prediction_ts, action_ts, delay_ms, revision, _ingested_at)
    SELECT
        model, outcome, prediction_id, 'revised', '40', 40, 'a', 1, prediction, prediction_value, score, version,
        segments, prediction_ts, prediction_ts + INTERVAL 100 HOUR, 360000000, 2, now64(3)
    FROM feedback WHERE status = 'expired' AND toUInt32(substring(prediction_id, 3)) < 78
    """,
    """
    INSERT INTO actions
        (prediction_id, action_id, name, ts, model, class, _topic, _topic_id, _partition, _offset, _ingested_at)
    SELECT format('gone-{}', toString(number)), 'a', 'arrival', now64(6), '', 'held',
        'loopwatch.actions', 'life', 0, number, now64(3)
    FROM numbers(5)
    """,
    """
    INSERT INTO action_status (prediction_id, action_id, model, class, rank, _ingested_at)
    SELECT prediction_id, action_id, '', 'orphan', 1, now64(3) FROM actions WHERE _offset < 2
    """,
    """
    INSERT INTO dead_letters (reason, detail, value, _topic, _topic_id, _partition, _offset, _ingested_at)
    SELECT 'schema', 'Expected `float` <= 1.0 - at `$.score`', '{}', 'loopwatch.predictions', 'life', 0, 90 + number,
        now64(3)
    FROM numbers(3)
    """,
    """
    INSERT INTO ledger
        (_topic, _topic_id, _partition, first_offset, last_offset, watermark, model, bucket, class, n, worker,
         _ingested_at)
    VALUES
        ('loopwatch.predictions', 'life', 0, 0, 92, '2013-06-01 00:00:00', '', 0, 'checkpoint', 0, 'w', now()),
        ('loopwatch.predictions', 'life', 0, 0, 92, '2013-06-01 00:00:00', '', '2013-06-01 00:00:00', 'invalid', 3, 'w',
            now()),
        ('loopwatch.predictions', 'life', 0, 0, 92, '2013-06-01 00:00:00', 'flights-late', '2013-03-01 12:00:00',
            'accepted', 90, 'w', now()),
        ('loopwatch.actions', 'life', 0, 0, 4, '2013-06-01 00:00:00', '', 0, 'checkpoint', 0, 'w', now())
    """,
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def flights(clickhouse: ClickHouse) -> ClickHouse:
    """A database with a few flights, actions, dead letters and ledger rows."""
    clickhouse.client.database = clickhouse.database
    for statement in FILL:
        clickhouse.command(statement)
    return clickhouse


def answer(clickhouse: ClickHouse, title_begins: str) -> list[Row]:
    (sql,) = [sql for title, sql in QUERIES.items() if title.startswith(title_begins)]
    result = clickhouse.client.query(sql)
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def column(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_there_are_ten_questions_and_two_to_the_ledger() -> None:
    assert len(QUERIES) == 12
    assert len(QUERIES) == DOCUMENT.read_text(encoding="utf-8").count("```sql\n")


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_runs_and_finds_rows(flights: ClickHouse, title: str) -> None:
    assert answer(flights, title)


def test_accuracy_counts_predictions_that_were_right(flights: ClickHouse) -> None:
    march = answer(flights, "1.")[0]
    # 31 days: of the 15 odd numbers, 1, 7, 13, 19 and 25 were called late and came early.
    assert (march["labelled"], march["accuracy"]) == (31, round(26 / 31, 3))


def test_auc_is_that_of_two_scores(flights: ClickHouse) -> None:
    assert column(answer(flights, "2."), "version") == ["2013-02", "2013-04"]
    assert 0.5 < answer(flights, "2.")[0]["auc"] < 1


def test_completeness_tells_labelled_expired_and_pending_days_apart(flights: ClickHouse) -> None:
    days = answer(flights, "4.")
    assert [sum(column(days, name)) for name in ("predictions", "labelled", "expired", "pending")] == [90, 78, 6, 6]
    assert (days[0]["completeness"], days[-1]["completeness"]) == (1.0, 0.0)


def test_a_revised_prediction_is_not_among_those_that_nothing_came_for(flights: ClickHouse) -> None:
    assert sorted(column(answer(flights, "5."), "prediction_id")) == [f"p-{number}" for number in range(78, 84)]


def test_an_orphan_does_not_count_as_held_any_more(flights: ClickHouse) -> None:
    assert {row["class"]: row["actions"] for row in answer(flights, "6.")} == {"held": 3, "orphan": 2}


def test_revisions_are_found_with_their_delay(flights: ClickHouse) -> None:
    days = answer(flights, "8.")
    assert (sum(column(days, "revised")), set(column(days, "p95_delay_hours"))) == (6, {100.0})


def test_workers_read_on_behind_the_last_offset(flights: ClickHouse) -> None:
    assert {row["topic"]: row["reads_on_at"] for row in answer(flights, "Where")} == {
        "loopwatch.actions": 5,
        "loopwatch.predictions": 93,
    }
