"""Drift against a reference that one may look for at every value: testing by betting.

Whoever bets on the next value's rank at the odds of the reference can't expect to win unless the values changed. If the
capital ever is 1 / `level` times what it began with, they did: if nothing changed, that ever happens in at most the
share `level` of streams, however long and however often one looks (Ville's inequality). Shekhar and Ramdas,
"Nonparametric two-sample testing by betting", IEEE Transactions on Information Theory 2024; bets on bounded means after
Waudby-Smith and Ramdas, JRSS B 2024.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from ..histogram import Histogram, bin_of
from ..interface import Detector, Finding, SnapshotError
from .cells import Pair
from .column import Column
from .numbers import Numbers

_STAKES = np.array([0.05, 0.15, 0.45, 1.2])
_MOST = 0.9
"""Share of the capital that can be lost in one bet."""


class Betting(Detector[float]):
    """Bets that ranks among the reference, or their distances from the middle, lie higher or lower than they did.

    The reference is a sample itself: its ranks' means are known only so well. What is bet against is that they stay
    within `least_effect` deviations and what chance makes of the reference, the latter at half of `level`. So a change
    that small is never found, and those little larger take long. Part of the stake is kept back for later, less and
    less of it, so that a change after a million values is still found.

    After a finding it begins anew, each time with `level`.

    >>> import numpy as np
    >>> before, after = np.random.default_rng(7).normal(0, 1, (2, 5000))
    >>> betting = Betting.of_column(Column.of_numbers(before))
    >>> betting.update(after[:2000].tolist()), [each.at for each in betting.update((after[2000:] + 0.5).tolist())][0]
    ([], 2330)
    """

    name: ClassVar[str] = "betting"

    def __init__(self, reference: Histogram, level: float = 0.05, least_effect: float = 0.08) -> None:
        """Raises ValueError for a reference of fewer than 30 numbers, and for a level that is none."""
        self._begin_with(Column.of_histogram(reference).numbers, level, least_effect)

    @classmethod
    def of_column(cls, reference: Column, level: float = 0.05, least_effect: float = 0.08) -> "Betting":
        """Of what `compare` takes."""
        detector = cls.__new__(cls)
        detector._begin_with(reference.numbers, level, least_effect)
        return detector

    def _begin_with(self, numbers: Numbers, level: float, least_effect: float) -> None:
        super().__init__()
        if not 0 < level < 1 or not 0 <= least_effect < 1:
            raise ValueError(f"level {level} lies between 0 and 1, and least effect {least_effect} is below 1")
        if numbers.total < 30:
            raise ValueError(f"betting needs a reference of at least 30 numbers, not {numbers.total}")
        none = np.zeros_like(numbers.n)
        cells = Pair(numbers.n, none, numbers.mean).grouped()
        ends = np.searchsorted(numbers.n.cumsum(), cells.reference.cumsum())
        share = cells.reference / cells.reference.sum()
        rank = share.cumsum() - share / 2
        scores = np.stack((rank, np.abs(2 * rank - 1)))
        mean = scores @ share
        deviation = np.sqrt(np.maximum(0.0, scores**2 @ share - mean**2))
        z = float(stats.norm.isf(level / 8))
        self._configure(
            numbers.bins[ends].tolist(), scores, np.stack((mean, deviation * (least_effect + z / numbers.total**0.5))),
            level, numbers.average,
        )  # fmt: skip
        self._begin()

    def _configure(self, ends: list[int], scores: np.ndarray, null: np.ndarray, level: float, typical: float) -> None:
        self._ends, self._scores, self._null = ends, scores, null
        self._level, self._typical = level, typical
        # Of each cell: what each of the bets gives, shape (cells, bets).
        mean, slack = null[:, :, None, None, None]
        side = np.array([1.0, -1.0])[:, None, None]
        gain = side * (scores[:, None, None, :] - mean) - slack
        worst = np.maximum(side * mean, side * mean - side) + slack
        stake = np.minimum(_STAKES[:, None], _MOST / np.maximum(worst, 1e-9))
        self._factors = np.ascontiguousarray((1 + stake * gain).reshape(-1, scores.shape[1]).T)

    def _begin(self) -> None:
        bets = self._factors.shape[1]
        self._taken = 0
        self._capital = np.zeros(bets)
        # What each bet won in a row, as a logarithm: where that began to grow is where the change is (Page's CUSUM).
        self._run = np.zeros(bets)
        self._since = np.full(bets, self.n)
        self._sums, self._counts = np.zeros(bets), np.zeros(bets)

    def _take(self, value: float) -> Finding | None:
        if not math.isfinite(value):
            return None
        self._taken += 1
        put_in = math.log(2) * (1 / math.log(self._taken + 1) - 1 / math.log(self._taken + 2))
        kept_back = math.log(2) / math.log(self._taken + 2)
        anew = self._run <= 0
        self._since = np.where(anew, self.n, self._since)
        self._sums = np.where(anew, 0.0, self._sums) + value
        self._counts = np.where(anew, 0.0, self._counts) + 1
        cell = min(int(np.searchsorted(self._ends, bin_of(value))), len(self._ends) - 1)
        factors = self._factors[cell]
        self._run = np.maximum(0.0, self._run + np.log(factors))
        self._capital = (self._capital + put_in) * factors
        wealth = float(self._capital.mean()) + kept_back
        self.score = min(1.0, max(0.0, math.log(wealth) / -math.log(self._level / 2)))
        if wealth < 2 / self._level:
            return None
        best = int(self._capital.argmax())
        finding = Finding(
            self.n, int(self._since[best]), 1.0, self._typical, float(self._sums[best] / self._counts[best])
        )
        self._begin()
        self._since += 1
        return finding

    def _state(self) -> dict[str, Any]:
        return {
            "ends": list(self._ends),
            "scores": self._scores.tolist(),
            "null": self._null.tolist(),
            "level": self._level,
            "typical": self._typical,
            "taken": self._taken,
            "capital": self._capital.tolist(),
            "run": self._run.tolist(),
            "since": self._since.tolist(),
            "sums": self._sums.tolist(),
            "counts": self._counts.tolist(),
        }

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> "Betting":
        detector = cls.__new__(cls)
        Detector.__init__(detector)
        ends = [int(each) for each in state["ends"]]
        scores, null = np.array(state["scores"], np.float64), np.array(state["null"], np.float64)
        if not ends or scores.shape != (2, len(ends)) or null.shape != (2, 2):
            raise SnapshotError("a damaged snapshot of 'betting': its reference has another shape")
        detector._configure(ends, scores, null, float(state["level"]), float(state["typical"]))
        detector._begin()
        detector._taken = int(state["taken"])
        for name in ("capital", "run", "sums", "counts"):
            restored = np.array(state[name], np.float64)
            if restored.shape != detector._capital.shape:
                raise SnapshotError(f"a damaged snapshot of 'betting': {name} has another shape")
            setattr(detector, f"_{name}", restored)
        detector._since = np.array(state["since"], np.int64)
        if detector._since.shape != detector._capital.shape:
            raise SnapshotError("a damaged snapshot of 'betting': since has another shape")
        return detector
