"""What monitors read of panes: the same as `distributions`, and as the raw rows say."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event as Stop
from typing import Any

import numpy as np
import pytest
from loopwatch.detectors.drift.numbers import of_histogram
from loopwatch.schemas.monitoring import Drift as DriftConfig
from loopwatch.schemas.monitoring import Reference
from loopwatch.schemas.signals import Signal, SignalKind
from loopwatch.schemas.windows import Window
from loopwatch.stream_processors.evaluate.panes import ALL, HOUR, Series, Slice, Stretch, distributions
from loopwatch.stream_processors.evaluate.training import store_training, training_of
from loopwatch.stream_processors.monitor.anomalies import AnomalyMonitor
from loopwatch.stream_processors.monitor.comparisons import DriftMonitor
from loopwatch.stream_processors.monitor.counted import OTHER, PaneReader, of_distribution
from loopwatch.stream_processors.monitor.drift_rows import Compared
from loopwatch.stream_processors.monitor.points import Steps, first_step, in_order, of_predictions
from loopwatch.stream_processors.monitor.reached import Reached
from loopwatch.stream_processors.records import micros_of
from loopwatch.stream_processors.sink.inserts import Inserter

from ..paned import OLD, Store, chosen, events_of, hour_of

DAY = OLD.replace(hour=0, minute=0)


@pytest.fixture(scope="module")
def old(clickhouse_url: str) -> Iterator[tuple[Store, list[dict[str, Any]]]]:
    store, events = Store(clickhouse_url), events_of(OLD, 1)
    store.insert(events)
    yield store, events
    store.clickhouse.close()


@pytest.mark.parametrize("slice_", [ALL, Slice("country", "de"), Slice("version", "v1"), Slice("country", "nowhere")])
@pytest.mark.parametrize("model", ["fraud", "churn"])
def test_the_reader_reads_what_distributions_say(
    old: tuple[Store, list[dict[str, Any]]], model: str, slice_: Slice
) -> None:
    store, events = old
    stretch = Stretch(model, DAY, DAY + timedelta(days=2), slice=slice_)
    made, side = PaneReader(store.clickhouse, model).read(stretch)
    expected = {series: each for (_, series), each in distributions(store.clickhouse, stretch, top=10**6).items()}
    if slice_ == ALL:
        assert made == len(chosen(events, model))
    assert side.keys() == expected.keys()
    for series, counted in side.items():
        distribution = expected[series]
        other = of_distribution(distribution)
        assert counted.predictions == other.predictions == made
        assert counted.categories == other.categories
        assert counted.categories.get(OTHER, 0) == distribution.other
        for one, two in zip(counted.numbers, of_histogram(distribution.numbers), strict=True):
            np.testing.assert_array_equal(one, two)
        column = counted.column(counted.kind)
        assert (column.missing, column.invalid) == (distribution.missing, distribution.invalid)
        assert column.rows == made


def test_points_of_series_are_those_of_the_rows(old: tuple[Store, list[dict[str, Any]]]) -> None:
    store, events = old
    first = first_step(store.clickhouse, "fraud", 3600)
    by_hour: dict[int, list[dict[str, Any]]] = {}
    for event in chosen(events):
        by_hour.setdefault(int(hour_of(event).timestamp()), []).append(event)
    assert first == min(by_hour)
    steps = Steps(3600, first - 7200, max(by_hour) + 10_800)
    series = of_predictions(store.clickhouse, "fraud", steps)
    points = {
        name: {point.ts_us // 1_000_000: point.value for point in in_order(of.values, steps, 30)}
        for name, of in series.items()
    }
    assert all(list(of) == list(steps) for of in points.values())
    assert points["volume"] == {step: float(len(by_hour.get(step, []))) for step in steps}
    known = {name: {step: value for step, value in of.items() if not math.isnan(value)} for name, of in points.items()}
    full = {step: of for step, of in by_hour.items() if len(of) >= 30}
    for name, key in (("missing share of country", "country"), ("missing share of amount", "amount")):
        assert known[name] == pytest.approx(
            {step: np.mean([e["features"].get(key) is None for e in of]) for step, of in full.items()}
        )
    assert known["mean score"] == pytest.approx(
        {step: np.mean([e["score"] for e in of]) for step, of in full.items()}, rel=1e-5
    )
    assert known["latency_ms p95"].keys() == full.keys()
    for step, p95 in known["latency_ms p95"].items():
        exact = float(np.quantile([e["latency_ms"] for e in full[step]], 0.95, method="inverted_cdf"))
        assert p95 == pytest.approx(exact, rel=1 / 64)
    assert all(math.isnan(point.value) for point in in_order({}, steps, 1))
    assert first_step(store.clickhouse, "unheard of", 3600) is None


@pytest.mark.parametrize("kind", ["training", "period", "previous", "sliding"])
def test_a_window_is_held_against_the_reference_that_is_asked_for(clickhouse_url: str, kind: str) -> None:
    store, rng = Store(clickhouse_url), np.random.default_rng(2)
    hours = 30
    events = [
        {
            "prediction_id": f"{kind}{n}", "model": "m", "ts": (DAY + n * timedelta(seconds=12)).isoformat(),
            # It moves for good at hour 20; its neighbours never do.
            "features": {"x": float(rng.normal(2 * (n >= 20 * 300), 1)), "y": float(rng.normal()), "z": bool(n % 2)},
        }
        for n in range(hours * 300)
    ]  # fmt: skip
    store.insert(events)
    if kind == "training":
        stretch = Stretch("m", DAY, DAY + 10 * HOUR)
        before = {series: each for (_, series), each in distributions(store.clickhouse, stretch).items()}
        inserter = Inserter(store.clickhouse, store.fence, give_up_after_s=5, stop=Stop())
        store_training(inserter, "m", before | {Series("gone"): before[Series("x")]}, "old", datetime.now(UTC))
        store_training(inserter, "m", before, "test", datetime.now(UTC))
        assert training_of(store.clickhouse, "m") == before
    text = {"period": "2025-03-03/2025-03-03T10:00Z", "sliding": "12h"}.get(kind, kind)
    config = DriftConfig((Window.parse("1h"),), Reference.parse(text), ignore=("z",))
    kept: list[Compared] = []
    monitor = DriftMonitor(store.clickhouse, "m", config, Window.parse("1h"), (), kept.extend)
    reached = Reached({0: 1}, {0: micros_of(DAY + hours * HOUR)})
    assert monitor.advance(Reached()) == []
    signals = monitor.advance(reached)
    while monitor.is_behind:
        signals += monitor.advance(reached)
    found = [signal for signal in signals if signal.since >= DAY + 20 * HOUR]
    assert {signal.subject for signal in found} == {"x"}
    assert {row.series.name for row in kept if row.drifted} == {signal.subject for signal in signals}
    # By chance something seems to drift in one window in twenty.
    assert len(signals) - len(found) <= 1
    assert (found[0].since, found[0].until) == (DAY + 20 * HOUR, DAY + 21 * HOUR)
    # A change against the window before it is over with the next one.
    assert len(found) == {"training": 10, "period": 10, "previous": 1}.get(kind, len(found))
    assert len({signal.signal_id for signal in found}) == 1
    store.clickhouse.close()


def test_a_drop_of_volume_and_a_feature_that_goes_null_are_found_and_nothing_else(clickhouse_url: str) -> None:
    store, rng = Store(clickhouse_url), np.random.default_rng(4)
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=12)
    minutes, null_at, drop_at = 600, 450, 560
    events = [
        {
            "prediction_id": f"{minute}-{n}", "model": "m",
            "ts": (begin + timedelta(minutes=minute, seconds=float(rng.uniform(0, 60)))).isoformat(),
            "features": {"x": None if null_at <= minute < null_at + 20 or rng.random() < 0.1 else 1.0, "y": float(n)},
            "score": round(float(rng.random()), 4), "latency_ms": float(rng.lognormal(2, 0.3)),
        }
        for minute in range(minutes)
        for n in range(3 if minute >= drop_at else int(rng.poisson(60)))
    ]  # fmt: skip
    store.insert(events)
    monitor = AnomalyMonitor(store.clickhouse, "m", 60, None, "baseline")
    signals: list[Signal] = []
    reached = Reached({0: 1}, {0: micros_of(begin + minutes * timedelta(minutes=1))})
    monitor.advance(Reached())
    has_more = True
    while has_more:
        signals += monitor.advance(reached)
        has_more = monitor.is_behind
        monitor = AnomalyMonitor(store.clickhouse, "m", 60, None, "baseline", monitor.state())
    by_subject = {signal.subject: signal for signal in reversed(signals)}
    assert by_subject.keys() == {"volume", "missing share of x"}
    assert all(signal.kind is SignalKind.ANOMALY and store.clickhouse.rows(signal.query) for signal in signals)
    for subject, minute in (("volume", drop_at), ("missing share of x", null_at)):
        late = by_subject[subject].since - begin - timedelta(minutes=minute)
        assert timedelta() <= late <= timedelta(minutes=5)
    store.clickhouse.close()
