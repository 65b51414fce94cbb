"""Distances of counts equal scipy's on the values, where bins are exact, and keep the laws of distances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopwatch.detectors.drift import categorical, numeric
from loopwatch.detectors.drift.cells import pair
from loopwatch.detectors.drift.column import Column
from loopwatch.detectors.drift.numbers import of_histogram, of_values
from loopwatch.detectors.drift.rates import rate_test
from loopwatch.detectors.histogram import Bin, Histogram, bin_of
from scipy import stats
from scipy.spatial import distance

COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12).filter(
    lambda rows: sum(r for r, _ in rows) > 0 and sum(c for _, c in rows) > 0
)
DISTANCES = {
    "wasserstein": lambda r, c: numeric.wasserstein(r, c, np.arange(r.size) * 1.0),
    "kolmogorov_smirnov": numeric.kolmogorov_smirnov,
    "rank_shift": numeric.rank_shift,
    "anderson_darling": numeric.anderson_darling,
    "jensen_shannon": categorical.jensen_shannon,
    "psi": categorical.psi,
    "chi_square": categorical.chi_square,
}


def integers(seed: int, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(-60, 60, 400) * 1.0, random.integers(-50 + shift, 60, 250) * 1.0


@pytest.mark.parametrize("seed", range(4))
def test_of_exact_numbers_they_are_scipys(seed: int) -> None:
    before, after = integers(seed)
    both = pair(of_values(before), of_values(after))
    r, c = both.reference, both.current
    assert numeric.wasserstein(r, c, both.points) == pytest.approx(stats.wasserstein_distance(before, after))
    assert numeric.kolmogorov_smirnov(r, c) == pytest.approx(stats.ks_2samp(before, after).statistic)
    assert numeric.cramer_von_mises(r, c) == pytest.approx(stats.cramervonmises_2samp(before, after).statistic)
    assert categorical.jensen_shannon(r, c) == pytest.approx(distance.jensenshannon(r, c))
    assert categorical.chi_square(r, c) == pytest.approx(stats.chi2_contingency([r, c], correction=False).statistic)


def test_anderson_darling_equals_the_paper_of_scholz_and_stephens() -> None:
    """scipy standardises it; between two with the same ties that is only a factor."""
    base = np.arange(20.0)
    splits = [base[::2], base[:10], base[5:15]]
    ours, theirs = [], []
    for one in splits:
        other = np.setdiff1d(base, one)
        both = pair(of_values(one), of_values(other))
        ours.append(float(numeric.anderson_darling(both.reference, both.current)))
        theirs.append(
            stats.anderson_ksamp([one, other], variant="midrank", method=stats.PermutationMethod(9)).statistic
        )
    assert (ours[1] - ours[0]) / (theirs[1] - theirs[0]) == pytest.approx((ours[2] - ours[0]) / (theirs[2] - theirs[0]))
    # By hand: of values 1 | 2 the terms at 1/4 and 3/4 are ½²/(3/16 - 1/8)·½ = 2 each, times 1·1·(2 - 1)/2².
    assert numeric.anderson_darling(np.array([1, 0]), np.array([0, 1])) == pytest.approx(1.0)


def test_psi_by_hand_and_a_category_that_is_new() -> None:
    assert categorical.psi(np.array([25, 75]), np.array([50, 50])) == pytest.approx(
        0.25 * math.log(2) - 0.25 * math.log(2 / 3)
    )
    assert math.isfinite(float(categorical.psi(np.array([0, 100]), np.array([30, 70]))))
    assert categorical.unseen_share(np.array([0, 100]), np.array([30, 70])) == pytest.approx(0.3)


@given(COUNTS)
@pytest.mark.parametrize("name", DISTANCES)
def test_they_are_symmetric_and_zero_on_equality(name: str, rows: list[tuple[int, int]]) -> None:
    r, c = np.array(rows).T
    measure = DISTANCES[name]
    assert measure(r, c) == pytest.approx(measure(c, r), abs=1e-9)
    assert measure(r, 3 * r) == pytest.approx(0.0, abs=1e-6 if name != "psi" else 0.5)
    assert float(measure(r, c)) >= -1e-12


@given(COUNTS, st.randoms(use_true_random=False))
@pytest.mark.parametrize("name", ["jensen_shannon", "psi", "chi_square"])
def test_of_categories_neither_order_nor_empty_ones_matter(name: str, rows: list[tuple[int, int]], random) -> None:
    r, c = np.array(rows).T
    order = list(range(len(rows))) + [len(rows)] * 2
    random.shuffle(order)
    longer = [np.append(side, 0)[order] for side in (r, c)]
    assert DISTANCES[name](*longer) == pytest.approx(float(DISTANCES[name](r, c)), abs=1e-9)


@given(COUNTS, st.integers(0, 12))
def test_of_numbers_empty_bins_do_not_matter(rows: list[tuple[int, int]], at: int) -> None:
    r, c = np.array(rows).T
    points = np.arange(r.size) * 1.0
    at = min(at, r.size)
    between = np.insert(points, at, at - 0.5)
    wider = [np.insert(side, at, 0) for side in (r, c)]
    assert numeric.wasserstein(*wider, between) == pytest.approx(float(numeric.wasserstein(r, c, points)), abs=1e-9)
    for name in ("kolmogorov_smirnov", "anderson_darling", "rank_shift"):
        assert DISTANCES[name](*wider) == pytest.approx(float(DISTANCES[name](r, c)), abs=1e-6)


def test_they_grow_with_the_shift() -> None:
    values = np.arange(100.0)
    for name in ("wasserstein", "kolmogorov_smirnov", "rank_shift", "anderson_darling"):
        found = []
        for shift in (0, 5, 10, 20):
            both = pair(of_values(values), of_values(values + shift))
            measure = (
                DISTANCES[name] if name != "wasserstein" else lambda r, c, at=both.points: numeric.wasserstein(r, c, at)
            )
            found.append(float(measure(both.reference, both.current)))
        assert found == sorted(found)
        assert found[0] == pytest.approx(0, abs=1e-9)
        assert found[1] > 0


def test_many_columns_at_once_are_the_same_as_one_by_one() -> None:
    random = np.random.default_rng(5)
    r, c = random.integers(0, 30, (2, 7, 9))
    for measure in (*(DISTANCES[name] for name in DISTANCES if name != "wasserstein"), numeric.cramer_von_mises):
        assert measure(r, c).tolist() == pytest.approx([float(measure(*each)) for each in zip(r, c, strict=True)])


def test_nothing_is_told_of_an_empty_side() -> None:
    for name in ("jensen_shannon", "psi", "kolmogorov_smirnov", "wasserstein"):
        assert math.isnan(float(DISTANCES[name](np.array([1, 2]), np.array([0, 0]))))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60))
def test_arrays_fall_into_the_bins_of_the_panes(values: list[float]) -> None:
    finite = [each for each in values if math.isfinite(each)]
    counts = dict.fromkeys(map(bin_of, finite), 0)
    for each in finite:
        counts[bin_of(each)] += 1
    numbers = of_values(values)
    assert dict(zip(numbers.bins.tolist(), numbers.n.tolist(), strict=True)) == counts
    column = Column.of_numbers(np.array(values))
    assert (column.n, column.missing) == (len(finite), sum(map(math.isnan, values)))
    assert column.rows == len(values)


@given(st.lists(st.integers(-127, 127).map(float) | st.floats(-1e9, 1e9), min_size=2, max_size=60))
def test_mean_and_variance_are_those_of_the_values(values: list[float]) -> None:
    numbers = of_values(values)
    scale = max(1e-6, *map(abs, values))
    assert numbers.average == pytest.approx(np.mean(values), abs=1e-6 * scale)
    assert numbers.variance == pytest.approx(np.var(values), abs=1e-5 * scale**2)


def test_a_histogram_is_the_same_as_its_values() -> None:
    values = [1.0, 1.0, 6.0, -2.0, 0.0]
    bins = [Bin(bin_of(each), values.count(each)) for each in sorted(set(values))]
    for one, other in zip(of_histogram(Histogram(bins[::-1])), of_values(values), strict=True):
        assert one.tolist() == other.tolist()
    assert of_histogram(Histogram()).total == 0


@pytest.mark.parametrize("table", [(3, 40, 9, 50), (0, 100, 4, 60), (500, 1000, 430, 1000), (1, 2, 0, 1)])
def test_two_shares_are_compared_exactly(table: tuple[int, int, int, int]) -> None:
    a, n, b, m = table
    assert rate_test(*table).p_value == pytest.approx(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)


def test_large_shares_are_compared_by_their_scores() -> None:
    found = rate_test(200_000, 1_000_000, 201_500, 1_000_000)
    chi = stats.chi2_contingency([[200_000, 800_000], [201_500, 798_500]], correction=False)
    assert (found.method, found.p_value) == ("score", pytest.approx(chi.pvalue))


@pytest.mark.parametrize("table", [(3, 2, 1, 5), (-1, 2, 1, 5), (0, 0, 1, 5)])
def test_a_share_that_is_none_is_refused(table: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="a share has"):
        rate_test(*table)
