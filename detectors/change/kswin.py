"""KSWIN: a Kolmogorov-Smirnov test of the newest values against a sample of those before them (Raab et al., 2020)."""

import math
from collections import deque
from statistics import fmean
from typing import cast

from msgspec import Struct
from river import drift

from ..interface import Finding
from .numbers import NumberDetector, require, strength


class Memory(Struct):
    """River's window, its random numbers (Mersenne twister), and how many values came since the last test."""

    window: list[float]
    words: list[int]
    gauss: float | None
    drifted: bool
    untested: int


class Kswin(NumberDetector):
    """River's KSWIN, for any change of the distribution of errors or losses, whatever their scale.

    A test takes about 430 µs, so only every `every` values are tested; with `every=1` it is River's KSWIN. With
    alpha = 0.005 a test finds a change where there is none about once in 200 times (less often among errors, which
    have many ties), whatever came before: this is not a detector for long streams unless alpha is made small.
    It begins anew behind each finding. `since` is where its newest `stat_size` values begin.

    Parameters: `alpha`; `window_size`; `stat_size`, its newest part, and the size of the sample of the rest; `seed`;
    `every`.

    >>> [finding.since for finding in Kswin(alpha=1e-4).update([i % 7 for i in range(500)] + [9.0] * 100)]
    [489]
    """

    name = "kswin"
    Memory = Memory

    def __init__(
        self,
        *,
        alpha: float = 0.005,
        window_size: int = 100,
        stat_size: int = 30,
        seed: int = 1,
        every: int = 10,
    ) -> None:
        require("alpha", 0 < alpha < 1, "between 0 and 1")
        require("window_size", 4 <= window_size <= 10_000, "from 4 to 10,000")
        require("stat_size", 2 <= stat_size <= window_size // 2, "from 2 to half of window_size")
        require("every", every >= 1, "at least 1")
        require("seed", isinstance(seed, int), "an integer")
        super().__init__(alpha=alpha, window_size=window_size, stat_size=stat_size, seed=seed, every=every)
        self._river = drift.KSWIN(alpha=alpha, window_size=window_size, stat_size=stat_size, seed=seed)
        self._untested = 0

    def _take_number(self, value: float) -> Finding | None:
        river, size = self._river, self.parameters["window_size"]
        if river.drift_detected:
            self._untested = 0
        elif len(river.window) >= size - 1:
            self._untested += 1
            if self._untested < self.parameters["every"]:
                river.window.append(value)
                return None
            self._untested = 0
        before = list(river.window)
        river.update(value)
        if len(before) < size - 1:
            self.score = 0.0
            return None
        p_value = max(cast(float, river.p_value), 1e-300)
        self.score = strength(-math.log(p_value), -math.log(river.alpha))
        if not river.drift_detected:
            return None
        newest = self.parameters["stat_size"]
        older, newer = before[len(before) + 1 - size :][: size - newest], river.window
        return Finding(self.n, max(0, self.n - newest + 1), self.score, fmean(older), fmean(newer))

    def _memory(self) -> Memory:
        _, words, gauss = self._river._rng.getstate()
        return Memory(list(self._river.window), list(words), gauss, self._river.drift_detected, self._untested)

    def _remember(self, memory: Memory) -> None:
        size = self.parameters["window_size"]
        require("window", len(memory.window) <= size, "no longer than window_size")
        require("untested", 0 <= memory.untested <= self.parameters["every"], "at most every")
        self._river.window = deque(memory.window, maxlen=size)
        self._river._rng.setstate((3, tuple(memory.words), memory.gauss))
        self._river._drift_detected = memory.drifted
        self._untested = memory.untested
