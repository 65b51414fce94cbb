"""Table `metrics`, kept up to date by ticks: the same rows in the end, however the input came."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.errors import FencedError
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.evaluate.estimates import estimates_of, known_until
from loopwatch.stream_processors.evaluate.kpis import kpis
from loopwatch.stream_processors.evaluate.quality import quality
from loopwatch.stream_processors.evaluate.slices import Slicing
from loopwatch.stream_processors.evaluate.windows import Windows
from loopwatch.stream_processors.live.evaluator import Evaluator
from loopwatch.stream_processors.live.news import Heard, News, find_news
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter
from msgspec.structs import replace

from tests.waiting import wait_until

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
N = 1500
PARTITIONS = 4
EVERYWHERE = range(PARTITIONS)
TOPIC = "evaluator.predictions"
Row = dict[str, Any]


def config_of(*models: str, **more: Any) -> LoopwatchConfig:
    outcome = {"window": "2d", "on_timeout": "negative", "label": "value", **more}
    kpis = {
        "acted": {"share": "answer"},
        "sure": {"share": "answer", "value": "1", "of": "answer"},
        "worth": {"sum": "answer"},
    }
    model = {"kind": "classification", "windows": ["6h", "2d/1d"], "outcomes": {"answer": outcome}, "kpis": kpis}
    return parse_config({"models": dict.fromkeys(models, model)})


def evaluator_of(
    clickhouse: ClickHouse,
    config: LoopwatchConfig,
    owner: str = "evaluator",
    slow_s: float = math.inf,
    unhurried: ClickHouse | None = None,
    on_written: Callable[[], None] = lambda: None,
) -> Evaluator:
    fence = Fence(clickhouse, TOPIC, owner)
    for partition in EVERYWHERE:
        fence.claim(partition)
    inserter = Inserter(clickhouse, fence, give_up_after_s=5, stop=Event())
    return Evaluator(
        clickhouse, config, inserter, partitions=PARTITIONS, overlap=timedelta(minutes=5), stop=Event(),
        unhurried=unhurried, on_written=on_written, slow_s=slow_s,
    )  # fmt: skip


def events_of(model: str, n: int = N) -> tuple[list[Row], list[Row]]:
    """Predictions, and the revisions of their feedback in the order in which they come."""
    rng = np.random.default_rng(11)
    predictions: list[Row] = []
    feedback: list[tuple[datetime, Row]] = []
    for index in range(n):
        score = float(rng.random())
        row = {
            "prediction_id": f"{model}-{index}", "model": model, "version": f"v{index % 2}",
            "prediction": "true" if score > 0.6 else "false", "prediction_value": float(score > 0.6), "score": score,
            "segments": [("country", str(rng.choice(["de", "fr", "it"])))], "variants": [("test", "ab"[index % 2])],
        }  # fmt: skip
        made = BEGIN + timedelta(seconds=float(rng.uniform(0, 3 * 86_400)))
        predictions.append({**row, "ts": made})
        delays = sorted(rng.exponential(80_000, int(rng.integers(0, 3))))
        revision = 0
        if not delays or delays[0] > 86_400:
            revision = 1
            feedback.append((made + timedelta(days=1), outcome_row(row, made, None, False, 1)))
        for number, delay in enumerate(delays, 1):
            acted = made + timedelta(seconds=float(delay))
            truth = bool(rng.random() < score)
            feedback.append((acted, outcome_row(row, made, acted, truth, 2 * number + revision)))
    return predictions, [row for _, row in sorted(feedback, key=lambda each: each[0])]


def outcome_row(row: Row, made: datetime, acted: datetime | None, truth: bool, revision: int) -> Row:
    status = "expired" if acted is None else "revised" if revision % 2 else "matched"
    return {
        **row, "outcome": "answer", "status": status, "label": str(truth).lower(), "label_value": float(truth),
        "prediction_ts": made, "action_ts": acted, "revision": revision, "n_actions": revision // 2,
    }  # fmt: skip


_TYPES = {
    "segments": pa.map_(pa.string(), pa.string()), "variants": pa.map_(pa.string(), pa.string()),
    "ts": pa.timestamp("us", "UTC"), "prediction_ts": pa.timestamp("us", "UTC"),
    "action_ts": pa.timestamp("us", "UTC"), "revision": pa.uint32(), "n_actions": pa.uint32(), "rank": pa.uint8(),
}  # fmt: skip


def store(clickhouse: ClickHouse, table: str, rows: Sequence[Row], at: datetime | None = None) -> None:
    if rows:
        stamped = pa.array([at or datetime.now(UTC)] * len(rows), pa.timestamp("ms", "UTC"))
        columns = {name: pa.array([row[name] for row in rows], _TYPES.get(name)) for name in rows[0]}
        clickhouse.client.insert_arrow(
            table, pa.table({**columns, "_ingested_at": stamped}), database=clickhouse.database
        )


def store_actions(clickhouse: ClickHouse, feedback: Sequence[Row]) -> None:
    acted = [row for row in feedback if row["action_ts"] is not None]
    store(
        clickhouse,
        "actions",
        [
            {
                "prediction_id": row["prediction_id"], "action_id": str(row["revision"]), "model": row["model"],
                "ts": row["action_ts"], "name": "answer", "class": "matched", "value": str(int(row["label_value"])),
                "value_num": row["label_value"],
            }
            for row in acted
        ],
    )  # fmt: skip


def rows_of(clickhouse: ClickHouse, model: str, table: str = "metrics_current") -> list[tuple[Any, ...]]:
    """What the table says of the model, but for its name, for when, and for a fingerprint of ids that hold its name."""
    return [
        tuple(row)
        for row in clickhouse.rows(
            f"SELECT * EXCEPT (model, _evaluated_at, _content) FROM {clickhouse.database}.{table} "
            f"WHERE model = '{model}' ORDER BY ALL"
        )
    ]


def in_one_go(clickhouse: ClickHouse, model: str) -> None:
    predictions, feedback = events_of(model)
    store(clickhouse, "predictions", predictions)
    store_actions(clickhouse, feedback)
    store(clickhouse, "feedback", feedback)
    evaluator_of(clickhouse, config_of(model)).tick(EVERYWHERE)


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


def test_each_minute_is_news_until_its_rows_are_known(clickhouse: ClickHouse) -> None:
    """Also rows that become visible minutes after they were stamped, and revisions of the same."""
    predictions, feedback = events_of("heard", 40)
    now = datetime.now(UTC)
    old = now - timedelta(minutes=4)
    heard = Heard()

    def news() -> News | None:
        found = find_news(clickhouse, now - timedelta(minutes=6), 3600, heard).get("heard")
        heard.keep()
        return found

    store(clickhouse, "predictions", predictions[:20], old)
    store(clickhouse, "feedback", feedback[:20], old)
    first = news()
    assert first is not None
    hours = {int(row["ts"].timestamp()) // 3600 * 3600 for row in predictions[:20]}
    assert (first.predictions, first.labels.keys()) == (hours, {"answer"})
    assert first.since == old.replace(second=0, microsecond=0)
    assert news() is None
    store(clickhouse, "predictions", predictions[20:21], now)
    fresh = news()
    assert fresh is not None
    assert fresh.since == now.replace(second=0, microsecond=0)
    assert fresh.predictions == {int(predictions[20]["ts"].timestamp()) // 3600 * 3600}
    store(clickhouse, "predictions", predictions[21:22], old)
    late = news()
    assert late is not None
    assert late.labels == {}
    assert int(predictions[21]["ts"].timestamp()) // 3600 * 3600 in late.predictions
    store(clickhouse, "feedback", [{**feedback[0], "revision": feedback[0]["revision"] + 2}], old)
    revised = news()
    assert revised is not None
    assert (revised.predictions, revised.labels.keys()) == (frozenset(), {"answer"})
    heard.forget()
    everything = news()
    assert everything is not None
    assert everything.predictions == first.predictions | fresh.predictions | late.predictions


def test_actions_are_news_once_it_is_known_what_they_answer(clickhouse: ClickHouse) -> None:
    """Whichever is visible last: the action, its prediction, or whose it is."""
    now = datetime.now(UTC)
    heard = Heard()
    predictions, _ = events_of("acted", 2)
    hour = int(BEGIN.timestamp())

    def news() -> News | None:
        found = find_news(clickhouse, now - timedelta(minutes=6), 3600, heard, ["acted"]).get("acted")
        heard.keep()
        return found

    for made, model in zip(predictions, ("acted", ""), strict=True):
        of_prediction = {"prediction_id": made["prediction_id"], "action_id": "first", "model": model}
        bucket = int(made["ts"].timestamp()) // 3600 * 3600
        store(clickhouse, "actions", [{**of_prediction, "class": "held", "name": "answer", "ts": BEGIN}], now)
        assert news() is None
        store(clickhouse, "predictions", [made], now)
        awaited = news()
        assert awaited is not None
        assert bucket in awaited.predictions
        if not model:
            store(
                clickhouse, "action_status", [{**of_prediction, "model": "acted", "class": "matched", "rank": 2}], now
            )
            awaited = news()
            assert awaited is not None
            assert awaited.predictions == frozenset()
        assert awaited.actions[0] >= {bucket}
        assert awaited.actions[1] == {hour}
        assert news() is None


def test_alerting_is_told_of_new_revisions_alone(clickhouse: ClickHouse) -> None:
    predictions, _ = events_of("told-of", 20)
    told: list[None] = []
    evaluator = evaluator_of(clickhouse, config_of("told-of"), on_written=lambda: told.append(None))
    evaluator.tick(EVERYWHERE)
    told.clear()
    evaluator.tick(EVERYWHERE)
    assert told == []
    store(clickhouse, "predictions", predictions)
    evaluator.tick(EVERYWHERE)
    assert told != []


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


def windows_of(clickhouse: ClickHouse, model: str, start: datetime, table: str) -> list[dict[str, float]]:
    """Metrics of the first six hours, by time of prediction, a dict a revision."""
    revisions: dict[Any, dict[str, float]] = {}
    for revision, content, metric, value in clickhouse.rows(
        f"SELECT revision, _content, metric, value FROM {clickhouse.database}.{table} "
        f"WHERE model = '{model}' AND outcome = 'answer' "
        "AND time_of = 'prediction' AND segment_key = '' AND window_seconds = 21600 "
        f"AND window_start = {int(start.timestamp())} ORDER BY _evaluated_at"
    ):
        revisions.setdefault((revision, content), {"revision": revision})[metric] = value
    return list(revisions.values())
