"""A model's series from its rows to signals: a volume that falls, a feature that is gone, and nothing else."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.monitor.anomalies import HOUR_S, AnomalyMonitor
from loopwatch.stream_processors.monitor.points import Steps, first_step, of_predictions
from loopwatch.stream_processors.monitor.reached import Reached

from tests.databases import insert_rows

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
HOURS, FALLS, GONE = 120, 100, 80
"""Volume falls to a fifth in hour 100; feature `age` is null from hour 80 on, which changes no volume."""


@pytest.fixture(scope="module")
def model(clickhouse: ClickHouse) -> str:
    random = np.random.default_rng(5)
    volumes = [int(n) for n in random.poisson([80.0 if hour < FALLS else 16.0 for hour in range(HOURS)])]
    hours = [hour for hour, n in enumerate(volumes) for _ in range(n)]
    ages = [None if hour >= GONE else 40.0 for hour in hours]
    scores = random.uniform(0.2, 0.4, len(hours))
    columns = {
        "model": pa.array(["series"] * len(hours)),
        "prediction_id": pa.array([f"series-{at}" for at in range(len(hours))]),
        "ts": pa.array([BEGIN + timedelta(hours=hour, minutes=7) for hour in hours], pa.timestamp("us", "UTC")),
        "score": pa.array(scores),
        "features_num": pa.array([[("age", age)] for age in ages], pa.map_(pa.string(), pa.float64())),
        "_ingested_at": pa.array([datetime.now(UTC)] * len(hours), pa.timestamp("ms", "UTC")),
    }
    insert_rows(clickhouse, "predictions", pa.table(columns))
    return "series"


def until(hour: int) -> Reached:
    end = BEGIN + timedelta(hours=hour)
    return Reached({0: int(end.timestamp() * 1_000)}, {0: int(end.timestamp() * 1_000_000)})


def firsts(signals: list[Signal]) -> dict[str, float]:
    """The hour from which on each series is told to be unusual, by its first signal."""
    found: dict[str, float] = {}
    for each in signals:
        found.setdefault(each.subject, (each.since - BEGIN) / timedelta(hours=1))
    return found


def test_points_say_of_how_many_they_are_made(clickhouse: ClickHouse, model: str) -> None:
    first = first_step(clickhouse, model, HOUR_S)
    assert first is not None
    points = of_predictions(clickhouse, model, Steps(HOUR_S, first, first + HOURS * HOUR_S))
    volumes = points["volume"].values
    assert points["volume"].made == "count"
    assert points["mean score"].made == "mean"
    assert points["missing share of age"].made == "share"
    missing = [points["missing share of age"].values[step] for step in sorted(volumes)]
    assert [share for share, _ in missing] == [float(hour >= GONE) for hour in range(HOURS)]
    assert [n for _, n in missing] == [volumes[step][0] for step in sorted(volumes)]
    assert {n for _, n in points["mean score"].values.values()} == {n for _, n in missing}


def test_what_changed_is_told_from_when_it_changed_and_nothing_else(clickhouse: ClickHouse, model: str) -> None:
    monitor = AnomalyMonitor(clickhouse, model, HOUR_S, None, "baseline")
    assert monitor.advance(until(GONE)) == []
    signals = monitor.advance(until(HOURS))
    assert firsts(signals) == {"missing share of age": GONE, "volume": FALLS}
    assert len({each.signal_id for each in signals}) == 2


def test_a_restart_changes_nothing(clickhouse: ClickHouse, model: str) -> None:
    whole = AnomalyMonitor(clickhouse, model, HOUR_S, None, "baseline")
    begun = AnomalyMonitor(clickhouse, model, HOUR_S, None, "baseline")
    signals, resumed = whole.advance(until(HOURS)), begun.advance(until(FALLS + 2))
    going_on = AnomalyMonitor(clickhouse, model, HOUR_S, None, "baseline", begun.state())
    resumed += going_on.advance(until(HOURS))
    assert {each.signal_id: each for each in resumed} == {each.signal_id: each for each in signals}
