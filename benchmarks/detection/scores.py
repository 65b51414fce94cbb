"""What detections are worth, by Cerqueira et al. (arXiv 2606.07789): over all runs with one kind of drift together."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from msgspec import Struct

MAX_DELAY = 2_500


class Score(Struct, frozen=True):
    """Detections of runs with one drift each.

    A detection from the onset to `MAX_DELAY` rows after it is true, each one; every other is false. A run without a
    true one is missed. `delay` is that of the first true one, a mean over the runs that have one; None without any.
    """

    runs: int
    true: int
    false: int
    missed: int
    delay: float | None

    @property
    def precision(self) -> float:
        """Share of detections that are true; 0 without any."""
        return self.true / (self.true + self.false) if self.true + self.false else 0.0

    @property
    def recall(self) -> float:
        """True detections among these and missed runs."""
        return self.true / (self.true + self.missed) if self.true + self.missed else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 0 where both are."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def score(runs: Iterable[tuple[int, Sequence[int]]]) -> Score:
    """Of runs, each with its onset and the rows at which something was detected, in order.

    >>> score([(1000, [900, 1500, 4000]), (1000, [])])
    Score(runs=2, true=1, false=2, missed=1, delay=500.0)
    """
    n = false = true = missed = 0
    delays: list[int] = []
    for onset, detections in runs:
        n += 1
        right = [at for at in detections if onset <= at <= onset + MAX_DELAY]
        true += len(right)
        false += len(detections) - len(right)
        if right:
            delays.append(right[0] - onset)
        else:
            missed += 1
    return Score(n, true, false, missed, fmean(delays) if delays else None)
