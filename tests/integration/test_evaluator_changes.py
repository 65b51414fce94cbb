"""Windows are evaluated anew: labels come late or move, a definition changes, partitions are lost."""

from datetime import datetime, timedelta

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.errors import FencedError
from loopwatch.schemas.outcomes import LoopwatchConfig

from .evaluated import (
    BEGIN,
    EVERYWHERE,
    config_of,
    evaluator_of,
    events_of,
    in_one_go,
    outcome_row,
    rows_of,
    store,
    store_actions,
    windows_of,
)


def test_a_late_action_restates_its_windows_and_the_old_value_stays(clickhouse: ClickHouse) -> None:
    in_one_go(clickhouse, "flipped")
    evaluator = evaluator_of(clickhouse, config_of("flipped"))
    evaluator.tick(EVERYWHERE)
    (before,) = windows_of(clickhouse, "flipped", BEGIN, "metrics_current")
    expired = [
        row
        for row in events_of("flipped")[1]
        if row["revision"] == 1 and row["prediction_ts"] < BEGIN + timedelta(hours=6)
    ]
    last = {row["prediction_id"]: row for row in events_of("flipped")[1]}
    victim = next(row for row in expired if last[row["prediction_id"]]["revision"] == 1)
    acted = victim["prediction_ts"] + timedelta(hours=47)
    flip = outcome_row(victim, victim["prediction_ts"], acted, True, 3)
    store_actions(clickhouse, [flip])
    store(clickhouse, "feedback", [{name: flip[name] for name in victim}])
    evaluator.tick(EVERYWHERE)
    evaluator.tick(EVERYWHERE)
    (after,) = windows_of(clickhouse, "flipped", BEGIN, "metrics_current")
    assert after["revision"] == before["revision"] + 2
    assert after["prevalence"] > before["prevalence"]
    assert windows_of(clickhouse, "flipped", BEGIN, "metrics") == [before, after]


def test_a_label_that_moves_leaves_its_old_window(clickhouse: ClickHouse) -> None:
    row = {**events_of("moved")[0][0]}
    made = row.pop("ts")
    store(clickhouse, "predictions", [{**row, "ts": made}])
    evaluator = evaluator_of(clickhouse, config_of("moved"))
    labels: list[list[tuple[datetime, float]]] = []
    for revision, hours in ((2, 1), (4, 30)):
        feedback = outcome_row(row, made, made + timedelta(hours=hours), True, revision)
        store_actions(clickhouse, [feedback])
        store(clickhouse, "feedback", [feedback])
        evaluator.tick(EVERYWHERE)
        # The old window is a day old by now: it is done when nothing else comes.
        evaluator.tick(EVERYWHERE)
        labels.append(
            [
                (start, value)
                for start, value in clickhouse.rows(
                    f"SELECT window_start, value FROM {clickhouse.database}.metrics_current "
                    "WHERE model = 'moved' AND outcome = 'answer' "
                    "AND time_of = 'label' AND window_seconds = 21600 AND metric = 'labelled' AND segment_key = '' "
                    "ORDER BY window_start"
                )
            ]
        )
    ((first, one),), [(again, none), (second, now)] = labels
    assert (again, one, none, now) == (first, 1.0, 0.0, 1.0)
    assert second > first


def test_a_changed_definition_restates_everything(clickhouse: ClickHouse) -> None:
    in_one_go(clickhouse, "redefined")
    changed = config_of("redefined", positive="false")
    evaluator_of(clickhouse, changed).tick(EVERYWHERE)
    (before, after) = windows_of(clickhouse, "redefined", BEGIN, "metrics")
    assert after["prevalence"] == pytest.approx(1 - before["prevalence"])
    assert windows_of(clickhouse, "redefined", BEGIN, "metrics_current") == [after]
    count = len(rows_of(clickhouse, "redefined", "metrics"))
    evaluator_of(clickhouse, changed).tick(EVERYWHERE)
    assert len(rows_of(clickhouse, "redefined", "metrics")) == count


def test_labels_that_leave_the_kind_open_stop_that_model_alone(clickhouse: ClickHouse) -> None:
    predictions, feedback = events_of("open", 60)
    store(clickhouse, "predictions", predictions)
    labelled = [{**row, "outcome": "default"} for row in feedback if row["action_ts"] is not None]
    store(clickhouse, "feedback", labelled[:-1])
    evaluator = evaluator_of(clickhouse, LoopwatchConfig())
    evaluator.tick(EVERYWHERE)
    before = len(rows_of(clickhouse, "open"))
    assert before > 0
    # A boolean was predicted, and the label is a number of minutes.
    store(clickhouse, "feedback", [{**labelled[-1], "label": "12", "label_value": 12.0, "revision": 99}])
    others, _ = events_of("beside", 60)
    store(clickhouse, "predictions", others)
    for _ in range(2):
        evaluator.tick(EVERYWHERE)
        evaluator.estimate()
    assert len(rows_of(clickhouse, "open")) == before
    assert rows_of(clickhouse, "beside")


def test_who_lost_its_partitions_writes_nothing(clickhouse: ClickHouse) -> None:
    predictions, feedback = events_of("fenced")
    store(clickhouse, "predictions", predictions)
    store(clickhouse, "feedback", feedback)
    stale = evaluator_of(clickhouse, config_of("fenced"), "stale")
    evaluator_of(clickhouse, config_of("fenced"), "fresh")
    with pytest.raises(FencedError):
        stale.tick(EVERYWHERE)
    assert rows_of(clickhouse, "fenced", "metrics") == []
