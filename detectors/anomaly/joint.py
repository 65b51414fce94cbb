"""Several series of a model at a time: values that do not go together as they used to."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ..interface import Detector, Finding
from .dependence import Dependence
from .surprise import News
from .tail import Tail

SERIES = 32
"""Series looked at, at most: the first by name of those that the first steps have."""
NAMED_BY = 32
"""Steps at the beginning that say which series there are."""
ALARM = 1 / 5_000
_LARGEST = 1e100
_NULL_SHARE, _NULL_POWER = 0.0025, 1.25


class JointAnomalies(Detector[Mapping[str, float]]):
    """Values of a step by series; one that is missing or no number is left out of its step.

    Two distances (`dependence`), of the values and of their changes since the step before, each judged by the tail of
    its past, and told when they are news. `score` is 1 - p: p is how often a step of series without anomalies has that
    much news or more, as measured on such series (normal, heavy-tailed, autoregressive; 2 to 10 of them, dependent and
    not). Findings are where p ≤ `alarm`; `seen` is the larger distance, 1 being usual.

    Raises:
        ValueError: `alarm` is not between 0 and 1.
    """

    name: ClassVar[str] = "joint_anomalies"

    def __init__(self, alarm: float = ALARM) -> None:
        super().__init__()
        if not 0 < alarm < 1:
            raise ValueError(f"alarm is a probability between 0 and 1, not {alarm}")
        self.alarm = alarm
        self._first: list[dict[str, float]] = []
        self._dependences: tuple[Dependence, Dependence] | None = None
        self._before: dict[str, float] = {}
        self._tails = (Tail(), Tail())
        self._news = News()

    def _take(self, value: Mapping[str, float]) -> Finding | None:
        self.score = 0.0
        step = {name: float(each) for name, each in sorted(value.items()) if each is not None and abs(each) <= _LARGEST}
        if not step:
            return None
        if self._dependences is not None:
            return self._judge(step)
        self._first.append(dict(list(step.items())[:SERIES]))
        if len(self._first) == NAMED_BY:
            names = sorted({name for each in self._first for name in each})[:SERIES]
            self._dependences = (Dependence(names), Dependence(names))
            for each in self._first:
                self._distances(each)
            self._first = []
        return None

    def _judge(self, step: dict[str, float]) -> Finding | None:
        distances = self._distances(step)
        evidence = sum(tail.take(each) for tail, each in zip(self._tails, distances, strict=True))
        news = self._news.take(evidence)
        p = min(1.0, _NULL_SHARE * news**-_NULL_POWER) if news > 0.0 else 1.0
        self.score = 1.0 - p
        if p > self.alarm:
            return None
        return Finding(at=self.n, since=self.n, score=self.score, expected=1.0, seen=max(distances))

    def _distances(self, step: dict[str, float]) -> list[float]:
        assert self._dependences is not None
        of_values, of_changes = self._dependences
        before = self._before
        changes = {name: each - before[name] for name, each in step.items() if name in before}
        self._before = {name: step[name] for name in of_values.names if name in step}
        return [of_values.take(step) or 0.0, of_changes.take(changes) or 0.0]

    def _state(self) -> dict[str, Any]:
        return {
            "alarm": self.alarm,
            "first": self._first,
            "dependences": None if self._dependences is None else [each.state() for each in self._dependences],
            "before": self._before,
            "tails": [tail.state() for tail in self._tails],
            "news": self._news.state(),
        }

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        detector = cls(float(state["alarm"]))
        detector._first = [{name: float(value) for name, value in each.items()} for each in state["first"]]
        if state["dependences"] is not None:
            of_values, of_changes = map(Dependence.of_state, state["dependences"])
            detector._dependences = (of_values, of_changes)
        detector._before = {name: float(value) for name, value in state["before"].items()}
        for tail, kept in zip(detector._tails, state["tails"], strict=True):
            tail.load(kept)
        detector._news.load(state["news"])
        return detector
