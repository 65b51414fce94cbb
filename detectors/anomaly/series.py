"""Anomalies of one series: spikes, shifts, bursts, flat lines, gaps, new courses, and what is unusual at its time."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ..interface import Detector, Finding
from .points import Point
from .signs import NAMES, Signs
from .silence import Silence
from .surprise import Evidence, News

ALARM = 1 / 5_000
"""Default for the probability below which a surprise is found."""
_NULL_SHARE, _NULL_POWER = 0.005, 1.4
_LARGEST = 1e100


class SeriesAnomalies(Detector[Point]):
    """Needs no tuning: what is usual it learns from the series, for each sign that something is not.

    Each sign's past gives the probability of what it shows (`tail`), their logarithms add up, and what a day ago
    explains, or what was told already, does not count (`surprise`). `score` is 1 - p: p is how often a value of a
    series without anomalies has that much news or more. It was measured on 170,000 values of six such series: normal,
    heavy-tailed (Student, 4 degrees), autoregressive (0.8), seasonal, Poisson (20) and log-normal: 0.005 × news^-1.4,
    within a factor of 3. Findings are where p ≤ `alarm`. The first 16 values are only learned from, and the score can
    say little before it has seen some hundred.

    A point no later than the one before it is taken like any other, and is no gap. Numbers beyond ±1e100 count
    as none.

    Ideas: a likelihood from the history of errors (Ahmad, Lavin, Purdy, Agha, Neurocomputing 2017); tails by extreme
    values (Siffer, Fouque, Termier, Largouet, KDD 2017); sums of logarithms (Fisher, 1925); discords (Keogh, Lin, Fu,
    ICDM 2005).

    Args:
        alarm: probability, more than 0 and less than 1.

    Raises:
        ValueError: `alarm` is not.
    """

    name: ClassVar[str] = "series_anomalies"
    version = 2

    def __init__(self, alarm: float = ALARM) -> None:
        super().__init__()
        if not 0 < alarm < 1:
            raise ValueError(f"alarm is a probability between 0 and 1, not {alarm}")
        self.alarm = alarm
        self._signs = Signs()
        self._silence = Silence()
        self._evidence = Evidence(len(NAMES), alone=2)
        self._news = News()

    def _take(self, value: Point) -> Finding | None:
        if not abs(value.value) <= _LARGEST:
            self.score = 0.0
            return None
        silence, signs = self._silence.take(value), self._signs.take(value)
        if signs is None:
            return None
        news = self._news.take(self._evidence.take(value.ts_us, signs + silence))
        p = min(1.0, _NULL_SHARE * news**-_NULL_POWER) if news > 0.0 else 1.0
        self.score = 1.0 - p
        if p > self.alarm:
            return None
        return Finding(at=self.n, since=self.n, score=self.score, expected=self._signs.expected, seen=value.value)

    def _state(self) -> dict[str, Any]:
        return {
            "alarm": self.alarm,
            "signs": self._signs.state(),
            "silence": self._silence.state(),
            "evidence": self._evidence.state(),
            "news": self._news.state(),
        }

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        detector = cls(float(state["alarm"]))
        detector._signs.load(state["signs"])
        detector._silence.load(state["silence"])
        detector._evidence.load(state["evidence"])
        detector._news.load(state["news"])
        return detector
