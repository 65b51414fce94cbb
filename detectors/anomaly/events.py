"""Events unlike the events before them, by their features."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from msgspec import convert

from ..interface import Detector, Finding
from .dependence import Array, Dependence, Look, Part
from .ranks import Ranks
from .trees import HalfSpaceTrees
from .units import Unit, unit_of

FEATURES = 64
"""Features looked at, at most: those that most events of the first window have."""
_MASK = 2**64 - 1
_MEMORY, _REFRESHED = 2_000, 64
_REMEMBERED = 20_000
"""Events that a next one is compared with, about: what is usual of a Sunday evening is not new when it comes again."""
# What one of 200 events has of a feature is usual of it, be it a rare flag or a long tail; less of none is unusual.
_RARE, _LEAST, _MOVED_BY = 1 / 200, 2.8, 0.02


def sampled(position: int, seed: int, every: int) -> bool:
    """Whether the event at this position is one of the one in `every`: by a hash (SplitMix64) of position and seed."""
    mixed = (position * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) % every == 0


class EventAnomalies(Detector[Mapping[str, float]]):
    """A sample of the events, looked at in two ways; the others only count.

    The first sampled `window` events say which features there are, and in which units they are taken: the asinh of
    deviations from the median, so that tails of any length have a place. Then

    - half-space trees say how alone an event is among some 20,000 before it: what they see of a few features, of
      whatever shape, they hardly see of many (`trees`);
    - the feature that is farthest from what the others of its event lead to expect, beside what one of 200 events has
      of it, says how far that is: of many features too, one that is a thousand times too large, or two that never were
      so together (`dependence`).

    `score` is 1 - p of the last sampled event: p is the share of `kept` of the last 20,000 sampled events, or of
    as many as there were, that were as unusual as it or more, itself included, in the way that says more, twice. So
    long as events are exchangeable, p ≤ `alarm` comes in at most a share of `alarm` of them (conformal anomaly
    detection: Laxhammar, Falkman, 2010). Features that are no finite number are as if they were not there; the order of
    their names does not matter.

    Raises:
        ValueError: a parameter that makes no sense, or an `alarm` that `kept` events can't show.
    """

    name: ClassVar[str] = "event_anomalies"
    version: ClassVar[int] = 3

    def __init__(
        self, *, every: int = 8, alarm: float = 1 / 1_000, kept: int = 4_000, window: int = 500,
        trees: int = 20, height: int = 8, seed: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(every, window, trees, height) < 1 or not 2 / (kept + 1) <= alarm < 1:
            raise ValueError(f"every, window, trees and height are at least 1, alarm at least 2/{kept + 1} and below 1")
        self.every, self.alarm, self.kept = every, alarm, kept
        self.window, self.trees, self.height, self.seed = window, trees, height, seed
        self._first: list[dict[str, float]] = []
        self._units: dict[str, Unit] = {}
        self._trees: HalfSpaceTrees | None = None
        self._dependence: Dependence | None = None
        one_in = max(1, _REMEMBERED // kept)
        self._alone, self._apart = Ranks(kept, one_in), Ranks(kept, one_in)
        self._reach: Array = np.zeros(0)
        """How far each feature is from what the others lead to expect, in one of 200 events."""
        self._look: Look | None = None

    @property
    def judged(self) -> int:
        """With how many events a next one is compared, `kept` at most."""
        return len(self._alone)

    def parts(self) -> list[Part]:
        """The features of the last event that was judged, each beside what the others lead to expect; farthest first.

        In the units of the features. Empty where too little is known, and once restored.
        """
        if self._look is None or self._dependence is None:
            return []
        return [
            Part(part.name, unit.natural(part.expected), unit.natural(part.seen), part.deviation)
            for part in self._dependence.parts(self._look)
            for unit in (self._units[part.name],)
        ]

    def _take(self, value: Mapping[str, float]) -> Finding | None:
        self._look = None
        if not sampled(self.n, self.seed, self.every):
            return None
        event = {name: float(each) for name, each in value.items() if each is not None and math.isfinite(each)}
        if self._trees is None or self._dependence is None:
            if event:
                self._learn_units(event)
            return None
        event = {name: unit.scaled(event[name]) for name, unit in self._units.items() if name in event}
        return self._judge(event, self._trees, self._dependence) if event else None

    def _judge(self, event: dict[str, float], trees: HalfSpaceTrees, dependence: Dependence) -> Finding | None:
        alone, look = trees.take(event), dependence.look(event)
        dependence.learn(event)
        if alone is None or look is None:
            return None
        self._look = look
        p = min(1.0, 2.0 * min(self._alone.take(alone), self._apart.take(self._apartness(look))))
        self.score = 1.0 - p
        return Finding(at=self.n, since=self.n, score=self.score) if p <= self.alarm else None

    def _apartness(self, look: Look) -> float:
        far, reach = np.abs(look.deviations), self._reach[look.at]
        self._reach[look.at] = np.maximum(reach * np.exp(_MOVED_BY * ((far > reach) - _RARE)), _LEAST)
        return float((far / reach).max())

    def _learn_units(self, event: dict[str, float]) -> None:
        self._first.append({name: event[name] for name in sorted(event)[:FEATURES]})
        if len(self._first) < self.window:
            return
        often = Counter(name for each in self._first for name in each)
        names = sorted(sorted(often, key=lambda name: (-often[name], name))[:FEATURES])
        self._units = {name: unit_of([each[name] for each in self._first if name in each]) for name in names}
        first = [{name: unit.scaled(each[name]) for name, unit in self._units.items() if name in each}
                 for each in self._first]  # fmt: skip
        values = {name: [each[name] for each in first if name in each] for name in names}
        ranges = {name: (min(of), max(of)) for name, of in values.items()}
        self._trees = HalfSpaceTrees(
            ranges, self.trees, self.height, self.window, self.seed, max(self.window, _REMEMBERED)
        )
        self._dependence = Dependence(names, _MEMORY, _REFRESHED)
        for each in first:
            self._trees.take(each)
            self._dependence.learn(each)
        far: list[list[float]] = [[_LEAST] for _ in names]
        for look in filter(None, map(self._dependence.look, first)):
            for place, deviation in zip(look.at, look.deviations, strict=True):
                far[place].append(abs(float(deviation)))
        self._reach = np.array([max(_LEAST, float(np.quantile(of, 0.99))) for of in far])
        self._first = []

    def _state(self) -> dict[str, Any]:
        parameters = ("every", "alarm", "kept", "window", "trees", "height", "seed")
        return {
            "parameters": {name: getattr(self, name) for name in parameters},
            "first": self._first,
            "units": self._units,
            "trees": None if self._trees is None else self._trees.state(),
            "dependence": None if self._dependence is None else self._dependence.state(),
            "reach": self._reach.tolist(),
            "alone": self._alone.state(),
            "apart": self._apart.state(),
        }

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        detector = cls(**state["parameters"])
        detector._first = [{str(name): float(value) for name, value in each.items()} for each in state["first"]]
        detector._units = {str(name): convert(unit, Unit) for name, unit in state["units"].items()}
        if state["trees"] is not None:
            detector._trees = HalfSpaceTrees.of_state(state["trees"])
            detector._dependence = Dependence.of_state(state["dependence"])
            if not list(detector._trees.ranges) == detector._dependence.names == list(detector._units):
                raise ValueError("features in one place that are not in another")
        detector._reach = np.asarray(state["reach"], dtype=np.float64)
        if detector._reach.shape != (len(detector._units),) or not np.all(detector._reach >= _LEAST):
            raise ValueError("features of which it is not known how far is usual")
        detector._alone.load(state["alone"])
        detector._apart.load(state["apart"])
        return detector
