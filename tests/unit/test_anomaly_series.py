"""Anomalies of a series: what is planted is found, what is usual is not, and the state is plain data."""

import math

import msgspec
import numpy as np
import pytest
from loopwatch.detectors.anomaly.points import Point
from loopwatch.detectors.anomaly.series import SeriesAnomalies
from loopwatch.detectors.anomaly.tail import APART, MEMORY, Tail
from loopwatch.detectors.interface import Finding, SnapshotError

STEP_US = 300_000_000
DAY = 288


def points(values: np.ndarray, since: int = 0) -> list[Point]:
    return [Point((since + i) * STEP_US, float(value)) for i, value in enumerate(values)]


def noise(n: int = 4_000, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(10.0, 1.0, n)


def daily(days: int, seed: int = 1) -> np.ndarray:
    n = days * DAY
    return noise(n, seed) + 20.0 * np.sin(np.arange(n) * 2 * math.pi / DAY)


def found_in(findings: list[Finding], first: int, last: int) -> list[Finding]:
    return [each for each in findings if first <= each.at <= last]


def test_a_spike_is_found_with_what_was_expected_and_seen() -> None:
    values = noise()
    values[3_000] = 30.0
    (finding,) = found_in(SeriesAnomalies().update(points(values)), 2_990, 3_010)
    assert (finding.at, finding.since, finding.seen) == (3_000, 3_000, 30.0)
    assert finding.expected == pytest.approx(10.0, abs=0.5)
    assert finding.score > 0.9998


@pytest.mark.parametrize("shift", [4.0, -4.0])
def test_a_shift_is_found_within_an_hour_and_not_told_for_ever(shift: float) -> None:
    values = noise()
    values[3_000:] += shift
    findings = SeriesAnomalies().update(points(values))
    assert found_in(findings, 3_000, 3_012)
    assert len(found_in(findings, 3_000, 4_000)) <= 5


def test_a_line_that_goes_flat_is_found() -> None:
    values = noise()
    values[3_000:3_060] = values[2_999]
    assert found_in(SeriesAnomalies().update(points(values)), 3_000, 3_059)


def test_a_gap_is_found_by_the_first_point_after_it() -> None:
    taken = points(daily(12))
    findings = SeriesAnomalies().update(taken[:3_000] + taken[3_030:])
    assert found_in(findings, 3_000, 3_000)


def test_a_missing_daily_peak_is_found_though_its_values_are_usual() -> None:
    values = daily(12)
    values[10 * DAY + 30 : 10 * DAY + 120] = noise(90, seed=2)
    (first, *_) = found_in(SeriesAnomalies().update(points(values)), 10 * DAY + 30, 10 * DAY + 120)
    assert first.expected is not None
    assert first.seen is not None
    assert first.expected > first.seen + 5.0


def test_a_day_of_the_week_is_expected_to_be_as_the_weeks_before() -> None:
    hours = np.arange(24 * 7 * 8)
    weekend = (hours // 24) % 7 >= 5
    values = np.random.default_rng(3).normal(0.0, 0.5, len(hours)) + np.where(weekend, 5.0, 50.0)
    detector = SeriesAnomalies()
    findings = detector.update([Point(i * 12 * STEP_US, float(value)) for i, value in enumerate(values)])
    assert not found_in(findings, 24 * 7 * 4, len(hours))
    off = 24 * 7 * 8
    (finding,) = detector.update([Point((off + i) * 12 * STEP_US, 5.0) for i in range(6)])[:1]
    assert finding.expected == pytest.approx(50.0, abs=2.0)


@pytest.mark.parametrize("kind", ["normal", "heavy", "autoregressive", "daily", "counts", "skewed"])
def test_false_alarms_are_as_rare_as_the_score_says(kind: str) -> None:
    alarms, n = 0, 0
    for seed in (11, 12):
        source = np.random.default_rng(seed)
        values = {
            "normal": lambda s: s.normal(size=8_000),
            "heavy": lambda s: s.standard_t(4, 8_000),
            "autoregressive": lambda s: _autoregressive(s.normal(size=8_000)),
            "daily": lambda s: daily(28, int(s.integers(1_000))),
            "counts": lambda s: s.poisson(20, 8_000),
            "skewed": lambda s: np.exp(0.7 * s.normal(size=8_000)),
        }[kind](source)
        detector = SeriesAnomalies()
        detector.update(points(values[:600]))
        alarms += len(detector.update(points(values[600:], since=600)))
        n += len(values) - 600
    assert alarms <= 3 + 3 * n * detector.alarm


def _autoregressive(values: np.ndarray) -> np.ndarray:
    for i in range(1, len(values)):
        values[i] += 0.8 * values[i - 1]
    return values


@pytest.mark.parametrize("values", [np.full(3_000, 5.0), np.zeros(3_000), np.tile([20.0, 80.0], 1_500)])
def test_what_is_always_the_same_is_no_anomaly(values: np.ndarray) -> None:
    assert SeriesAnomalies().update(points(values)) == []


def test_batches_are_as_single_values_and_a_snapshot_goes_on_bit_for_bit() -> None:
    taken = points(daily(9))
    at_once, one_by_one = SeriesAnomalies(), SeriesAnomalies()
    findings = at_once.update(taken)
    singly: list[Finding] = []
    for i, point in enumerate(taken):
        if i % 500 == 250:
            plain = msgspec.json.decode(msgspec.json.encode(one_by_one.snapshot()))
            one_by_one = SeriesAnomalies.restore(plain)
        singly += one_by_one.update([point])
    assert singly == findings
    assert msgspec.json.encode(one_by_one.snapshot()) == msgspec.json.encode(at_once.snapshot())


def test_no_numbers_change_nothing_but_the_count() -> None:
    taken = points(noise(500))
    without, with_them = SeriesAnomalies(), SeriesAnomalies()
    without.update(taken)
    for point in taken:
        with_them.update([point, Point(point.ts_us + 1, math.nan), Point(point.ts_us + 2, math.inf)])
    assert with_them.n == 3 * without.n
    assert with_them.snapshot()["state"]["signs"] == without.snapshot()["state"]["signs"]


def test_values_of_any_size_and_times_of_any_order_are_taken() -> None:
    source = np.random.default_rng(4)
    sizes = np.concatenate([source.normal(size=500) * 1e99, [1e308, -1e308], source.normal(size=500) * 1e-300])
    times = source.integers(-(2**50), 2**50, len(sizes)).tolist()
    detector = SeriesAnomalies()
    for ts_us, value in zip(times, sizes.tolist(), strict=True):
        detector.update([Point(ts_us, value)])
        assert 0.0 <= detector.score <= 1.0
    msgspec.json.encode(detector.snapshot())
    assert "null" not in str(detector.snapshot()["state"]["news"])


def test_the_state_stays_bounded() -> None:
    detector, sizes = SeriesAnomalies(), []
    for batch in range(4):
        detector.update([Point((batch * 6_000 + i) * 60_000_000, float(v)) for i, v in enumerate(noise(6_000, batch))])
        sizes.append(len(msgspec.json.encode(detector.snapshot())))
    assert sizes[-1] < 1.3 * sizes[1]
    assert sizes[-1] < 400_000


@pytest.mark.parametrize("damage", [{}, {"alarm": 0.1}, {"alarm": 2.0}])
def test_a_damaged_snapshot_is_refused(damage: dict[str, float]) -> None:
    with pytest.raises(SnapshotError):
        SeriesAnomalies.restore({**SeriesAnomalies().snapshot(), "state": damage})


def test_an_alarm_is_a_probability() -> None:
    with pytest.raises(ValueError, match="between 0 and 1, not 1"):
        SeriesAnomalies(alarm=1.0)


def test_a_tail_is_surprised_once_and_forgets() -> None:
    tail = Tail()
    for i in range(600):
        tail.take(1.0 + i % APART / APART)
    assert tail.take(10.0) > 8.0
    for _ in range(50):
        tail.take(1.0)
    again = tail.take(10.0)
    assert again == 0.0 or again < 8.0
    for _ in range(MEMORY + 1):
        tail.take(1.0)
    assert max(peak for peak, _ in tail.state()["peaks"]) <= 1.0
