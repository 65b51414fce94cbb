"""How improbable a large statistic is, by the largest that there were: a Pareto tail on the peaks of its past."""

import math
from bisect import insort
from collections.abc import Mapping
from typing import Any

PEAKS = 5
"""Peaks that the tail goes by."""
APART = 12
"""Values within which two peaks count as one."""
MEMORY = 20_000
"""Values after which a peak is forgotten."""
_PRIOR_INDEX = 0.3
_PRIOR_PEAKS = 3


class Tail:
    """Of a statistic that is 0 or more, and larger the more unusual things are.

    The tail index is Hill's estimate (Hill, Annals of Statistics 1975) over the largest peaks, drawn towards 0.3 as
    by three peaks more; peaks are those of clusters, as extreme value theory wants them (Leadbetter, 1983). What it
    takes becomes part of the past at once: a second peak like the first is no surprise.

    >>> tail = Tail()
    >>> for n in range(1000):
    ...     _ = tail.take(float(n % 50))
    >>> tail.take(49.0), tail.take(500.0) > 8
    (0.0, True)
    """

    def __init__(self) -> None:
        self.n = 0
        self._peaks: list[tuple[float, int]] = []
        self._cluster: tuple[float, int] | None = None

    def take(self, value: float) -> float:
        """Minus the logarithm of the probability of `value` or more in a cluster of values; 0 until there is a past."""
        self.n += 1
        if self._peaks and self.n - self._oldest() > MEMORY:
            self._peaks = [peak for peak in self._peaks if self.n - peak[1] <= MEMORY]
        peaks = self._peaks
        full = len(peaks) == PEAKS
        if value <= 0.0 or (full and value <= peaks[0][0]):
            return 0.0
        surprise = 0.0
        if full:
            least = peaks[0][0]
            over = math.fsum(math.log(peak / least) for peak, _ in peaks[1:])
            index = (over + _PRIOR_INDEX * _PRIOR_PEAKS) / (PEAKS - 1 + _PRIOR_PEAKS)
            clusters = min(self.n, MEMORY) / (PEAKS * APART)
            surprise = max(math.log(clusters), 0.0) + math.log(value / least) / index
        self._remember(value)
        return surprise

    def _oldest(self) -> int:
        return min(at for _, at in self._peaks)

    def _remember(self, value: float) -> None:
        cluster = self._cluster
        if cluster is not None and self.n - cluster[1] <= APART and cluster in self._peaks:
            if value <= cluster[0]:
                return
            self._peaks.remove(cluster)
        self._cluster = (value, self.n)
        insort(self._peaks, self._cluster)
        if len(self._peaks) > PEAKS:
            del self._peaks[0]

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {"n": self.n, "peaks": self._peaks, "cluster": self._cluster}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        self.n = int(state["n"])
        self._peaks = [(float(peak), int(at)) for peak, at in state["peaks"]]
        if len(self._peaks) > PEAKS:
            raise ValueError(f"{len(self._peaks)} peaks: at most {PEAKS}")
        cluster = state["cluster"]
        self._cluster = None if cluster is None else (float(cluster[0]), int(cluster[1]))
