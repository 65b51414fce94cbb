"""Every query of docs/sql.md runs on the tables as they are, and finds the rows it is about."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.config import load_config
from loopwatch.stream_processors.live.evaluator import Evaluator
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter

DOCUMENT = Path(__file__).parents[2] / "docs" / "sql.md"
CONFIG = Path(__file__).parents[2] / "examples" / "loopwatch.yaml"
_QUERY = re.compile(r"^### (?P<title>.+?)$(?:(?!^#).)*?^```sql$(?P<sql>.+?)^```$", re.MULTILINE | re.DOTALL)
QUERIES = {found["title"]: found["sql"].strip() for found in _QUERY.finditer(DOCUMENT.read_text(encoding="utf-8"))}

# 90 flights over 90 days from 2013-03-01 on: by number, the 45 even ones are late and were called late, of the odd ones
# every sixth was too. The last six have no row yet, the six before expired, and the six before those were revised.
FILL = (
    """
    INSERT INTO predictions
        (prediction_id, model, version, ts, entity_id, prediction, prediction_value, score, segments, features_num,
         features_cat, latency_ms, cost_usd, _topic, _topic_id, _partition, _offset, _ingested_at)
    SELECT
        format('p-{}', toString(number)), 'flights-late', if(number < 60, '2013-02', '2013-04'),
        toDateTime64('2013-03-01 12:00:00', 6, 'UTC') + INTERVAL number DAY, 'UA15',
        if(called_late, 'true', 'false'), called_late, if(called_late, 0.8, 0.2),
        map('carrier', if(number < 40, 'UA', 'AA')), map('distance_miles', if(number = 74, NULL, 1000)),
        if(number = 74, map(), map('carrier', 'UA')), 10 + number, 0.01,
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
    """
    INSERT INTO estimates
        (model, outcome, window_start, window_seconds, step_seconds, metric, value, lower, upper, n, as_of,
         _evaluated_at)
    SELECT 'flights-late', 'arrival', day, 86400, 86400, metric, value, value - 0.1, value + 0.1, 100,
        '2013-05-30 00:00:00', now64(6)
    FROM (SELECT arrayJoin([('final_share', 0.9), ('accuracy_estimated', 0.8), ('accuracy_realised', 0.6),
        ('accuracy_gap', -0.2)]) AS each, each.1 AS metric, each.2 AS value, toDateTime('2013-05-29 00:00:00') AS day)
    WHERE true
    UNION ALL SELECT 'flights-late', 'arrival', '2013-05-28 00:00:00', 86400, 86400, 'final_share', 0.95, 0.9, 1, 100,
        '2013-05-30 00:00:00', now64(6)
    """,
    """
    INSERT INTO signals
        (signal_id, model, kind, subject, detector, since, found_at, until, score, n, message, _detected_at)
    SELECT 's', 'flights-late', 'anomaly', 'volume', 'series_anomalies', '2013-05-01 00:00:00', '2013-05-01 01:00:00',
        toDateTime64('2013-05-01 01:00:00', 6, 'UTC') + INTERVAL number HOUR, 1, 60, 'volume is 0',
        now64(6) + INTERVAL number SECOND
    FROM numbers(2)
    """,
    """
    INSERT INTO drift
        (model, window_start, window_seconds, subject, is_feature, question, effect, threshold, drifted, reason,
         _evaluated_at)
    SELECT 'flights-late', toDateTime('2013-05-01 00:00:00', 'UTC') + INTERVAL number HOUR, 3600, subject, true,
        'values', 0.04 * number, 0.08, subject = 'distance_miles' AND number >= 2, 'drifted', now64(6)
    FROM (SELECT number, arrayJoin(['distance_miles', 'carrier']) AS subject FROM numbers(4))
    """,
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def flights(clickhouse: ClickHouse) -> ClickHouse:
    """A database with a few flights, actions, dead letters and ledger rows, evaluated before and after labels came."""
    clickhouse.client.database = clickhouse.database
    fence, stop = Fence(clickhouse, "loopwatch.predictions", "docs"), Event()
    fence.claim(0)
    inserter = Inserter(clickhouse, fence, give_up_after_s=5, stop=stop)
    evaluator = Evaluator(
        clickhouse, load_config(CONFIG), inserter, partitions=1, overlap=timedelta(minutes=5), stop=stop
    )
    for statement in FILL:
        clickhouse.command(statement)
        evaluator.tick([0])
    evaluator.tick([0])
    return clickhouse


def answer(clickhouse: ClickHouse, title_begins: str) -> list[Row]:
    (sql,) = [sql for title, sql in QUERIES.items() if title.startswith(title_begins)]
    result = clickhouse.client.query(sql)
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def column(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_there_are_ten_questions_and_five_about_the_loop() -> None:
    assert len(QUERIES) == 15
    assert len(QUERIES) == DOCUMENT.read_text(encoding="utf-8").count("```sql\n")


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_runs_and_finds_rows(flights: ClickHouse, title: str) -> None:
    assert answer(flights, title)


def test_quality_by_week_is_that_of_the_rows_with_its_completeness_and_revisions(flights: ClickHouse) -> None:
    weeks = answer(flights, "1.")
    # Called late though they came early: 1, 7, … 67. 75 and 77 came late after all and were not called so.
    assert [sum(column(weeks, name)) for name in ("made", "labelled")] == [90, 78]
    right = sum(week["accuracy"] * week["labelled"] for week in weeks if week["labelled"])
    assert right == pytest.approx(78 - 12 - 2, abs=0.01)
    assert (weeks[0]["settled"], weeks[-1]["settled"]) == (1.0, 0.0)
    # Each day was evaluated without labels, and 84 once more when all had come: old windows wait for that.
    assert sum(column(weeks, "revisions_of_days")) == 90 + 84


def test_the_worst_segment_comes_first_with_its_gap(flights: ClickHouse) -> None:
    found = {(row["segment_key"], row["segment"]): row for row in answer(flights, "2.")}
    assert found.keys() == {("carrier", "UA"), ("carrier", "AA"), ("version", "2013-02")}
    gaps = [row["gap"] + row["plus_minus"] for row in found.values()]
    assert gaps == sorted(gaps)
    # Of the 40 first, 1, 7, … 37.
    assert found["carrier", "UA"]["share_right"] == round(33 / 40, 3)


def test_auc_is_that_of_two_scores(flights: ClickHouse) -> None:
    assert column(answer(flights, "3."), "version") == ["2013-02", "2013-04"]
    assert 0.5 < answer(flights, "3.")[0]["auc"] < 1


def test_estimates_stand_beside_what_came_out_where_labels_have_come(flights: ClickHouse) -> None:
    last, before = answer(flights, "4.")
    assert [*last.values()][1:] == [0.9, 0.8, 0.6, -0.2, True]
    assert [*before.values()][1:] == [0.95, None, None, None, None]


def test_features_that_are_null_or_were_not_sent_are_told_apart_by_hour(flights: ClickHouse) -> None:
    rows = answer(flights, "6.")
    first = {row["name"]: (row["predictions"], row["null_rate"], row["not_sent"]) for row in rows[:2]}
    assert first == {"distance_miles": (1, 1.0, 0.0), "carrier": (1, 0.0, 1.0)}
    assert {(row["null_rate"], row["not_sent"]) for row in rows[2:]} == {(0.0, 0.0)}
    assert len(rows) == 14


def test_a_revised_prediction_is_not_among_those_that_nothing_came_for(flights: ClickHouse) -> None:
    assert sorted(column(answer(flights, "8."), "prediction_id")) == [f"p-{number}" for number in range(78, 84)]


def test_an_orphan_does_not_count_as_held_any_more(flights: ClickHouse) -> None:
    assert {row["class"]: row["actions"] for row in answer(flights, "10.")} == {"held": 3, "orphan": 2}


def test_revisions_are_found_with_their_delay(flights: ClickHouse) -> None:
    days = answer(flights, "7.")
    assert (sum(column(days, "revised")), set(column(days, "p95_delay_hours"))) == (6, {100.0})


def test_workers_read_on_behind_the_last_offset(flights: ClickHouse) -> None:
    assert {row["topic"]: row["reads_on_at"] for row in answer(flights, "Where")} == {
        "loopwatch.actions": 5,
        "loopwatch.predictions": 93,
    }


def test_a_signal_that_was_seen_again_is_one_row(flights: ClickHouse) -> None:
    assert column(answer(flights, "What the detectors"), "message") == ["volume is 0"]


def test_a_feature_that_drifted_is_told_with_its_windows(flights: ClickHouse) -> None:
    (found,) = answer(flights, "Features that drift")
    assert (found["subject"], found["windows_drifted"], found["windows"]) == ("distance_miles", 2, 4)
    assert found["times_what_matters"] == 1.5
