"""NAB's scoring, on cases computed by hand from its description."""

import math

import pytest

from benchmarks.detection.nab import PROFILES, Series, judge, judge_unseen, scaled_sigmoid, worths

STANDARD, LOW_FP, LOW_FN = PROFILES


def series(n: int = 200, windows: tuple[tuple[int, int], ...] = ((100, 109),)) -> Series:
    return Series("folder/file.csv", list(range(n)), [0.0] * n, windows)


def scores(detected: dict[int, float], n: int = 200) -> list[float]:
    return [detected.get(row, 0.0) for row in range(n)]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda each: each.name)
def test_the_perfect_detector_has_100_and_that_of_nothing_0(profile) -> None:
    corpus = [series(), series(300, ((60, 80), (200, 219)))]
    first = [scores({100: 1.0}), scores({60: 1.0, 200: 1.0}, 300)]
    assert judge(list(zip(corpus, first, strict=True)), profile).score == pytest.approx(100.0)
    nothing = judge([(each, [0.5] * len(each.values)) for each in corpus], profile)
    assert (nothing.score, nothing.threshold, nothing.found) == (0.0, math.inf, 0)


def test_probation_is_15_percent_and_750_rows_at_most() -> None:
    assert [series(n, ()).probation for n in (100, 4_032, 5_000, 22_695)] == [15, 604, 750, 750]
    early = judge([(series(), scores({3: 2.0, 29: 1.5, 100: 1.0}))], STANDARD)
    assert (early.score, early.false_alarms) == (pytest.approx(100.0), 0)


def test_a_detection_is_worth_less_the_later_it_is_and_only_the_earliest_counts() -> None:
    at_half = scaled_sigmoid(-0.5) / scaled_sigmoid(-1.0)
    assert scaled_sigmoid(-0.5) == pytest.approx(0.84828, abs=1e-5)
    for detected in ({105: 1.0}, {105: 1.0, 107: 1.0, 109: 1.0}):
        assert judge([(series(), scores(detected))], STANDARD).score == pytest.approx(50.0 * (at_half + 1.0))


def test_a_false_alarm_costs_by_how_far_it_is_past_the_last_window() -> None:
    worth, window = worths(series(200, ((100, 109),)))
    assert worth[50] == -1.0
    assert worth[109 + 3] == pytest.approx(scaled_sigmoid(3 / 9))
    assert worth[109 + 27] == -1.0
    assert (window[99], window[100], window[109], window[110]) == (-1, 0, 0, -1)
    for profile, cost in ((STANDARD, 0.11 / 2), (LOW_FP, 0.22 / 2), (LOW_FN, 0.11 / 3)):
        assert judge([(series(), scores({50: 1.0, 100: 1.0}))], profile).score == pytest.approx(100.0 - 100.0 * cost)


def test_one_threshold_for_the_corpus_is_the_best_one() -> None:
    judged = judge([(series(), scores({100: 0.6, 40: 0.5})), (series(), scores({100: 0.9, 30: 0.95}))], STANDARD)
    assert (judged.threshold, judged.found, judged.false_alarms) == (0.6, 2, 1)
    assert judged.score == pytest.approx(100.0 * (2.0 - 0.11 + 2.0) / 4.0)


def test_an_unseen_fold_is_judged_by_the_threshold_of_the_others() -> None:
    good = (series(), scores({100: 0.6}))
    silent = (series(), scores({100: 0.5}))
    assert judge([good, silent], STANDARD).score == pytest.approx(100.0)
    assert judge_unseen([[good], [silent]], STANDARD) == pytest.approx(50.0)


def test_a_series_needs_a_score_for_each_row() -> None:
    with pytest.raises(ValueError, match="3 scores for the 200 rows"):
        judge([(series(), [0.0] * 3)], STANDARD)
