"""Estimates before labels: calibration, weights of early labels, expected metrics, and how far they were off."""

from collections import Counter

import numpy as np
import pytest
from loopwatch.detectors.label_free.calibration import Calibration, LabelledBin, bin_of, calibrate
from loopwatch.detectors.label_free.delays import BUCKETS, bucket, delay_weights
from loopwatch.detectors.label_free.expected import Chances, ScoredBin, expected, expected_chances, metrics_of
from loopwatch.detectors.label_free.gap import AnsweredBin, reconcile
from loopwatch.detectors.label_free.isotonic import isotonic
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

DAY_S = 86_400
NAMES = {"accuracy", "precision", "recall", "f1", "roc_auc"}


def labelled(scores: np.ndarray, truth: np.ndarray, stratum: int = 0) -> list[LabelledBin]:
    """Labels of weight one, by bin."""
    n, positives = Counter[int](), Counter[int]()
    for score, is_positive in zip(scores.tolist(), truth.tolist(), strict=True):
        n[bin_of(score)] += 1
        positives[bin_of(score)] += bool(is_positive)
    return [LabelledBin(stratum, each, n[each], positives[each], n[each]) for each in sorted(n)]


def calibrated(cells: list[LabelledBin]) -> Calibration:
    found = calibrate(cells)
    assert found is not None
    return found


def scored(scores: np.ndarray, threshold: float = 0.5) -> list[ScoredBin]:
    counts = Counter((bin_of(score), score >= threshold) for score in scores.tolist())
    return [ScoredBin(0, each, bool(said), n) for (each, said), n in sorted(counts.items())]


def answered(rng: np.random.Generator, cells: list[ScoredBin], chances: np.ndarray) -> list[AnsweredBin]:
    happened = rng.binomial([cell.n for cell in cells], chances)
    return [AnsweredBin(cell, n) for cell, n in zip(cells, happened.tolist(), strict=True)]


def test_isotonic_regression_equals_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 50, 400):
        values, weights = (np.arange(n) / n + rng.normal(0, 0.3, n)), rng.uniform(0.1, 9, n)
        expected_values = IsotonicRegression().fit(np.arange(n), values, weights).predict(np.arange(n))
        assert isotonic(values.tolist(), weights.tolist()) == pytest.approx(expected_values.tolist())


def test_weights_undo_the_head_start_of_early_labels() -> None:
    """Three in ten are positive; their labels take a day, the others twelve, and the oldest is of forty days ago."""
    rng = np.random.default_rng(2)
    age_s = rng.uniform(0, 40 * DAY_S, 20_000)
    truth = rng.random(20_000) < 0.3
    delay_s = np.where(truth, 1, 12) * rng.uniform(0.5, 1.5, 20_000) * DAY_S
    known = delay_s < age_s
    ages, delays = [bucket(age) for age in age_s], [bucket(delay) for delay in delay_s]
    weights = delay_weights(
        Counter(ages), Counter(each for each, is_known in zip(delays, known, strict=True) if is_known)
    )
    weight = np.array([weights.of_age[a] * weights.of_delay[d] for a, d in zip(ages, delays, strict=True)])[known]
    assert truth[known].mean() > 0.36
    assert np.average(truth[known], weights=weight) == pytest.approx(0.3, abs=0.02)


def test_predictions_of_a_half_life_ago_count_half() -> None:
    ages = {bucket(day * DAY_S): 10_000 for day in (10, 20, 40)}
    weights = delay_weights(ages, {bucket(10 * DAY_S): 100})
    young, old = weights.of_age[bucket(10 * DAY_S)], weights.of_age[bucket(20 * DAY_S)]
    assert young == 1
    assert old / young == pytest.approx(0.5, abs=0.05)


def test_no_label_stands_for_more_than_twenty() -> None:
    weights = delay_weights({bucket(DAY_S): 1000}, {bucket(3600): 5})
    assert weights.of_delay[bucket(3600)] == pytest.approx(1)
    assert max(weights.of_delay) == 20
    assert len(weights.of_age) == len(weights.of_delay) == BUCKETS
    with pytest.raises(ValueError, match="no predictions"):
        delay_weights({}, {})


def test_too_few_labels_calibrate_nothing() -> None:
    enough = [LabelledBin(0, -9, 250, 50, 250), LabelledBin(0, 9, 250, 200, 250)]
    assert calibrate(enough) is not None
    assert calibrate([*enough[:1], LabelledBin(0, 9, 249, 200, 249)]) is None
    assert calibrate([LabelledBin(0, 0, 10_000, 24, 10_000)]) is None
    # A hundred labels that stand for ten each know no more than a hundred.
    assert calibrate([LabelledBin(0, 0, 1000, 500, 10_000)]) is None


def test_a_score_means_what_its_stratum_says() -> None:
    low, high = LabelledBin(1, 0, 5000, 1000, 5000), LabelledBin(2, 0, 5000, 4000, 5000)
    calibration = calibrated([low, high])
    in_low, in_high, elsewhere = calibration.chance([1, 2, 3], np.zeros(3, np.int64))
    assert in_low == pytest.approx(0.2, abs=0.01)
    assert in_high == pytest.approx(0.8, abs=0.01)
    assert elsewhere == pytest.approx(0.5)
    few = calibrated([low, high, LabelledBin(3, 0, 10, 10, 10)])
    assert 0.5 < few.chance([3], np.zeros(1, np.int64))[0] < 0.6


def test_expected_metrics_are_scikit_learns_with_each_outcome_as_likely_as_it_is() -> None:
    rng = np.random.default_rng(3)
    scores = rng.beta(1, 2, 3000)
    calibration = calibrated(labelled(scores, rng.random(3000) < scores**1.5))
    cells = scored(scores, 0.4)
    chances = expected_chances(calibration, cells)
    happened, n = chances.happened, chances.n
    truth, said = np.repeat([1, 0], len(n)), np.tile(chances.said, 2)
    weight, bins = np.concatenate([happened, n - happened]), np.tile(chances.bins, 2)
    found = expected(calibration, cells)
    assert found.keys() == NAMES
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(truth, said, sample_weight=weight))
    assert found["precision"].value == pytest.approx(sk.precision_score(truth, said, sample_weight=weight))
    assert found["recall"].value == pytest.approx(sk.recall_score(truth, said, sample_weight=weight))
    assert found["f1"].value == pytest.approx(sk.f1_score(truth, said, sample_weight=weight))
    assert found["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, bins, sample_weight=weight))
    assert {metric.n for metric in found.values()} == {3000}


def test_gradients_say_how_a_metric_changes_with_one_more_positive() -> None:
    rng = np.random.default_rng(4)
    n = rng.integers(10, 50, 30).astype(float)
    chances = Chances(np.repeat(np.arange(15), 2), np.tile([0.0, 1.0], 15), n, n * rng.uniform(0.1, 0.9, 30))
    for name, metric in metrics_of(chances).items():
        for at in (0, 7, 29):
            nudged = chances.happened.copy()
            nudged[at] += 1e-4
            moved = metrics_of(Chances(chances.bins, chances.said, n, nudged))[name].value - metric.value
            assert moved / 1e-4 == pytest.approx(metric.gradient[at], rel=1e-3, abs=1e-7), name


def test_what_is_undefined_is_left_out() -> None:
    calibration = calibrated([LabelledBin(0, 0, 1000, 300, 1000)])
    assert expected(calibration, [ScoredBin(0, 0, False, 10)]).keys() == {"accuracy", "recall", "f1", "roc_auc"}
    assert expected(calibration, []) == {}
    assert reconcile(calibration, []) == {}
    nothing_happened = reconcile(calibration, [AnsweredBin(ScoredBin(0, 0, True, 10), 0)])
    assert {name.rpartition("_")[0] for name in nothing_happened} == {"accuracy", "precision", "f1"}


def test_intervals_hold_what_comes_out_about_as_often_as_they_say() -> None:
    """Other labels calibrate each time, and other outcomes come: both are in the interval."""
    rng = np.random.default_rng(5)
    inside: dict[str, list[bool]] = {name: [] for name in NAMES}
    for _ in range(200):
        known = rng.beta(1, 1.5, 3000)
        calibration = calibrated(labelled(known, rng.random(3000) < known))
        cells = scored(rng.beta(2, 1.5, 2000))
        centres = 1 / (1 + np.exp(-(np.array([cell.bin for cell in cells]) + 0.5) / 20))
        found = reconcile(calibration, answered(rng, cells, centres))
        for name, held in inside.items():
            gap = found[f"{name}_gap"]
            assert gap.value == pytest.approx(found[f"{name}_realised"].value - found[f"{name}_estimated"].value)
            held.append(gap.lower is not None and gap.upper is not None and gap.lower <= 0 <= gap.upper)
    assert {name: 0.89 <= np.mean(held) <= 1 for name, held in inside.items()} == dict.fromkeys(NAMES, True)


def test_the_gap_shows_that_a_score_no_longer_means_what_it_did() -> None:
    rng = np.random.default_rng(6)
    scores = rng.beta(1, 1, 4000)
    calibration, cells = calibrated(labelled(scores, rng.random(4000) < scores)), scored(rng.beta(1, 1, 2000))
    flipped = 1 - expected_chances(calibration, cells).happened / np.array([cell.n for cell in cells])
    found = reconcile(calibration, answered(rng, cells, flipped))
    for name in NAMES:
        assert (found[f"{name}_gap"].upper or 0) < -0.3, name
