"""The scoring of the Numenta Anomaly Benchmark, version 1.1.

Lavin, Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark", ICMLA 2015,
arXiv 1510.03336. The earliest detection within a window of an anomaly counts, by a sigmoid of its place in the window,
a window without any costs its weight, and each row detected outside windows costs by how far past the last window it
is. One threshold for the whole corpus is the one that scores best. 100 is every window found at its first row and
nothing else; 0 is nothing found.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

PROBATION_SHARE = 0.15
PROBATION_ROWS = 5_000
"""Rows that a file's probation is a share of, at most."""

_FAR = 3.0


class Profile(Struct, frozen=True):
    """What a found window brings, and what a false alarm and a missed window cost."""

    name: str
    found: float
    false_alarm: float
    missed: float


PROFILES = (
    Profile("standard", 1.0, 0.11, 1.0),
    Profile("reward_low_FP", 1.0, 0.22, 1.0),
    Profile("reward_low_FN", 1.0, 0.11, 2.0),
)


class Series(Struct, frozen=True):
    """Rows of a file, and the first and last row of each of its windows, in order."""

    name: str
    ts_us: Sequence[int]
    values: Sequence[float]
    windows: Sequence[tuple[int, int]]

    @property
    def probation(self) -> int:
        """Rows at the beginning that are not judged."""
        return math.floor(min(PROBATION_SHARE * len(self.values), PROBATION_SHARE * PROBATION_ROWS))


class Judged(Struct, frozen=True):
    """What a detector brings in one profile, with the threshold for it and the counts there; `score`: 100 at best."""

    raw: float
    threshold: float
    found: int
    windows: int
    false_alarms: int
    score: float


def scaled_sigmoid(position: float) -> float:
    """Worth of a detection: near 1 at the beginning of a window (-1), 0 at its end (0), near -1 a window later (1)."""
    return -1.0 if position >= _FAR else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def worths(series: Series) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """What detecting each row is worth, before weights, and the number of its window (-1: in none)."""
    worth, of_window = np.full(len(series.values), -1.0), np.full(len(series.values), -1)
    for number, (first, last) in enumerate(series.windows):
        width = last - first + 1
        for row in range(first, last + 1):
            worth[row] = scaled_sigmoid(-(last - row + 1) / width) / scaled_sigmoid(-1.0)
            of_window[row] = number
        until = series.windows[number + 1][0] if number + 1 < len(series.windows) else len(worth)
        for row in range(last + 1, until):
            worth[row] = scaled_sigmoid((row - last) / (width - 1))
    return worth, of_window


def judge(corpus: Sequence[tuple[Series, Sequence[float]]], profile: Profile, at: float | None = None) -> Judged:
    """Score a detector's anomaly scores, one for each row of each series; rows at or above the threshold are detected.

    `at`: the threshold; without it, the one that scores best over all of the corpus.
    """
    windows = sum(len(series.windows) for series, _ in corpus)
    raw, found, false_alarms = -profile.missed * windows, 0, 0
    best = chosen = Judged(raw, math.inf, 0, windows, 0, _normalised(raw, windows, profile))
    worth_of: dict[int, float] = {}
    scores, worth, window = _judged_rows(corpus)
    order = np.argsort(-scores, kind="stable")
    rows = list(zip(scores[order].tolist(), worth[order].tolist(), window[order].tolist(), strict=True))
    for place, (score, of_row, number) in enumerate(rows):
        if number < 0:
            raw += profile.false_alarm * of_row
            false_alarms += 1
        elif number not in worth_of:
            raw += profile.missed + profile.found * of_row
            worth_of[number] = of_row
            found += 1
        elif of_row > worth_of[number]:
            raw += profile.found * (of_row - worth_of[number])
            worth_of[number] = of_row
        if place + 1 < len(rows) and rows[place + 1][0] == score:
            continue
        now = Judged(raw, score, found, windows, false_alarms, _normalised(raw, windows, profile))
        best = max(best, now, key=lambda each: each.raw)
        if at is not None and score >= at:
            chosen = now
    return best if at is None else chosen


def judge_unseen(folds: Sequence[Sequence[tuple[Series, Sequence[float]]]], profile: Profile) -> float:
    """The score when each fold is judged by the threshold that is best for the others."""
    raw, windows = 0.0, 0
    for number, fold in enumerate(folds):
        others = [each for other, of in enumerate(folds) if other != number for each in of]
        judged = judge(fold, profile, at=judge(others, profile).threshold)
        raw += judged.raw
        windows += judged.windows
    return _normalised(raw, windows, profile)


def _judged_rows(
    corpus: Sequence[tuple[Series, Sequence[float]]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores, worths and numbers of windows, counted over the corpus (-1: in none), of the rows after probation."""
    columns: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]] = []
    before = 0
    for series, scores in corpus:
        if len(scores) != len(series.values):
            raise ValueError(f"{len(scores)} scores for the {len(series.values)} rows of {series.name}")
        worth, of_window = worths(series)
        judged = slice(series.probation, None)
        number = np.where(of_window >= 0, of_window + before, -1)[judged]
        columns.append((np.asarray(scores, dtype=np.float64)[judged], worth[judged], number))
        before += len(series.windows)
    scores, worth, number = (np.concatenate(each) for each in zip(*columns, strict=True))
    return scores, worth, number


def _normalised(raw: float, windows: int, profile: Profile) -> float:
    """0 for what finds nothing, 100 for what finds every window at its first row; without windows: `raw`, 0 at best."""
    if windows == 0:
        return raw
    none_found, perfect = -profile.missed * windows, profile.found * windows
    return 100.0 * (raw - none_found) / (perfect - none_found)
