"""Final shares out of life tables: known answers, and laws that hold for whatever delays there are."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopwatch.detectors.completeness.choice import choose
from loopwatch.detectors.completeness.covariates import STRATA, Cuts, Levels, cut_numbers, cut_texts
from loopwatch.detectors.completeness.delay_bins import EVEN_BINS, QUANTILE_BINS, bin_edges, bin_of, whole_bins
from loopwatch.detectors.completeness.final_share import Cohort, Delays, Waiting, delays, final_share
from loopwatch.detectors.completeness.history import Sample, history
from loopwatch.detectors.completeness.life_table import (
    LifeTable,
    followed_bins,
    life_table,
    nested_hazards,
    pooled_hazards,
    variance,
)

WINDOW_S = 100.0
NEVER = 1e9


def sample(ages_s: Any, true_delays_s: Any, **carried: Any) -> Sample:
    """Predictions as they are known at their age."""
    ages, true = np.asarray(ages_s, float), np.asarray(true_delays_s, float)
    return Sample(ages, np.where(true <= ages, true, np.nan), **carried)


def learned(ages_s: Any, true_delays_s: Any, **carried: Any) -> Delays:
    known = sample(ages_s, true_delays_s, **carried)
    waits = np.isnan(known.delays_s) & (known.ages_s < WINDOW_S)
    return delays(history(known, WINDOW_S), known.ages_s[waits])


def share_of(table: Delays, *waiting: Waiting, predictions: int = 100, labelled: int = 0) -> tuple[float, float, float]:
    share = final_share(table, Cohort(predictions, labelled, waiting))
    assert share is not None
    assert share.lower is not None
    assert share.upper is not None
    return share.lower, share.value, share.upper


def test_survival_of_freireichs_leukaemia_patients() -> None:
    """The 6-MP arm of Freireich et al. (Blood 1963), the usual example of Kaplan–Meier: S(22) = 0.538, SE 0.1282."""
    relapsed = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    edges = np.arange(37.0)
    weeks = np.array(relapsed + censored, float)
    known = history(Sample(weeks, np.array(relapsed + [math.nan] * len(censored), float)), 36.0)
    known = type(known)(
        edges, known.labelled, bin_of(weeks, edges), np.maximum(whole_bins(weeks, edges), 0), known.block, {}, {}
    )
    everybody = np.ones(len(weeks), np.bool_)
    hazards = pooled_hazards(life_table(known, np.zeros(len(weeks), np.int64), 1, everybody), edges)
    survival = np.cumprod(1 - hazards.hazard[0])
    # Survival after week t is that at the end of bin t − 1.
    assert [round(float(survival[week - 1]), 3) for week in (6, 7, 10, 13, 16, 22, 23)] == [
        0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448,
    ]  # fmt: skip
    assert survival[21] * math.sqrt(variance(hazards)[0, 22]) == pytest.approx(0.1282, abs=5e-4)


def test_a_window_without_anybody_waiting_is_what_it_is() -> None:
    table = learned(np.full(500, 200.0), np.full(500, 10.0))
    assert share_of(table, labelled=70) == (0.7, 0.7, 0.7)
    assert final_share(table, Cohort(0, 0)) is None


def test_those_waiting_are_labelled_as_those_before_them() -> None:
    # Of ten, four are labelled at 20, three at 80, three never.
    table = learned(np.linspace(2000, 101, 1000), np.tile([20.0] * 4 + [80.0] * 3 + [NEVER] * 3, 100))
    lower, value, upper = share_of(table, Waiting(0, 50.0, 60), labelled=40)
    assert value == pytest.approx(0.7)
    assert lower < 0.65
    assert upper > 0.75
    assert share_of(table, Waiting(0, 90.0, 30), labelled=70)[1] == pytest.approx(0.7)


def test_labels_that_come_exactly_at_the_end_of_the_window() -> None:
    table = learned(np.linspace(2000, 1, 2000), np.tile([WINDOW_S, NEVER], 1000))
    assert [share_of(table, Waiting(0, age, 100))[1] for age in (0.0, 50.0, 96.0)] == pytest.approx([0.5] * 3, abs=0.03)


def test_nothing_known_says_nothing() -> None:
    table = learned([], [])
    lower, value, upper = share_of(table, Waiting(0, 10.0, 100))
    assert (lower, value) == (0.0, 0.0)
    assert upper > 0.75


def test_no_label_so_far_bounds_the_share_by_how_many_were_seen() -> None:
    few, many = (learned(np.full(n, 200.0), np.full(n, NEVER)) for n in (30, 3000))
    wide, narrow = (share_of(each, Waiting(0, 1.0, 10_000), predictions=10_000)[2] for each in (few, many))
    assert 0 < narrow < 0.01 < 0.05 < wide < 0.2


def test_beyond_the_follow_up_labels_go_on_as_they_came_and_the_interval_says_so() -> None:
    # A label comes to a hundredth of those waiting in each second; nobody is older than 50 s.
    rng = np.random.default_rng(1)
    ages, true = np.linspace(50, 0, 5000), rng.exponential(100.0, 5000)
    table = learned(ages, true)
    assert 0 < table.followed < len(table.edges_s) - 1
    lower, value, upper = share_of(table, Waiting(0, 20.0, 1000), predictions=1000)
    assert value == pytest.approx(1 - math.exp(-0.8), abs=0.05)
    assert lower < 1 - math.exp(-0.3)
    assert upper > value + 0.1


def test_a_covariate_that_tells_labels_is_chosen_and_noise_is_not() -> None:
    rng = np.random.default_rng(2)
    n = 4000
    due, noise = rng.uniform(0, 200, n), rng.random(n)
    shop = rng.choice(np.array(["a", "b"], dtype=object), n)
    true = np.where(shop == "a", due, NEVER)
    known = sample(np.linspace(400, 0, n), true, numbers={"due": due, "noise": noise}, texts={"shop": shop})
    table = history(known, WINDOW_S)
    assert set(choose(table, 5)) == {"due", "shop"}
    found = delays(table, np.array([20.0]))
    strata = [Levels(("a", "b")).codes(np.array(["a"], dtype=object))[0], found.codings["due"]]
    assert isinstance(strata[1], Cuts)
    shares = []
    for value in (90.0, 190.0):
        stratum = 0
        for name, coding in found.codings.items():
            one = np.array([value]) if name == "due" else np.array(["a"], dtype=object)
            stratum = stratum * STRATA + int(coding.codes(one)[0])
        shares.append(share_of(found, Waiting(stratum, 5.0, 100))[1])
    assert shares[0] > 0.8
    assert shares[1] < 0.1


def test_where_nothing_helps_it_is_plain_kaplan_meier() -> None:
    rng = np.random.default_rng(3)
    true = rng.exponential(50.0, 3000)
    noise = {f"noise{index}": rng.random(3000) for index in range(20)}
    plain, offered = (learned(np.linspace(300, 0, 3000), true, numbers=numbers) for numbers in ({}, noise))
    assert offered.codings == {}
    assert np.array_equal(plain.risk, offered.risk)


def test_the_order_in_which_covariates_are_offered_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    true = rng.uniform(0, 200, 2000)
    numbers = {"one": true + rng.normal(0, 9, 2000), "two": true + rng.normal(0, 9, 2000), "twin": true}
    numbers["copy"] = numbers["twin"].copy()
    ages = np.linspace(300, 0, 2000)
    forth = learned(ages, true, numbers=numbers)
    back = learned(ages, true, numbers=dict(reversed(numbers.items())))
    assert forth.codings == back.codings
    assert np.array_equal(forth.risk, back.risk)


def test_times_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    ages = np.linspace(3300, 101, 6400)
    steady = rng.random(6400) < 0.5
    # Every stretch of 200 has a rate of its own.
    restless = rng.random(6400) < np.repeat(rng.uniform(0.1, 0.9, 32), 200)
    calm, moody = (learned(ages, np.where(came, 50.0, NEVER)) for came in (steady, restless))
    assert calm.frailty < 0.01 < 0.1 < moody.frailty
    widths = [upper - lower for lower, _, upper in (share_of(each, Waiting(0, 1.0, 100)) for each in (calm, moody))]
    assert widths[1] > 2 * widths[0]


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    inside = []
    for _ in range(200):
        ages = np.linspace(300, 0, 1000)
        true = np.where(rng.random(1000) < 0.6, rng.exponential(60.0, 1000), NEVER)
        table = learned(ages, true)
        cohort = np.where(rng.random(80) < 0.6, rng.exponential(60.0, 80), NEVER)
        early = int((cohort <= 30).sum())
        lower, _, upper = share_of(table, Waiting(0, 30.0, 80 - early), predictions=80, labelled=early)
        inside.append(lower <= (cohort <= WINDOW_S).mean() <= upper)
    assert 0.92 <= np.mean(inside) <= 1


def test_bins_of_delay_are_bounded_and_cover_the_window() -> None:
    edges = bin_edges(np.random.default_rng(7).exponential(1e-3, 100_000), WINDOW_S)
    assert EVEN_BINS < len(edges) <= EVEN_BINS + QUANTILE_BINS + 1
    assert (edges[0], edges[-1]) == (0, WINDOW_S)
    assert (np.diff(edges) > 0).all()


def test_a_stratum_of_its_own_for_what_is_missing() -> None:
    assert cut_numbers(np.array([math.nan, math.inf])).codes(np.array([math.nan, 3.0])).tolist() == [0, 1]
    assert cut_texts(np.array([""], dtype=object)).codes(np.array(["", "new"], dtype=object)).tolist() == [0, 0]


def test_a_stratum_nobody_was_in_goes_by_the_one_above() -> None:
    shop = np.array(["a", "b"] * 500, dtype=object)
    known = history(sample(np.linspace(300, 101, 1000), np.tile([10.0, NEVER], 500), texts={"shop": shop}), WINDOW_S)
    everybody = np.ones(1000, np.bool_)
    pooled, split = (nested_hazards(known, names, everybody) for names in ((), ("shop",)))
    assert np.allclose(split.hazard[5], pooled.hazard[0])
    assert split.hazard[1].max() > 0.9
    assert split.hazard[2].max() < 0.05


def test_all_labelled_is_no_end_of_the_follow_up_that_matters() -> None:
    table = LifeTable(np.array([[990.0, 10.0, 0.0]]), np.array([[1000.0, 10.0, 0.0]]))
    assert followed_bins(table) == 1
    assert pooled_hazards(table, np.array([0.0, 1.0, 2.0, 3.0])).hazard[0, 0] == pytest.approx(0.99)


predictions = st.lists(
    st.tuples(st.floats(0, 300), st.one_of(st.floats(-1, 150), st.just(NEVER), st.just(WINDOW_S))), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(past=predictions, n=st.integers(1, 50), labelled=st.integers(0, 20), age=st.floats(0, 99.9))
def test_a_share_lies_between_what_is_known_and_what_can_be(
    past: list[tuple[float, float]], n: int, labelled: int, age: float
) -> None:
    past = sorted(past, reverse=True)
    table = learned([each[0] for each in past], [each[1] for each in past])
    lower, value, upper = share_of(table, Waiting(0, age, n), predictions=n + labelled + 5, labelled=labelled)
    whole = n + labelled + 5
    assert labelled / whole - 1e-9 <= lower <= value + 1e-9 <= upper + 2e-9
    assert upper <= (labelled + n) / whole + 1e-9


@settings(max_examples=100, deadline=None)
@given(past=predictions, ages=st.tuples(st.floats(0, 99.9), st.floats(0, 99.9)))
def test_the_longer_it_waits_the_less_is_still_to_come(
    past: list[tuple[float, float]], ages: tuple[float, float]
) -> None:
    past = sorted(past, reverse=True)
    table = learned([each[0] for each in past], [each[1] for each in past])
    young, old = (share_of(table, Waiting(0, age, 10))[1] for age in sorted(ages))
    assert old <= young + 1e-12


@settings(max_examples=100, deadline=None)
@given(past=predictions.filter(bool))
def test_a_sample_that_is_old_enough_gives_its_own_share(past: list[tuple[float, float]]) -> None:
    true = np.array([each[1] for each in past])
    table = learned(np.full(len(past), 200.0), true)
    came = float((true <= WINDOW_S).mean())
    if came < 1:
        assert share_of(table, Waiting(0, 0.0, 100))[1] == pytest.approx(came, abs=1e-6)
