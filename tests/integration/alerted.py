"""Rows that conditions of rules go by, as workers write them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pyarrow as pa
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.alerting import Condition, Rule
from loopwatch.schemas.alerts import Finding
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.alerts.conditions.context import Context
from loopwatch.stream_processors.alerts.conditions.evaluate import Evaluation, evaluate
from loopwatch.stream_processors.monitor.signals import store_signals
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter

from tests.databases import insert_rows

NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
TOPICS = ("alerted.actions", "alerted.predictions")
_US, _MS = pa.timestamp("us", "UTC"), pa.timestamp("ms", "UTC")
_TYPES = {
    "ts": _US, "prediction_ts": _US, "action_ts": _US, "as_of": _US, "_evaluated_at": _US, "_written_at": _US,
    "_ingested_at": _MS, "failed_at": _MS, "reported_at": _MS, "window_start": pa.timestamp("s", "UTC"),
    "bucket": pa.timestamp("s", "UTC"), "lower": pa.float64(), "upper": pa.float64(), "completeness": pa.float64(),
    "cost_usd": pa.float64(), "_partition": pa.uint32(), "_offset": pa.uint64(),
}  # fmt: skip


def store(clickhouse: ClickHouse, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Rows with the same columns."""
    listed = list(rows)
    columns = {name: pa.array([row[name] for row in listed], _TYPES.get(name)) for name in listed[0]}
    insert_rows(clickhouse, table, pa.table(columns))


def window(
    model: str, start: datetime, value: float, *, metric: str = "accuracy", hours: int = 1, n: int = 500,
    half: float | None = 0.02, completeness: float | None = 0.95, time_of: str = "prediction",
    segment: tuple[str, str] = ("", ""), evaluated: datetime = NOW, outcome: str = "click",
) -> list[dict[str, Any]]:  # fmt: skip
    """A revision of a window of table `metrics`, with one metric and the one that all have."""
    head = {
        "model": model, "outcome": outcome, "time_of": time_of, "window_start": start, "window_seconds": hours * 3600,
        "step_seconds": hours * 3600, "completeness": completeness, "_evaluated_at": evaluated,
        "revision": int((evaluated - NOW).total_seconds()) + 10_000,
    }  # fmt: skip
    whole = {**head, "segment_key": "", "segment": "", "metric": "labelled" if outcome else "indicators"}
    one = {**head, "segment_key": segment[0], "segment": segment[1], "metric": metric}
    bounds = (None, None) if half is None else (value - half, value + half)
    return [
        {**whole, "value": float(n), "lower": None, "upper": None, "n": n},
        {**one, "value": value, "lower": bounds[0], "upper": bounds[1], "n": n},
    ]


def arrivals(
    clickhouse: ClickHouse, model: str, at: Sequence[datetime], *, late: timedelta = timedelta(), cost: float = 0.0
) -> None:
    """A prediction at each of these instants, by the clock of the worker; made so much earlier."""
    store(
        clickhouse,
        "predictions",
        (
            {
                "prediction_id": f"{model}-{n}-{each}", "model": model, "ts": each - late, "cost_usd": cost,
                "_ingested_at": each,
            }
            for n, each in enumerate(at)
        ),
    )  # fmt: skip


def labels(
    clickhouse: ClickHouse, model: str, at: Sequence[datetime], delay: timedelta, *, late: timedelta = timedelta()
) -> None:
    """Labels that came at these instants, each so long after its prediction; `late` by the clock of the worker."""
    store(
        clickhouse,
        "feedback",
        (
            {
                "model": model, "outcome": "click", "prediction_id": f"{n}-{each}", "status": "matched",
                "label": "true", "prediction_ts": each - delay - late, "action_ts": each - late,
                "delay_ms": delay / timedelta(milliseconds=1), "_topic": TOPICS[0], "_ingested_at": each,
            }
            for n, each in enumerate(at)
        ),
    )  # fmt: skip


def signals(clickhouse: ClickHouse, *found: Signal, now: datetime = NOW) -> None:
    """Rows of table `signals`."""
    inserter = Inserter(clickhouse, Fence(clickhouse, "", "alerted"), give_up_after_s=5, stop=Event())
    store_signals(inserter, found, set(), now)


def watched(clickhouse: ClickHouse, model: str, until: datetime) -> None:
    """Detectors of the model have come so far."""
    clickhouse.command(
        f"INSERT INTO {clickhouse.database}.monitors (model, monitor, reached_us, _written_at) VALUES "
        f"('{model}', 'drift/1h', {int(until.timestamp() * 1e6)}, now64(6))"
    )


def rule(condition: Condition, *models: str, name: str = "rule", **more: Any) -> Rule:
    """A rule."""
    return Rule(name=name, condition=condition, models=models, **more)


def ask(clickhouse: ClickHouse, *rules: Rule, now: datetime = NOW, context: Context | None = None) -> Evaluation:
    """What holds, as a fresh alerter sees it."""
    return evaluate(clickhouse, rules, context or Context(None, in_background=False), now)


def found(clickhouse: ClickHouse, *rules: Rule, now: datetime = NOW, context: Context | None = None) -> list[Finding]:
    """The findings, of rules that can all be evaluated."""
    evaluation = ask(clickhouse, *rules, now=now, context=context)
    assert evaluation.errors == {}
    assert evaluation.evaluated == {each.name for each in rules}
    return list(evaluation.findings)
