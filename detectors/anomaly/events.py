"""Events unlike the events before them, by their features."""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ..interface import Detector, Finding
from .trees import HalfSpaceTrees

FEATURES = 64
"""Features looked at, at most: the first by name of those that the first window has."""
_MASK = 2**64 - 1


def sampled(position: int, seed: int, every: int) -> bool:
    """Whether the event at this position is one of the one in `every`: by a hash (SplitMix64) of position and seed."""
    mixed = (position * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) % every == 0


class EventAnomalies(Detector[Mapping[str, float]]):
    """Half-space trees on a sample of the events; the others only count.

    The first sampled `window` events say which features there are and which values are usual. `score` is 1 - p of the
    last sampled event: p is the share of the last `kept` sampled events that were as alone as it or more, itself
    included. So long as events are exchangeable, p ≤ `alarm` comes in at most a share of `alarm` of them (conformal
    anomaly detection: Laxhammar, Falkman, 2010). Features that are no finite number are as if they were not there; the
    order of their names does not matter.

    Raises:
        ValueError: a parameter that makes no sense, or an `alarm` that `kept` events can't show.
    """

    name: ClassVar[str] = "event_anomalies"

    def __init__(
        self, *, every: int = 8, alarm: float = 1 / 1_000, kept: int = 2_000, window: int = 250,
        trees: int = 20, height: int = 8, seed: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(every, window, trees, height) < 1 or not 1 / (kept + 1) <= alarm < 1:
            raise ValueError(f"every, window, trees and height are at least 1, alarm at least 1/{kept + 1} and below 1")
        self.every, self.alarm, self.kept = every, alarm, kept
        self.window, self.trees, self.height, self.seed = window, trees, height, seed
        self._first: list[dict[str, float]] = []
        self._trees: HalfSpaceTrees | None = None
        self._last: deque[float] = deque()
        self._in_order: list[float] = []

    def _take(self, value: Mapping[str, float]) -> Finding | None:
        if not sampled(self.n, self.seed, self.every):
            return None
        event = {name: float(each) for name, each in value.items() if each is not None and math.isfinite(each)}
        if not event:
            return None
        if self._trees is None:
            self._learn_ranges(event)
            return None
        alone = self._trees.take(event)
        if alone is None:
            return None
        as_alone = len(self._in_order) - bisect_left(self._in_order, alone)
        p = (1 + as_alone) / (1 + len(self._in_order))
        self._keep(alone)
        self.score = 1.0 - p
        return Finding(at=self.n, since=self.n, score=self.score) if p <= self.alarm else None

    def _learn_ranges(self, event: dict[str, float]) -> None:
        self._first.append({name: event[name] for name in sorted(event)[:FEATURES]})
        if len(self._first) < self.window:
            return
        names = sorted({name for each in self._first for name in each})[:FEATURES]
        values = {name: [each[name] for each in self._first if name in each] for name in names}
        ranges = {name: (min(of), max(of)) for name, of in values.items()}
        self._trees = HalfSpaceTrees(ranges, self.trees, self.height, self.window, self.seed)
        for each in self._first:
            self._trees.take(each)
        self._first = []

    def _keep(self, alone: float) -> None:
        self._last.append(alone)
        insort(self._in_order, alone)
        if len(self._last) > self.kept:
            del self._in_order[bisect_left(self._in_order, self._last.popleft())]

    def _state(self) -> dict[str, Any]:
        parameters = ("every", "alarm", "kept", "window", "trees", "height", "seed")
        return {
            "parameters": {name: getattr(self, name) for name in parameters},
            "first": self._first,
            "trees": None if self._trees is None else self._trees.state(),
            "last": list(self._last),
        }

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        detector = cls(**state["parameters"])
        detector._first = [{name: float(value) for name, value in each.items()} for each in state["first"]]
        detector._trees = None if state["trees"] is None else HalfSpaceTrees.of_state(state["trees"])
        detector._last = deque(map(float, state["last"]))
        detector._in_order = sorted(detector._last)
        return detector
