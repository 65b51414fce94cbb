"""Predictions and outcomes that evaluators look at, and what they wrote of them."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.live.evaluator import Evaluator
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter

from tests.databases import insert_rows

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
        insert_rows(clickhouse, table, pa.table({**columns, "_ingested_at": stamped}))


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


def in_one_go(clickhouse: ClickHouse, model: str) -> None:
    predictions, feedback = events_of(model)
    store(clickhouse, "predictions", predictions)
    store_actions(clickhouse, feedback)
    store(clickhouse, "feedback", feedback)
    evaluator_of(clickhouse, config_of(model)).tick(EVERYWHERE)
