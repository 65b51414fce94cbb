"""Metrics out of sums and counts: what is undefined is left out, and intervals stay where they must."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopwatch.detectors.quality.binary import Decisions, ReliabilityBin, Scores, of_decisions, of_scores
from loopwatch.detectors.quality.estimates import mean, proportion
from loopwatch.detectors.quality.multiclass import of_confusion
from loopwatch.detectors.quality.regression import Residuals, of_residuals
from sklearn import metrics as sk

counts = st.integers(0, 1000)
SOME = Scores(10, 4, 0.8, 0.7, 5.0, 4.0, 1.0, 0.3, (ReliabilityBin(10, 5.0, 4),))


def test_nothing_has_no_metrics() -> None:
    assert of_decisions(Decisions()) == {}
    assert of_scores(Scores(0, 0, math.nan, math.nan, 0, 0, 0, 0)) == {}
    assert of_confusion({}) == {}
    assert of_residuals(Residuals(0, 0, 0, 0, 0, 0, 0, 0)) == {}


@pytest.mark.parametrize(
    ("decisions", "missing"),
    [
        (Decisions(true_negative=5), {"precision", "recall", "f1"}),
        (Decisions(false_negative=2, true_negative=5), {"precision"}),
        (Decisions(true_positive=3), {"specificity"}),
        (Decisions(1, 1, 1, 1), set[str]()),
    ],
)
def test_a_share_of_nothing_is_left_out(decisions: Decisions, missing: set[str]) -> None:
    names = {"accuracy", "precision", "recall", "specificity", "f1", "prevalence"}
    assert names - of_decisions(decisions).keys() == missing


@pytest.mark.parametrize(("positives", "missing"), [(0, {"roc_auc", "pr_auc"}), (10, {"roc_auc"})])
def test_one_class_alone_has_no_auc(positives: int, missing: set[str]) -> None:
    scores = Scores(10, positives, math.nan, 1.0, *(1.0, 1.0, 1.0, 1.0))
    assert {"roc_auc", "pr_auc"} - of_scores(scores).keys() == missing


def test_scores_add_up_to_means() -> None:
    metrics = of_scores(SOME)
    assert (metrics["log_loss"].value, metrics["brier"].value) == (0.5, 0.1)
    assert metrics["calibration_error"].value == pytest.approx(0.1)


def test_the_interval_of_auc_is_that_of_the_paper() -> None:
    # Hanley and McNeil 1982: area 0.893 with 51 abnormal and 58 normal images has a standard error of 0.032.
    estimate = of_scores(Scores(109, 51, 0.893, 0.9, 1, 1, 1, 1))["roc_auc"]
    assert ((estimate.upper or 0) - estimate.value) / 1.96 == pytest.approx(0.032, abs=0.001)


def test_a_perfect_fit_has_no_error_and_a_constant_truth_no_r2() -> None:
    perfect = of_residuals(Residuals(5, 0, 0, 0, 0, 0, 0, 10.0))
    assert (perfect["rmse"].value, perfect["r2"].value) == (0.0, 1.0)
    assert "r2" not in of_residuals(Residuals(5, 1, 1, 1, 1, 1, 1, 0.0))


@given(counts, counts, counts, counts)
def test_intervals_hold_their_value_between_0_and_1(tp: int, fp: int, fn: int, tn: int) -> None:
    for estimate in of_decisions(Decisions(tp, fp, fn, tn)).values():
        assert estimate.lower is not None
        assert estimate.upper is not None
        assert 0 <= estimate.lower <= estimate.value <= estimate.upper <= 1


@given(counts, st.integers(1, 1000))
def test_more_of_the_same_narrows_an_interval(successes: int, n: int) -> None:
    share, more = proportion(min(successes, n), n), proportion(10 * min(successes, n), 10 * n)
    assert share is not None
    assert more is not None
    assert (more.upper or 0) - (more.lower or 0) < (share.upper or 0) - (share.lower or 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_a_mean_lies_in_its_interval(values: list[float]) -> None:
    estimate = mean(math.fsum(values), math.fsum(value * value for value in values), len(values))
    assert estimate is not None
    assert estimate.lower is not None
    assert estimate.upper is not None
    assert estimate.lower <= estimate.value <= estimate.upper


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_any_confusion_gives_scikit_learns_means(pairs: list[tuple[str, str]]) -> None:
    truth, said = [label for label, _ in pairs], [predicted for _, predicted in pairs]
    found = of_confusion({pair: pairs.count(pair) for pair in pairs})
    for average in ("macro", "weighted"):
        expected = sk.f1_score(truth, said, average=average, zero_division=0)
        assert found[f"{average}_f1"].value == pytest.approx(expected, abs=1e-12)


@given(st.dictionaries(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), st.integers(1, 20), min_size=2))
def test_the_order_of_a_confusion_does_not_show(confusion: dict[tuple[str, str], int]) -> None:
    assert of_confusion(dict(reversed(confusion.items()))) == of_confusion(confusion)
