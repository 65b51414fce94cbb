"""Several series of a model at a time: values that do not go together as they used to."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, ClassVar, Self

from ..interface import Detector, Finding
from .baseline import ALARM, Baseline
from .dependence import Dependence, Look, Part
from .points import Point, Step

SERIES = 32
"""Series looked at, at most: the first by name of those that the first steps have."""
NAMED_BY = 32
"""Steps at the beginning that say which series there are."""
_LARGEST = 1e100
_NORMAL = NormalDist()
_FAR = 6.0


class JointAnomalies(Detector[Step]):
    """Deviations of a step's values from what is expected of each, in units of what is usual for it.

    What counts is the value that is farthest from what the others of its step lead to expect (`dependence`): where
    series are independent that is no more than its own deviation. How far is usual, `Baseline` says of it, as of any
    series, on a scale on which it would be normal if deviations were: so a single step is found, and one after the
    other that is a little farther too. `score` is 1 - p: p is how often a step without a change would come with as
    much. Findings are where p ≤ `alarm` and it is farther, not nearer; `expected` and `seen` are how far, in
    deviations. While a change goes on, nothing is learned of how series go together.

    The first 32 steps with a value say which series there are. Raw values of a series with a course of the day would be
    unlike the others every morning: give what `Baseline` leaves unexplained of each. What is unusual by itself is
    found by that; cut off at what is usual, a value is told here only where it belongs. Values that are no number, or
    beyond ±1e100, are left out of their step.

    >>> steps = [Step(3_600_000_000 * at, {"clicks": (-1.0) ** at, "views": (-1.0) ** at}) for at in range(200)]
    >>> joint = JointAnomalies()
    >>> joint.update(steps)
    []
    >>> [finding] = joint.update([Step(3_600_000_000 * 200, {"clicks": 1.0, "views": -1.0})])
    >>> [(part.name, round(part.expected, 1), part.seen) for part in joint.parts()]
    [('clicks', -0.9, 1.0), ('views', 0.9, -1.0)]

    Raises:
        ValueError: `alarm` is no probability between 0 and 1.
    """

    name: ClassVar[str] = "joint_anomalies"
    version: ClassVar[int] = 2

    def __init__(self, alarm: float = ALARM) -> None:
        super().__init__()
        self._first: list[dict[str, float]] = []
        self._dependence: Dependence | None = None
        self._of_largest = Baseline("mean", alarm)
        self._last: list[Part] = []

    @property
    def alarm(self) -> float:
        """The probability below which a step is found."""
        return self._of_largest.alarm

    def parts(self) -> list[Part]:
        """The values of the last finding, each beside what the others lead to expect; the farthest first."""
        return self._last

    def _take(self, value: Step) -> Finding | None:
        self.score = 0.0
        step = {
            name: float(each)
            for name, each in sorted(value.values.items())
            if each is not None and abs(each) <= _LARGEST
        }
        dependence, look = self._dependence, None
        if dependence is not None:
            look = dependence.look(step)
        if look is not None and len(look.at) < 2:
            look = None
        found = self._judge(value.ts_us, look)
        if dependence is None:
            self._name(step)
        elif not self._of_largest.is_changed:
            dependence.learn(step)
        return found

    def _name(self, step: dict[str, float]) -> None:
        if step:
            self._first.append(dict(list(step.items())[:SERIES]))
        if len(self._first) == NAMED_BY:
            self._dependence = Dependence(sorted({name for each in self._first for name in each})[:SERIES])
            for each in self._first:
                self._dependence.learn(each)
            self._first = []

    def _judge(self, ts_us: int, look: Look | None) -> Finding | None:
        unusual = math.nan if look is None else _as_normal(look.largest, len(look.at))
        found = self._of_largest.update([Point(ts_us, unusual)])
        self.score = self._of_largest.score
        if look is None or self._dependence is None or not found:
            return None
        self._last = self._dependence.parts(look)
        (finding,) = found
        if (finding.seen or 0.0) <= (finding.expected or 0.0):
            return None
        typical = _NORMAL.inv_cdf((1.0 + 0.5 ** (1.0 / len(look.at))) / 2.0)
        return Finding(finding.at, finding.since, finding.score, expected=typical, seen=look.largest)

    def _state(self) -> dict[str, Any]:
        return {
            "first": self._first,
            "dependence": None if self._dependence is None else self._dependence.state(),
            "of_largest": self._of_largest.snapshot(),
        }

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        detector = cls()
        detector._first = [{str(name): float(value) for name, value in each.items()} for each in state["first"]]
        detector._dependence = None if state["dependence"] is None else Dependence.of_state(state["dependence"])
        detector._of_largest = Baseline.restore(state["of_largest"])
        if len(detector._first) >= NAMED_BY:
            raise ValueError("more first steps than there are")
        return detector


def _as_normal(largest: float, n: int) -> float:
    """The largest of n normal deviations, on the scale of one that is as rare; far from 0 by its asymptote."""
    if largest > _FAR:
        return math.sqrt(largest * largest - 2.0 * math.log(n))
    return _NORMAL.inv_cdf(min(max(math.erf(largest * math.sqrt(0.5)) ** n, 1e-9), 1.0 - 1e-12))
