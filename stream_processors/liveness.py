"""Whether every partition gets on: a worker that runs and does nothing must not look healthy."""

from collections.abc import Mapping
from typing import NamedTuple

from faust.types import TP

_PATIENCE = 4


class Progress(NamedTuple):
    """Where a partition is: the offset up to which all is stored, and whether the broker has more."""

    stored: int
    behind: bool


class Liveness:
    """Notes when each partition last got on. `now_s` is any clock that only goes forward."""

    def __init__(self, stuck_after_s: float) -> None:
        self.stuck_after_s = stuck_after_s
        self._moved: dict[TP, tuple[int, float]] = {}

    def observe(self, progress: Mapping[TP, Progress], now_s: float) -> dict[TP, float]:
        """Take in the state of all assigned partitions; returns the seconds each has been behind without moving.

        >>> live = Liveness(10); tp = TP("t", 0)
        >>> live.observe({tp: Progress(5, True)}, 0.0), live.observe({tp: Progress(5, True)}, 11.0)
        ({TP(topic='t', partition=0): 0.0}, {TP(topic='t', partition=0): 11.0})
        """
        ages: dict[TP, float] = {}
        moved: dict[TP, tuple[int, float]] = {}
        for tp, (stored, behind) in progress.items():
            before = self._moved.get(tp)
            moved[tp] = before if before is not None and before[0] == stored and behind else (stored, now_s)
            ages[tp] = now_s - moved[tp][1]
        self._moved = moved
        return ages

    def stuck(self, ages: Mapping[TP, float]) -> list[TP]:
        """Partitions that have been behind for too long.

        While others get on, one may only wait for its turn in a long backlog, so it is given longer.
        """
        others_move = any(age_s < self.stuck_after_s for age_s in ages.values())
        limit_s = self.stuck_after_s * (_PATIENCE if others_move else 1)
        return [tp for tp, age_s in ages.items() if age_s > limit_s]
