"""Detectors that Loopwatch's is compared with on the Numenta Anomaly Benchmark: a score for each row of a series.

River's Gaussian and predictive scorers call a constant series an anomaly at each of its rows: here they are spared
that, by a score of 0 until a second value has come. The predictive one's `n_std` is where its score is cut off at 1:
at 3 a hundred rows of a series share the highest score, and no threshold tells them apart; 100 leaves it room.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence

from loopwatch.detectors.anomaly.points import Point
from loopwatch.detectors.anomaly.series import SeriesAnomalies
from river import anomaly, linear_model, preprocessing, time_series

from .nab import Series

Scorer = Callable[[Series], Sequence[float]]


def loopwatch(series: Series) -> list[float]:
    """The default series detector."""
    detector, scores = SeriesAnomalies(), []
    for ts_us, value in zip(series.ts_us, series.values, strict=True):
        detector.update([Point(ts_us, value)])
        scores.append(detector.score)
    return scores


def windowed_gaussian(series: Series, window: int = 1_000) -> list[float]:
    """Tail probability of a normal distribution over the last values, as in NAB's detector of this name."""
    last: deque[float] = deque(maxlen=window)
    total = squares = 0.0
    scores = []
    for value in series.values:
        score = 0.0
        if last:
            mean = total / len(last)
            deviation = math.sqrt(max(squares / len(last) - mean * mean, 0.0)) or 1e-6
            score = 1.0 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2.0))
        if len(last) == window:
            total -= last[0]
            squares -= last[0] ** 2
        last.append(value)
        total += value
        squares += value * value
        scores.append(score)
    return scores


def half_space_trees(series: Series) -> list[float]:
    """River's, on the value alone, scaled to what was seen so far."""
    scale, trees, scores = preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1), []
    for value in series.values:
        scale.learn_one({"value": value})
        scaled = scale.transform_one({"value": value})
        scores.append(float(trees.score_one(scaled)))
        trees.learn_one(scaled)
    return scores


def gaussian_scorer(series: Series) -> list[float]:
    """River's, over a window as NAB's."""
    scorer, scores = anomaly.GaussianScorer(window_size=1_000, grace_period=100), []
    varied = False
    for value in series.values:
        varied = varied or value != series.values[0]
        scores.append(float(scorer.score_one({}, value)) if varied else 0.0)
        scorer.learn_one({}, value)
    return scores


def standard_absolute_deviation(series: Series) -> list[float]:
    """River's: running standard deviations from the running mean."""
    scorer, scores = anomaly.StandardAbsoluteDeviation(), []
    for value in series.values:
        scorer.learn_one({}, value)
        scores.append(abs(float(scorer.score_one({}, value))))
    return scores


def predictive(series: Series) -> list[float]:
    """River's, with its autoregressive model of order 12 on standardised values and their differences."""
    model = time_series.SNARIMAX(
        p=12, d=0, q=0, regressor=preprocessing.StandardScaler() | linear_model.LinearRegression(l2=0.01)
    )
    scorer, scores = anomaly.PredictiveAnomalyDetection(model, horizon=1, n_std=100.0, warmup_period=100), []
    scale = preprocessing.StandardScaler()
    varied = False
    for value in series.values:
        varied = varied or value != series.values[0]
        scale.learn_one({"value": value})
        scaled = scale.transform_one({"value": value})["value"]
        scores.append(float(scorer.score_one({}, scaled)) if varied else 0.0)
        scorer.learn_one({}, scaled)
    return scores


SCORERS: dict[str, Scorer] = {
    "Loopwatch": loopwatch,
    "windowed Gaussian": windowed_gaussian,
    "River HalfSpaceTrees": half_space_trees,
    "River GaussianScorer": gaussian_scorer,
    "River StandardAbsoluteDeviation": standard_absolute_deviation,
    "River PredictiveAnomalyDetection": predictive,
}
