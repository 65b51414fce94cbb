"""The default for a model's series: what operators would call a change is found soon, and chance is not."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from loopwatch.detectors.anomaly.baseline import Baseline
from loopwatch.detectors.anomaly.heavy import Heavy, tail
from loopwatch.detectors.anomaly.kinds import Count, Kind, Share
from loopwatch.detectors.anomaly.points import Point
from loopwatch.detectors.anomaly.profile import Profile
from loopwatch.detectors.interface import Finding
from scipy import stats

HOUR_US = 3_600_000_000
ALARM = 3e-5
SEEDS = range(5)


def hourly(values: Sequence[float] | np.ndarray, n: int | None = None) -> list[Point]:
    return [Point(at * HOUR_US, float(value), n) for at, value in enumerate(values)]


def delay(kind: Kind, before: np.ndarray, after: np.ndarray, n: int | None = None) -> tuple[int, Finding]:
    """Steps until something is found, and it; nothing is found before."""
    watching = Baseline(kind, ALARM)
    findings = watching.update(hourly(np.concatenate([before, after]), n))
    assert findings, "nothing found"
    assert findings[0].at >= len(before)
    return findings[0].at - len(before), findings[0]


def daily(hours: int) -> np.ndarray:
    return 200 + 150 * np.sin(np.arange(hours) * 2 * math.pi / 24)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("before", [20, 60, 120, 500])
def test_a_volume_that_falls_is_found_at_once(before: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    late, found = delay("count", random.poisson(400, before), random.poisson(60, 40))
    assert late == 0
    assert found.since == found.at
    assert found.expected == pytest.approx(400, rel=0.1)
    assert found.seen == pytest.approx(60, abs=40)


def test_a_volume_of_nothing_is_a_value() -> None:
    random = np.random.default_rng(1)
    assert delay("count", random.poisson(400, 60), np.zeros(3))[0] == 0


@pytest.mark.parametrize("before", [14, 2_000])
def test_a_share_of_nothing_that_becomes_everything_is_certain_at_once(before: int) -> None:
    late, found = delay("share", np.zeros(before), np.ones(3), n=400)
    assert (late, found.expected, found.seen) == (0, 0.0, 1.0)


def test_one_in_four_hundred_after_nothing_for_ever_says_nothing() -> None:
    shares = np.concatenate([np.zeros(2_000), np.full(40, 1 / 400)])
    assert Baseline("share", ALARM).update(hourly(shares, 400)) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("before", "steps"), [(120, 12), (500, 4)])
def test_a_click_rate_that_halves_is_found_soon(before: int, steps: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    shares = (random.binomial(400, 0.10, before) / 400, random.binomial(400, 0.05, 40) / 400)
    late, found = delay("share", *shares, n=400)
    assert late <= steps
    assert abs(found.since - before) <= 3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("days", "steps"), [(7, 6), (30, 4)])
def test_a_daily_volume_that_falls_to_a_fifth_is_found_soon(days: int, steps: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    usual = daily(days * 24 + 40)
    volumes = random.poisson(usual[: days * 24]), random.poisson(usual[days * 24 :] / 5)
    assert delay("count", *volumes)[0] <= steps


@pytest.mark.parametrize("before", [20, 60, 500])
def test_a_latency_that_goes_from_33_to_82_is_found_at_once(before: int) -> None:
    random = np.random.default_rng(1)
    assert delay("mean", random.normal(33, 1, before), random.normal(82, 1, 40))[0] == 0


@pytest.mark.parametrize(("before", "deviations"), [(20, 14), (60, 8)])
def test_the_less_is_known_the_larger_a_spike_has_to_be(before: int, deviations: float) -> None:
    found = {deviations: 0, deviations / 4: 0}
    for seed in range(40):
        values = np.random.default_rng(seed).normal(0, 1, before)
        for spike in found:
            found[spike] += bool(Baseline("mean", ALARM).update(hourly([*values, spike])))
    assert found[deviations] >= 28
    assert found[deviations / 4] == 0


def test_a_slow_leak_is_found() -> None:
    before = np.random.default_rng(1).normal(33, 1, 300)
    assert delay("mean", before, 33 * 1.03 ** np.arange(40))[0] <= 8


def test_a_change_is_found_again_until_it_is_over() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate([random.poisson(400, 100), random.poisson(60, 10), random.poisson(400, 100)])
    findings = Baseline("count", ALARM).update(hourly(values))
    assert [each.at for each in findings] == list(range(100, 110))
    assert {each.since for each in findings} == {100}


def test_a_change_that_lasts_a_day_is_the_new_normal_and_keeps_the_hours() -> None:
    random = np.random.default_rng(1)
    usual = daily(60 * 24)
    volumes = random.poisson(np.where(np.arange(len(usual)) < 30 * 24, usual, usual * 2))
    findings = Baseline("count", ALARM).update(hourly(volumes))
    assert {each.at - 30 * 24 for each in findings[:3]} <= {0, 1, 2, 3}
    assert [each for each in findings if each.at > 40 * 24] == []


def nightly(before: int, after: int, share: float) -> tuple[int, list[Point]]:
    """Days of a share that changes one afternoon: 60 an hour, 8 or 3 late in the evening, and none at night."""
    of = {22: 8, 23: 3} | dict.fromkeys(range(7), 0)
    begin = before * 24 + 14
    points: list[Point] = []
    for at in range((before + after) * 24):
        n = of.get(at % 24, 60)
        points.append(Point(at * HOUR_US, share * (at >= begin) if n else math.nan, n or None))
    return begin, points


def test_hours_of_few_or_none_do_not_end_a_change() -> None:
    begin, points = nightly(before=20, after=4, share=1.0)
    found = Baseline("share", ALARM).update(points)
    assert {each.since for each in found} == {begin}
    seen = [at for at in range(begin, len(points)) if not math.isnan(points[at].value)]
    assert [each.at for each in found] == seen[: len(found)]
    assert len(found) in (24, 25)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_volume_that_halves_is_one_change_over_a_quiet_night(seed: int) -> None:
    random = np.random.default_rng(seed)
    usual = np.where(np.arange(20 * 24) % 24 < 7, 4.0, 200.0)
    begin = 18 * 24 + 14
    usual[begin:] /= 2
    found = Baseline("count", ALARM).update(hourly(random.poisson(usual)))
    of_day = [each for each in found if each.at < begin + 24]
    assert {each.since for each in of_day} == {begin}
    assert of_day[-1].at >= begin + 20


def test_what_comes_back_to_normal_ends_in_hours_of_many() -> None:
    begin, points = nightly(before=20, after=4, share=0.5)
    points[begin + 4 :] = nightly(before=20, after=4, share=0.0)[1][begin + 4 :]
    watching = Baseline("share", ALARM)
    found = watching.update(points[: begin + 8])
    assert [each.at for each in found] == list(range(begin, begin + 4))
    assert not watching.is_changed


def test_weekends_are_known_after_they_came_twice() -> None:
    random = np.random.default_rng(1)
    hours = np.arange(8 * 168)
    volumes = random.poisson(daily(len(hours)) * np.where(hours // 24 % 7 > 4, 0.4, 1.0))
    findings = Baseline("count", ALARM).update(hourly(volumes))
    assert [each.at for each in findings if each.at > 3 * 168] == []


@pytest.mark.parametrize("kind", ["count", "share", "mean"])
def test_nothing_is_found_by_chance(kind: Kind) -> None:
    random, hours = np.random.default_rng(2), 10_000
    values = {
        "count": random.negative_binomial(20, 20 / (20 + daily(hours))),
        "share": random.binomial(50, 0.05, hours) / 50,
        "mean": random.standard_t(5, hours),
    }[kind]
    assert len(Baseline(kind, 1e-3).update(hourly(values, 50 if kind == "share" else None))) <= 30


def test_means_of_few_may_be_further_off() -> None:
    random = np.random.default_rng(3)
    many = random.normal(5, 0.1, 300)
    wide = Baseline("mean", ALARM)
    assert wide.update([*hourly(many, 1_000), Point(300 * HOUR_US, 6.5, 5)]) == []
    assert wide.update([Point(301 * HOUR_US, 6.5, 1_000)])


def _nights_of_few(seed: int, days: int) -> list[Point]:
    """Means of minutes, of one or two values at night, where it begins, and of some twenty by day."""
    random = np.random.default_rng(seed)
    ns = [random.poisson(1.0 if minute // 60 % 24 < 7 else 20.0) for minute in range(days * 1440)]
    return [Point(at * 60_000_000, random.beta(2, 2, n).mean(), int(n)) for at, n in enumerate(ns) if n]


@pytest.mark.parametrize("seed", range(3))
def test_means_of_few_at_night_say_nothing_after_a_day_of_many(seed: int) -> None:
    assert Baseline("mean", 60 / (28 * 86_400) / 50).update(_nights_of_few(seed, 3)) == []


def test_what_means_are_usually_made_of_is_kept() -> None:
    points = _nights_of_few(0, 2)
    whole = Baseline("mean", ALARM)
    whole.update(points[:1500])
    resumed = Baseline.restore(json.loads(json.dumps(whole.snapshot())))
    for point in points[1500:]:
        assert whole.update([point]) == resumed.update([point])
        assert whole.score == resumed.score


def test_values_that_are_missing_are_passed_over() -> None:
    values = np.random.default_rng(1).poisson(400, 200).astype(float)
    holed = Baseline("count", ALARM)
    assert holed.update(hourly([math.nan if at % 3 == 0 else value for at, value in enumerate(values)])) == []
    assert holed.update([Point(200 * HOUR_US, 60.0)])


def test_a_snapshot_is_small() -> None:
    watching = Baseline("count", ALARM)
    watching.update(hourly(np.random.default_rng(1).poisson(daily(3_000))))
    assert len(json.dumps(watching.snapshot())) < 9_000


@pytest.mark.parametrize(("mean", "seen"), [(8.0, 0), (5.0, 15), (400.0, 330)])
def test_deviations_of_counts_have_poissons_tails(mean: float, seen: int) -> None:
    exact = stats.poisson.cdf(seen, mean) if seen < mean else stats.poisson.sf(seen - 1, mean)
    assert stats.norm.sf(abs(Count().deviation(seen, mean, 1.0, 1))) == pytest.approx(exact, rel=0.4)


@pytest.mark.parametrize(("share", "n", "seen"), [(0.1, 30, 10), (0.5, 30, 3), (0.1, 400, 15), (0.99, 400, 385)])
def test_deviations_of_shares_have_binomial_tails(share: float, n: int, seen: int) -> None:
    exact = stats.binom.cdf(seen, n, share) if seen < n * share else stats.binom.sf(seen - 1, n, share)
    assert stats.norm.sf(abs(Share().deviation(seen, n * share, n, 1))) == pytest.approx(exact, rel=0.4)


@pytest.mark.parametrize("freedom", [3.0, 10.0, 100.0])
@pytest.mark.parametrize("deviation", [3.0, 6.0, 10.0])
def test_tails_are_students(freedom: float, deviation: float) -> None:
    exact = 2 * stats.t.sf(deviation, freedom)
    assert exact * 0.95 <= tail(deviation, freedom) <= exact * 1.3


def test_large_deviations_make_the_next_one_less_unlikely() -> None:
    heavy = Heavy()
    before = heavy.probability(8.0, 1_000.0)
    for each in np.random.default_rng(1).standard_t(3, 500):
        heavy.take(float(each), 1.0)
    assert heavy.probability(8.0, 1_000.0) > 10 * before


def test_a_course_counts_by_what_it_has_shown() -> None:
    random, seasonal, flat = np.random.default_rng(1), Profile(), Profile()
    for hour in range(14 * 24):
        noise = float(random.normal(0, 1))
        seasonal.take(hour * HOUR_US, 10 * math.sin(hour * 2 * math.pi / 24) + noise, usual=True)
        flat.take(hour * HOUR_US, noise, usual=True)
    assert seasonal.proof_of_day.share > 0.9
    assert flat.proof_of_day.share < 0.3
    assert seasonal.expected(6 * HOUR_US, HOUR_US) == pytest.approx(10, abs=1.5)
    between = seasonal.expected(6 * HOUR_US + HOUR_US // 2, 60_000_000)
    assert min(seasonal.expected(at * HOUR_US, HOUR_US) for at in (6, 5)) - 0.5 <= between <= 10.5


@pytest.mark.parametrize(("parameters", "words"), [({"kind": "sum"}, "kind is"), ({"alarm": 0.0}, "probability")])
def test_parameters_that_make_no_sense_are_refused(parameters: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Baseline(**parameters)
