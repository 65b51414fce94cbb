"""Table `metrics`, kept up to date by ticks: the same rows in the end, however the input came."""

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import numpy as np
import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.evaluate.estimates import estimates_of, known_until
from loopwatch.stream_processors.evaluate.kpis import kpis
from loopwatch.stream_processors.evaluate.quality import quality
from loopwatch.stream_processors.evaluate.slices import Slicing
from loopwatch.stream_processors.evaluate.windows import Windows
from msgspec.structs import replace

from ..waiting import wait_until
from .evaluated import (
    BEGIN,
    EVERYWHERE,
    N,
    config_of,
    evaluator_of,
    events_of,
    in_one_go,
    rows_of,
    store,
    store_actions,
)


def piece_by_piece(clickhouse: ClickHouse, model: str) -> None:
    """In nine pieces, with a tick behind each, and every third by a new evaluator."""
    predictions, feedback = events_of(model)
    evaluator = evaluator_of(clickhouse, config_of(model))
    for number, piece in enumerate(np.array_split(np.arange(len(predictions)), 3)):
        store(clickhouse, "predictions", [predictions[index] for index in piece])
        evaluator.tick(EVERYWHERE)
        if number == 1:
            evaluator = evaluator_of(clickhouse, config_of(model), "another")
    for number, piece in enumerate(np.array_split(np.arange(len(feedback)), 6)):
        rows = [feedback[index] for index in piece]
        store_actions(clickhouse, rows)
        store(clickhouse, "feedback", rows)
        evaluator.tick(EVERYWHERE)
        if number % 3 == 2:
            evaluator = evaluator_of(clickhouse, config_of(model), f"yet another {number}")
    # Nothing came any more: what was put off for its age is done now.
    evaluator.tick(EVERYWHERE)


def by_turns(clickhouse: ClickHouse, model: str) -> None:
    """Two evaluators share the partitions, and change them while rows come, out of order and twice."""
    predictions, feedback = events_of(model)
    shuffled = np.random.default_rng(5).permutation(len(feedback))
    store(clickhouse, "predictions", predictions)
    evaluators = [evaluator_of(clickhouse, config_of(model), "same owner") for _ in range(2)]
    shares = [[0, 1], [2, 3]]
    for piece in np.array_split(shuffled, 4):
        rows = [feedback[index] for index in piece]
        store_actions(clickhouse, rows)
        store(clickhouse, "feedback", rows)
        store(clickhouse, "feedback", rows[: len(rows) // 2])
        shares.reverse()
        for evaluator, share in zip(evaluators, shares, strict=True):
            evaluator.tick(share)
    for evaluator, share in zip(evaluators, shares, strict=True):
        evaluator.tick(share)
        evaluator.tick(share)


def aside(clickhouse: ClickHouse, model: str) -> None:
    """All windows that were evaluated once are slow: later changes are read beside the ticks, while more come."""
    predictions, feedback = events_of(model)
    store(clickhouse, "predictions", predictions)
    evaluator = evaluator_of(clickhouse, config_of(model), slow_s=0.0)
    evaluator.tick(EVERYWHERE)
    for piece in np.array_split(np.arange(len(feedback)), 4):
        rows = [feedback[index] for index in piece]
        store_actions(clickhouse, rows)
        store(clickhouse, "feedback", rows)
        evaluator.tick(EVERYWHERE)

    def is_done() -> bool:
        evaluator.tick(EVERYWHERE)
        # Evaluators that don't know the other model look at it too, by the name of an outcome that it doesn't have.
        others = [row for row in rows_of(clickhouse, "one-go") if row[0] in ("answer", "")]
        return rows_of(clickhouse, model) == others

    wait_until(is_done, 120, "slow windows to be evaluated")


@pytest.fixture(scope="module")
def reference(clickhouse: ClickHouse) -> list[tuple[Any, ...]]:
    in_one_go(clickhouse, "one-go")
    return rows_of(clickhouse, "one-go")


@pytest.mark.parametrize("way", [piece_by_piece, by_turns, aside])
def test_the_same_input_gives_the_same_rows(
    clickhouse: ClickHouse, reference: list[tuple[Any, ...]], way: Callable[[ClickHouse, str], None]
) -> None:
    way(clickhouse, way.__name__)
    found = rows_of(clickhouse, way.__name__)
    assert len(found) > 2000
    assert found == reference


def test_the_table_says_what_the_rows_say(clickhouse: ClickHouse, reference: list[tuple[Any, ...]]) -> None:
    (outcome,) = config_of("one-go").models["one-go"].outcomes
    for text in ("6h", "2d/1d"):
        window = Window.parse(text)
        for time_of in TimeOf:
            expected = {
                (row.cell.start, row.cell.key, row.cell.value, name): (e.value, e.lower, e.upper, e.n, row.completeness)
                for row in quality(
                    clickhouse,
                    Windows("one-go", outcome, window, time_of, slicing=Slicing(every=True)),
                    config_of("one-go").models["one-go"].kind,
                )
                for name, e in row.metrics.items()
            }
            found = {
                (row[2].replace(tzinfo=UTC), *row[5:8]): (*row[8:12], row[13])
                for row in reference
                if row[:2] == ("answer", time_of) and row[3] == window.size_s and row[7] != "labelled"
            }
            assert len(found) > 100
            assert found == expected


def test_indicators_are_there_by_both_times(clickhouse: ClickHouse, reference: list[tuple[Any, ...]]) -> None:
    model = config_of("one-go").models["one-go"]
    for time_of, names in (
        (TimeOf.PREDICTION, {"kpi.acted", "kpi.sure", "kpi.worth"}),
        (TimeOf.LABEL, {"kpi.sure", "kpi.worth"}),
    ):
        windows = Windows("one-go", model.outcomes[0], Window.parse("6h"), time_of, slicing=Slicing(every=True))
        expected = {
            (*cell[:3], f"kpi.{name}"): (estimate.value, estimate.lower, estimate.upper, estimate.n)
            for cell, estimates in kpis(clickhouse, windows, model.kpis).items()
            for name, estimate in estimates.items()
        }
        found = {
            (row[2].replace(tzinfo=UTC), *row[5:8]): tuple(row[8:12])
            for row in reference
            if row[:2] == ("", time_of) and row[3] == 21_600 and row[7] != "indicators"
        }
        assert {name for *_, name in found} == names
        assert found == expected


def test_windows_whose_labels_are_out_have_estimates(clickhouse: ClickHouse) -> None:
    predictions, feedback = events_of("estimated", 4 * N)
    until = BEGIN + timedelta(days=2)
    store(clickhouse, "predictions", [row for row in predictions if row["ts"] < until])
    known = [row for row in feedback if (row["action_ts"] or row["prediction_ts"] + timedelta(days=1)) < until]
    store(clickhouse, "feedback", known)
    evaluator = evaluator_of(clickhouse, config_of("estimated"))
    evaluator.tick(EVERYWHERE)
    # Where there is no time for more, it is one series at a time.
    while evaluator.estimate():
        pass
    model = config_of("estimated").models["estimated"]
    as_of = known_until(clickhouse, "estimated")
    assert as_of is not None
    found = {
        (start.replace(tzinfo=UTC), *cell): tuple(estimate)
        for start, *cell, value, lower, upper, n in clickhouse.rows(
            "SELECT window_start, segment_key, segment, metric, value, lower, upper, n "
            f"FROM {clickhouse.database}.estimates_current WHERE model = 'estimated' AND window_seconds = 21600"
        )
        for estimate in [(value, lower, upper, n)]
    }
    assert {name for *_, name in found} >= {"final_share", "accuracy_estimated", "accuracy_realised", "accuracy_gap"}
    starts = sorted({start for start, *_ in found})
    windows = Windows(
        "estimated", model.outcomes[0], Window.parse("6h"), slicing=Slicing(every=True),
        starts=tuple(int(start.timestamp()) for start in starts), since=starts[0],
        until=starts[-1] + timedelta(hours=6),
    )  # fmt: skip
    assert found == {
        (*cell[:3], name): (each.value, each.lower, each.upper, each.n)
        for cell, of_cell in estimates_of(clickhouse, windows, model.kind, as_of).items()
        for name, each in of_cell.items()
    }
    # The last window is hardly answered yet: more will be.
    completeness = {
        row.cell.start: row.completeness for row in quality(clickhouse, replace(windows, slicing=Slicing()))
    }
    last = BEGIN + timedelta(hours=42)
    assert found[last, "", "", "final_share"][0] > (completeness[last] or 0)
