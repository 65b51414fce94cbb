"""Page-Hinkley: the sum of deviations from the mean, compared with its least and greatest so far (Page, 1954)."""

import math

from msgspec import Struct
from river import drift
from river.stats import Mean

from ..interface import Finding
from .numbers import NumberDetector, require, strength


class Side(Struct):
    """Since the sum was half a threshold off its extreme: the first value, the mean before, sum and number since."""

    since: int = 0
    before: float = 0.0
    sum: float = 0.0
    count: int = 0

    def move(self, at: int, mean: float) -> None:
        """It was not yet at value number `at`."""
        self.since, self.before, self.sum, self.count = at + 1, mean, 0.0, 0

    def add(self, value: float) -> None:
        """One more since."""
        self.sum += value
        self.count += 1


class Memory(Struct):
    """What River's Page-Hinkley holds, and both sides of it. `least` is None before the first value."""

    n: float
    mean: float
    up: float
    down: float
    least: float | None
    greatest: float
    drifted: bool
    rise: Side
    fall: Side


class PageHinkley(NumberDetector):
    """River's Page-Hinkley test, for rises (`mode="up"`), falls (`"down"`) or `"both"`.

    It begins anew behind each finding. `since` is when the sum was last within half a threshold of its extreme: the
    extreme itself, the usual estimate, is too early by thousands of values where deviations wander. `delta` and
    `threshold` are in units of the values: the defaults are for errors, and losses of another size need others.

    Parameters: `min_instances` before the first test; `delta`, the change that is let pass; `threshold` of the sum;
    `alpha`, by which older deviations fade; `mode`.

    >>> [finding.since for finding in PageHinkley().update([0.0] * 500 + [1.0] * 100)]
    [525]
    """

    name = "page_hinkley"
    Memory = Memory

    def __init__(
        self,
        *,
        min_instances: int = 30,
        delta: float = 0.005,
        threshold: float = 50.0,
        alpha: float = 1 - 0.0001,
        mode: str = "both",
    ) -> None:
        require("min_instances", min_instances >= 1, "at least 1")
        require("delta", 0 <= delta < math.inf, "at least 0")
        require("threshold", 0 < threshold < math.inf, "above 0")
        require("alpha", 0 < alpha <= 1, "above 0 and at most 1")
        require("mode", mode in ("up", "down", "both"), "up, down or both")
        super().__init__(min_instances=min_instances, delta=delta, threshold=threshold, alpha=alpha, mode=mode)
        self._river = drift.PageHinkley(**self.parameters)
        self._rise, self._fall = Side(), Side()

    def _take_number(self, value: float) -> Finding | None:
        river = self._river
        if river.drift_detected:
            self._rise, self._fall = Side(since=self.n), Side(since=self.n)
        river.update(value)
        mean = river._x_mean.get()
        rise, fall = river._sum_increase - river._min_increase, river._max_decrease - river._sum_decrease
        for side, rose in ((self._rise, rise), (self._fall, fall)):
            if rose <= river.threshold / 2:
                side.move(self.n, mean)
            else:
                side.add(value)
        wanted = {"up": rise, "down": fall, "both": max(rise, fall)}[river.mode]
        self.score = strength(wanted, river.threshold)
        if not river.drift_detected:
            return None
        side = self._rise if wanted == rise else self._fall
        return Finding(self.n, min(side.since, self.n), self.score, side.before, side.sum / max(side.count, 1))

    def _memory(self) -> Memory:
        river = self._river
        least = river._min_increase
        return Memory(
            n=river._x_mean.n,
            mean=river._x_mean.get(),
            up=river._sum_increase,
            down=river._sum_decrease,
            least=None if math.isinf(least) else least,
            greatest=river._max_decrease,
            drifted=river.drift_detected,
            rise=self._rise,
            fall=self._fall,
        )

    def _remember(self, memory: Memory) -> None:
        require("n", memory.n >= 0, "at least 0")
        river = self._river
        river._x_mean = Mean._from_state(memory.n, memory.mean)
        river._sum_increase, river._sum_decrease = memory.up, memory.down
        river._min_increase = math.inf if memory.least is None else memory.least
        river._max_decrease = memory.greatest
        river._drift_detected = memory.drifted
        self._rise, self._fall = memory.rise, memory.fall
