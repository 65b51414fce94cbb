"""Alarms: rarely without a change, surely with one that matters, and none where nothing can be told."""

import math

import msgspec
import numpy as np
import pytest
from loopwatch.detectors.drift.bounds import anderson_darling_bound
from loopwatch.detectors.drift.cells import Pair, categories
from loopwatch.detectors.drift.column import Column, Kind
from loopwatch.detectors.drift.compare import Limits, compare, compare_all, compare_rates
from loopwatch.detectors.drift.decide import Dependence, adjusted, decide, e_benjamini_hochberg
from loopwatch.detectors.drift.methods import CATEGORICAL, NUMERIC
from loopwatch.detectors.drift.permutation import permutation_test
from loopwatch.detectors.drift.result import Drift, Question, Reason
from scipy import stats


def numbers(values: np.ndarray) -> Column:
    return Column.of_numbers(values)


def texts(counts: np.ndarray) -> Column:
    return Column(Kind.CATEGORICAL, categories={f"c{at}": int(n) for at, n in enumerate(counts) if n})


@pytest.mark.parametrize("n", [50, 400])
def test_without_a_change_p_values_are_even(n: int) -> None:
    """Of 250 at most as many are below 5 % as a share of 5 % makes in all but one of a thousand."""
    random = np.random.default_rng(n)
    chances = 1 / np.arange(1, 61)
    found: dict[str, list[float]] = {"numbers": [], "categories": [], "zeros": []}
    for seed in range(250):
        sides = [random.lognormal(0, 1, size) for size in (1000, n)]
        zeros = [np.where(random.random(side.size) < 0.6, 0, side) for side in sides]
        counts = [random.multinomial(side.size, chances / chances.sum()) for side in sides]
        for name, (one, other) in {
            "numbers": map(numbers, sides), "zeros": map(numbers, zeros), "categories": map(texts, counts),
        }.items():  # fmt: skip
            p_value = compare(one, other, seed=seed, limits=Limits(numeric=0, categorical=0)).p_value
            assert p_value is not None
            found[name].append(p_value)
    for p_values in found.values():
        assert np.mean(np.array(p_values) <= 0.05) <= stats.binom.isf(0.001, 250, 0.05) / 250
        assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.1)


def test_many_columns_without_a_change_rarely_alarm() -> None:
    random = np.random.default_rng(8)
    alarms = 0
    for seed in range(50):
        before = {str(at): numbers(random.normal(0, 1, 1000)) for at in range(10)}
        after = {str(at): numbers(random.normal(0, 1, 100)) for at in range(10)}
        alarms += any(each.drifted for each in decide(compare_all(before, after, seed=seed)))
    assert alarms <= stats.binom.isf(0.001, 50, 0.05)


def test_a_small_shift_of_many_values_is_found_and_a_trifling_one_is_not() -> None:
    random = np.random.default_rng(9)
    reasons = {0.03: [], 0.12: []}
    for shift, found in reasons.items():
        for _ in range(20):
            one, other = random.normal(0, 1, 50_000), random.normal(shift, 1, 50_000)
            found.append(compare(numbers(one), numbers(other)).reason)
    assert reasons == {0.03: [Reason.TRIFLING] * 20, 0.12: [Reason.DRIFTED] * 20}


def test_one_column_of_fifty_that_changed_is_found_also_in_small_windows() -> None:
    random = np.random.default_rng(10)
    before = {str(at): numbers(random.normal(0, 1, 5000)) for at in range(50)}
    after = {str(at): numbers(random.normal(1.0 if at == 7 else 0.0, 1, 60)) for at in range(50)}
    assert [each.name for each in decide(compare_all(before, after)) if each.drifted] == ["7"]


@pytest.mark.parametrize(
    "changed",
    [
        lambda random: random.normal(0.2, 1, 2000),
        lambda random: random.normal(0, 1.3, 2000),
        lambda random: np.where(random.random(2000) < 0.01, 15.0, random.normal(0, 1, 2000)),
        lambda random: np.where(random.random(2000) < 0.1, 0.0, random.normal(0, 1, 2000)),
    ],
    ids=["mean", "scale", "tail", "zeros"],
)
def test_changes_of_every_sort_are_found(changed) -> None:
    random = np.random.default_rng(11)
    found = compare(numbers(random.normal(0, 1, 5000)), numbers(changed(random)))
    assert found.drifted_alone
    assert found.evidence


def test_a_shift_within_one_bin_is_found() -> None:
    random = np.random.default_rng(12)
    one, other, same = (random.normal(mean, 0.5, 3000) for mean in (1004.0, 1004.1, 1004.0))
    assert len(numbers(one).numbers.bins) < 4
    assert compare(numbers(one), numbers(other)).drifted_alone
    assert not compare(numbers(one), numbers(same)).drifted_alone


def test_a_category_that_is_new_is_found_and_named() -> None:
    found = compare(Column.of_categories(["a", "b"] * 500), Column.of_categories(["a", "b"] * 100 + ["new"] * 12))
    assert found.drifted_alone
    new = next(each for each in found.evidence if each.name == "new")
    assert (new.expected, new.seen) == (0.0, 12 / 212)


def test_new_identifiers_show_among_ten_thousand_categories() -> None:
    random = np.random.default_rng(13)
    chances = 1 / np.arange(1, 10_001)
    counts = [random.multinomial(n, chances / chances.sum()) for n in (50_000, 5000, 4000)]
    before, same, mostly = map(texts, counts)
    other = Column(Kind.CATEGORICAL, categories={**mostly.categories, **{f"new{at}": 1 for at in range(1000)}})
    both = categories(before.categories, other.categories)
    assert both.grouped()[0].size < 300
    assert both.grouped()[1].sum() == 5000
    assert not compare(before, same).drifted_alone
    assert compare(before, other).drifted_alone


@pytest.mark.parametrize("n", [0, 1, 29])
def test_of_too_few_values_nothing_is_said(n: int) -> None:
    found = compare(numbers(np.arange(100.0)), numbers(np.full(n, 1e6)))
    assert (found.reason, found.p_value, found.drifted_alone) == (Reason.TOO_FEW, None, False)
    assert not decide([found])[0].drifted
    assert compare(Column(Kind.CATEGORICAL), Column(Kind.CATEGORICAL)).reason is Reason.TOO_FEW


def test_constant_columns_and_single_categories() -> None:
    constant = numbers(np.full(100, 3.0))
    same, other = compare(constant, constant), compare(constant, numbers(np.full(50, 4.0)))
    assert (same.effect, same.p_value, same.reason) == (0.0, 1.0, Reason.CHANCE)
    assert other.drifted_alone
    assert math.isfinite(other.effect)
    one = Column.of_categories(["a"] * 60)
    assert (compare(one, one).p_value, compare(one, one).effect) == (1.0, 0.0)
    assert compare(one, Column.of_categories(["b"] * 60)).drifted_alone


def test_booleans_are_compared_as_shares() -> None:
    found = compare(Column.of_categories([True, False] * 500), Column.of_categories([True] * 70 + [False] * 30))
    assert (found.kind, found.method, round(found.statistic, 3)) == ("boolean", "exact", 0.2)
    assert found.drifted_alone


def test_missing_and_invalid_values_are_questions_of_their_own() -> None:
    before = Column.of_numbers(np.append(np.arange(1000.0), [np.nan] * 10))
    after = Column.of_numbers(np.append(np.arange(1000.0), [np.nan] * 60 + [np.inf] * 40))
    missing, invalid = compare_rates(before, after)
    assert (missing.question, missing.drifted_alone) == (Question.MISSING, True)
    assert (invalid.question, invalid.drifted_alone) == (Question.INVALID, True)
    assert (missing.evidence[0].expected, missing.evidence[0].seen) == (10 / 1010, 60 / 1100)


@pytest.mark.parametrize("method", [*NUMERIC, *CATEGORICAL])
def test_every_method_finds_a_large_change_and_none_where_nothing_changed(method: str) -> None:
    random = np.random.default_rng(14)
    for make, is_number in ((numbers, True), (lambda x: texts(np.bincount(x.astype(int))), False)):
        if method not in (NUMERIC if is_number else CATEGORICAL):
            continue
        sides = [make(random.poisson(mean, 600) * 1.0) for mean in (4, 4, 6)]
        assert compare(sides[0], sides[2], method=method).drifted_alone
        assert not compare(sides[0], sides[1], method=method).drifted_alone


def test_methods_and_kinds_that_do_not_fit_are_refused() -> None:
    number, text = numbers(np.arange(50.0)), Column.of_categories(["a", "b"] * 30)
    with pytest.raises(ValueError, match="price is categorical"):
        compare(number, text, name="price")
    with pytest.raises(ValueError, match="anderson_darling"):
        compare(number, number, method="chi_square")
    with pytest.raises(ValueError, match="both sides"):
        permutation_test(np.array([1, 2]), np.array([0, 0]), CATEGORICAL["psi"])


def test_the_same_counts_give_the_same_answer() -> None:
    random = np.random.default_rng(15)
    one, other = numbers(random.normal(0, 1, 500)), numbers(random.normal(0.1, 1, 200))
    assert msgspec.json.encode(compare(one, other)) == msgspec.json.encode(compare(one, other))


def test_p_values_beyond_the_draws_are_bounded_from_above() -> None:
    """Where draws can still tell, the bound is above what they find."""
    random = np.random.default_rng(16)
    for shift in (0.12, 0.16, 0.2):
        sides = [random.normal(mean, 1, 500) for mean in (0, shift)]
        edges = np.linspace(-4, 4, 41)
        r, c = (np.histogram(np.clip(side, -3.99, 3.99), edges)[0] for side in sides)
        held = r + c > 0
        cells = Pair(r[held], c[held], edges[:-1][held])
        test = permutation_test(
            cells.reference, cells.current, NUMERIC["anderson_darling"](cells), stages=((9_999, 0.0),)
        )  # fmt: skip
        bound = anderson_darling_bound(cells)
        assert test.p_value < bound < 100 * test.p_value


def as_drifts(p_values: list[float], question: Question = Question.VALUES) -> list[Drift]:
    return [
        Drift(question, "numeric", "m", 1.0, 1.0, 0.1, p, 100, 100, Reason.CHANCE, name=str(at))
        for at, p in enumerate(p_values)
    ]


def test_q_values_are_those_of_scipy() -> None:
    p = np.random.default_rng(17).random(30) ** 3
    assert adjusted(p).tolist() == pytest.approx(stats.false_discovery_control(p).tolist())
    assert adjusted(p, Dependence.ARBITRARY).tolist() == pytest.approx(
        stats.false_discovery_control(p, method="by").tolist()
    )
    found = decide(as_drifts(p.tolist()))
    assert [each.q_value for each in found] == pytest.approx(stats.false_discovery_control(p).tolist())
    assert [each.drifted for each in found] == [(each.q_value or 0) <= 0.05 for each in found]


def test_the_level_is_shared_between_questions() -> None:
    values, missing = as_drifts([0.02])[0], as_drifts([1.0], Question.MISSING)[0]
    invalid = msgspec.structs.replace(missing, question=Question.INVALID)
    found = decide([values, missing, invalid])
    assert found[0].q_value == pytest.approx(0.02 / 0.8)
    assert found[0].reason is Reason.DRIFTED


def test_what_is_too_small_takes_no_part() -> None:
    small = msgspec.structs.replace(as_drifts([1e-9])[0], effect=0.01)
    found = decide([small, *as_drifts([0.02])])
    assert [each.drifted for each in found] == [False, True]
    assert found[0].reason is Reason.TRIFLING


def test_nothing_to_decide_and_levels_that_are_none() -> None:
    assert decide([]) == []
    with pytest.raises(ValueError, match="level"):
        decide([], 0)


def test_e_values_that_depend_on_each_other() -> None:
    assert e_benjamini_hochberg(np.array([19.0, 1.0])).tolist() == [False, False]
    assert e_benjamini_hochberg(np.array([41.0, 1.0])).tolist() == [True, False]
    assert e_benjamini_hochberg(np.array([20.0, 21.0])).tolist() == [True, True]
