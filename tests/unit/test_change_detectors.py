"""Detectors of concept drift against River, against their papers' formulas and against values worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
from loopwatch.detectors.change.adwin import Adwin
from loopwatch.detectors.change.blocks import LARGEST, OF_A_SIZE, SIZE, Block, append
from loopwatch.detectors.change.decline import decline
from loopwatch.detectors.change.glr import Glr
from loopwatch.detectors.change.kswin import Kswin
from loopwatch.detectors.change.page_hinkley import PageHinkley
from loopwatch.detectors.change.scale import Scale
from loopwatch.detectors.change.seed import Block as SeedBlock
from loopwatch.detectors.change.seed import Seed
from loopwatch.detectors.change.stepd import Stepd, equal_proportions
from loopwatch.detectors.interface import Detector, SnapshotError
from river import drift


def stream(seed: int) -> list[float]:
    """Errors and losses between 0 and 1 with changes at random places."""
    random = np.random.default_rng(seed)
    parts = [random.beta(*random.uniform(0.3, 4, 2), int(random.integers(50, 900))) for _ in range(6)]
    shares = [(random.random(400) < random.random()).astype(float) for _ in range(4)]
    return np.concatenate([*parts, *shares]).tolist()


def places(river: object, values: list[float]) -> list[int]:
    found = []
    for at, value in enumerate(values):
        river.update(value)  # pyright: ignore[reportAttributeAccessIssue]
        if river.drift_detected:  # pyright: ignore[reportAttributeAccessIssue]
            found.append(at)
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("ours", "rivers"),
    [
        (Adwin(), drift.ADWIN()),
        (Adwin(delta=0.1, clock=8, max_buckets=3), drift.ADWIN(delta=0.1, clock=8, max_buckets=3)),
        (PageHinkley(threshold=8.0), drift.PageHinkley(threshold=8.0)),
        (PageHinkley(threshold=8.0, mode="up"), drift.PageHinkley(threshold=8.0, mode="up")),
    ],
    ids=["adwin", "adwin of other parameters", "page_hinkley", "page_hinkley upwards"],
)
def test_it_finds_what_river_finds_even_when_restored_in_between(
    ours: Detector[float], rivers: drift.ADWIN | drift.PageHinkley, seed: int
) -> None:
    values, found = stream(seed), []
    ours, rivers = type(ours)(**ours.parameters), rivers.clone()  # pyright: ignore
    for begin in range(0, len(values), 37):
        found += [finding.at for finding in ours.update(values[begin : begin + 37])]
        ours = type(ours).restore(ours.snapshot())
    assert found == places(rivers, values)
    assert found


def test_kswin_that_tests_every_value_is_that_of_river() -> None:
    values = stream(1)[:700]
    found = [finding.at for finding in Kswin(seed=7, every=1).update(values)]
    assert found == places(drift.KSWIN(seed=7), values)
    assert found


def test_what_adwin_dropped_and_what_it_kept_are_in_its_finding() -> None:
    [found] = Adwin().update([0.0] * 500 + [1.0] * 12)
    assert (found.at, found.expected) == (511, pytest.approx(0.0, abs=0.02))
    assert found.seen == pytest.approx(12 / (found.at - found.since + 1))


@pytest.mark.parametrize("change", [{"width": 12.0}, {"levels": []}, {"count": 0}, {"tick": -1}])
def test_an_adwin_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    adwin = Adwin()
    adwin.update(stream(2)[:300])
    snapshot = adwin.snapshot()
    snapshot["state"]["memory"] |= change
    with pytest.raises(SnapshotError, match="damaged"):
        Adwin.restore(snapshot)


def test_stepd_waits_for_two_windows_and_then_tests_proportions() -> None:
    early = Stepd(window_size=10, alpha=0.05)
    assert early.update([0] * 10 + [1] * 9) == []
    [found] = early.update([1])
    assert (found.at, found.since, found.expected, found.seen) == (19, 10, 0.0, 1.0)
    # 20 values, half of them errors: z = (1 - 0.1) / sqrt(0.25 · 0.2).
    p_value = math.erfc(0.9 / math.sqrt(2 * 0.05))
    assert equal_proportions(0, 10, 10, 10) == pytest.approx(p_value)
    assert found.score == pytest.approx(1 - 2 ** -(math.log(p_value) / math.log(0.05)))


def test_stepd_refuses_what_is_no_error() -> None:
    with pytest.raises(ValueError, match=r"value 1 is 1\.5"):
        Stepd().update([0.5, 1.5])


def test_seed_cuts_where_two_blocks_differ_by_more_than_the_bound() -> None:
    # Two blocks of 8: variance 1/4, confidence ln(2 ln 16 / 0.05), harmonic 1/4.
    confidence = math.log(2 * math.log(16) / 0.05)
    bound = math.sqrt(2 / 4 / 4 * confidence) + confidence / 6
    assert bound > 1
    assert Seed(block_size=8).update([0.0] * 8 + [1.0] * 8) == []
    # With 8 blocks before, the difference of 1 is beyond it: variance 8/81, 1/64 + 1/8.
    confidence, m = math.log(2 * math.log(72) / 0.05), 1 / 64 + 1 / 8
    bound = math.sqrt(2 * m * 8 / 81 * confidence) + 2 / 3 * confidence * m
    [found] = Seed(block_size=8).update([0.0] * 64 + [1.0] * 8)
    assert (found.at, found.since, found.expected, found.seen) == (71, 64, 0.0, 1.0)
    assert found.score == pytest.approx(1 - 2 ** (-1 / bound))


def test_blocks_of_seed_join_exactly() -> None:
    values = np.random.default_rng(3).normal(5, 2, 64)
    first, second = SeedBlock(0), SeedBlock(32)
    for value in values[:32].tolist():
        first.add(value)
    for value in values[32:].tolist():
        second.add(value)
    both = first.joined(second)
    assert (both.since, both.n, both.sum) == (0, 64, pytest.approx(values.sum()))
    assert both.squares == pytest.approx(((values - values.mean()) ** 2).sum())


def test_seed_joins_blocks_that_are_alike_and_never_has_too_many() -> None:
    alike, large = Seed(block_size=4, term=10), Seed(block_size=4, term=10)
    alike.update([0.5, 0.5] * 1_000)
    assert len(alike.snapshot()["state"]["memory"]["blocks"]) <= 13
    large.update((1e6 * np.random.default_rng(4).random(2_000)).tolist())
    assert len(large.snapshot()["state"]["memory"]["blocks"]) <= 40


def test_the_window_keeps_every_value_in_few_blocks_of_falling_size() -> None:
    blocks: list[Block] = []
    for at in range(5_000):
        append(blocks, Block(at * SIZE, SIZE, 1.0, 2.0, 3.0))
        sizes = [block.n for block in blocks]
        assert sizes == sorted(sizes, reverse=True)
        assert max(map(sizes.count, sizes)) <= OF_A_SIZE
    assert (sum(sizes), sum(block.sum for block in blocks)) == (5_000 * SIZE, 5_000)
    assert all(later.since == earlier.since + earlier.n for earlier, later in pairwise(blocks))


def test_a_window_of_the_greatest_length_loses_its_oldest_block() -> None:
    blocks = [Block(at, size, 0.0, 0.0, 0.0) for size in _all_sizes() for at in range(OF_A_SIZE)]
    append(blocks, Block(0, SIZE, 1.0, 0.0, 0.0))
    assert [block.n for block in blocks].count(LARGEST) == OF_A_SIZE
    assert len(blocks) <= 25 * OF_A_SIZE


def _all_sizes() -> list[int]:
    return [LARGEST >> step for step in range(25)]


def test_evidence_of_two_values_is_the_bernoulli_likelihood_ratio() -> None:
    glr = Glr()
    glr.update([0.0, 1.0] * 16 + [1.0] * 31)
    [found] = glr.update([1.0])
    # 16 of 32 and 32 of 32, against 48 of 64.
    evidence = 32 * math.log(0.5) - (48 * math.log(0.75) + 16 * math.log(0.25))
    assert evidence == pytest.approx(13.81, abs=0.01)
    assert (found.at, found.since, found.expected, found.seen) == (63, 32, 0.5, 1.0)
    assert found.score == pytest.approx(1 - 2 ** (-evidence / 12))


def test_evidence_of_losses_is_the_normal_likelihood_ratio_on_their_scale() -> None:
    random = np.random.default_rng(5)
    values = np.concatenate([random.normal(2, 1, 32), random.normal(3, 1, 32)])
    glr = Glr(evidence=1_000.0)
    glr.update(values.tolist())
    scaled = np.arcsinh(values / np.abs(values[:32]).mean())
    ratio = scaled.var() / np.concatenate([half - half.mean() for half in (scaled[:32], scaled[32:])]).var()
    assert glr.score == pytest.approx(1 - 2 ** -(32 * math.log(ratio) / 1_000))


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_the_unit_of_losses_does_not_matter(unit: float) -> None:
    random = np.random.default_rng(6)
    losses = np.concatenate([random.lognormal(0, 1, 3_000), random.lognormal(1, 1, 1_000)])
    [found] = Glr().update((unit * losses).tolist())
    assert abs(found.since - 3_000) <= 64
    assert found.expected == pytest.approx(unit * losses[: found.since].mean())


def test_one_huge_loss_is_no_drift() -> None:
    losses = np.random.default_rng(7).exponential(1.0, 3_000)
    losses[1_500] = 1e12
    assert Glr().update(losses.tolist()) == []


def errors(*stretches: tuple[int, float | np.ndarray], seed: int = 8) -> list[float]:
    """Of stretches, each of so many errors with such a share of ones."""
    shares = np.concatenate([np.broadcast_to(share, n) for n, share in stretches])
    return (np.random.default_rng(seed).random(len(shares)) < shares).astype(float).tolist()


def test_a_model_that_improves_at_once_is_found_and_judged_by_how_good_it_became() -> None:
    better, worse = Glr().update(errors((3_000, 0.4), (3_000, 0.1), (3_000, 0.4)))
    assert abs(better.since - 3_000) <= 64
    assert (better.expected, better.seen) == (pytest.approx(0.4, abs=0.03), pytest.approx(0.1, abs=0.05))
    assert abs(worse.since - 6_000) <= 64
    assert worse.expected == pytest.approx(0.1, abs=0.02)


def test_losses_that_fall_at_once_are_found_whatever_their_size() -> None:
    random = np.random.default_rng(11)
    losses = np.concatenate([random.lognormal(3, 1, 3_000), random.lognormal(2, 1, 3_000)])
    [better] = Glr().update(losses.tolist())
    assert abs(better.since - 3_000) <= 64
    assert (better.expected or 0) > 2 * (better.seen or 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_learns_is_no_finding_but_the_next_rise_is_judged_by_how_good_it_became(seed: int) -> None:
    learning = 0.1 + 0.3 / np.sqrt(1 + np.arange(8_000) / 500)
    [worse] = Glr().update(errors((8_000, learning), (1_000, 0.4), seed=seed))
    assert abs(worse.since - 8_000) <= 128
    assert worse.expected == pytest.approx(learning[4_000:].mean(), abs=0.03)


def test_recovery_from_a_drift_is_no_finding_and_an_improvement_after_it_is_one() -> None:
    worse, better = Glr().update(errors((3_000, 0.2), (2_000, 0.5), (4_000, 0.18), (2_000, 0.03)))
    assert abs(worse.since - 3_000) <= 64
    assert abs(better.since - 9_000) <= 64
    assert better.expected == pytest.approx(0.18, abs=0.02)


def test_recovery_in_part_is_no_finding_and_goes_on_to_be_recovery_in_another_process() -> None:
    values = errors((3_000, 0.1), (2_000, 0.6), (3_000, 0.3), (3_000, 0.12))
    begun = Glr()
    assert len(begun.update(values[:7_000])) == 1
    assert Glr.restore(begun.snapshot()).update(values[7_000:]) == []


@pytest.mark.parametrize(("evidence", "needed"), [(1_000.0, 1_000 - math.log(8)), (2.0, 1.0)])
def test_a_change_that_many_values_show_needs_less_evidence_but_half_of_it_at_least(
    evidence: float, needed: float
) -> None:
    glr = Glr(evidence=evidence)
    quarter, more = [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0] * 7 + [0.0, 0.0, 1.0, 1.0]
    glr.update(quarter * 64 + more * 8)
    # 64 of 256 and 72 of 256, against 136 of 512.
    ratio = sum(sign * _log_likelihood(ones, n) for sign, ones, n in [(1, 64, 256), (1, 72, 256), (-1, 136, 512)])
    assert 0.2 < ratio < 1
    assert glr.score == pytest.approx(1 - 2 ** (-ratio / needed), abs=1e-9)


def _log_likelihood(ones: int, n: int) -> float:
    return ones * math.log(ones / n) + (n - ones) * math.log(1 - ones / n)


def test_a_curve_that_meets_every_block_leaves_nothing_to_a_fall() -> None:
    curve, falls = decline(np.full(3, 32.0), np.array([32.0, 8.0, 0.0]), np.array([32.0, 2.0, 0.0]))
    assert curve == math.inf
    assert falls.tolist() == [0.0, 0.0]


def test_evidence_of_a_fall_is_what_a_step_explains_beside_the_curve() -> None:
    random = np.random.default_rng(12)
    values = random.normal(0, 1, (20, 32)) + np.where(np.arange(20) < 12, 1.0, 0.0)[:, None]
    curve, falls = decline(np.full(20, 32.0), values.sum(axis=1), (values**2).sum(axis=1))
    t = 32 * np.arange(20) + 16.0
    shapes = np.repeat(np.column_stack([np.ones(20), t, np.log(t), np.arange(20) > 11]), 32, axis=0)
    constant, smooth, stepped = (
        ((values.ravel() - of @ np.linalg.lstsq(of, values.ravel())[0]) ** 2).sum()
        for of in (shapes[:, :1], shapes[:, :3], shapes)
    )
    assert curve == pytest.approx(320 * math.log(constant / smooth))
    assert falls[11] == pytest.approx(320 * math.log(smooth / stepped))
    assert falls.argmax() == 11


def test_the_first_errors_after_a_long_time_without_any_are_found() -> None:
    [found] = Glr().update([0.0] * 5_000 + [1.0, 0.0, 0.0, 0.0] * 16)
    assert (found.since, found.expected) == (4_992, pytest.approx(0.0))


def test_the_scale_keeps_shares_of_two_values_and_centres_the_first_block() -> None:
    scale = Scale()
    assert not scale.meet([0.0, 0.0])
    assert scale.of([0.0]).tolist() == [0.0]
    assert scale.meet([0.0, 4.0])
    assert (scale.unit, scale.distinct) == (2.0, [0.0, 4.0])
    assert scale.ends == pytest.approx((-math.asinh(2) / 2, math.asinh(2) / 2))
    assert not scale.meet([1.0, 4.0])
    assert (scale.many, scale.distinct) == (True, [])
