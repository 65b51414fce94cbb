"""Values of a step that do not go together as they used to, where each is usual by itself."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

from msgspec import convert

from ...detectors.anomaly.baseline import Baseline, Left
from ...detectors.anomaly.dependence import Part
from ...detectors.anomaly.joint import SERIES, JointAnomalies
from ...detectors.anomaly.kinds import Kind as Made
from ...detectors.anomaly.points import Point, Step
from ...detectors.interface import Detector, Finding
from ...schemas.signals import Shift, Signal, SignalKind
from ..records import from_micros
from .points import LEAST_N, MISSING, Steps
from .signals import signal_id_of
from .told import Told

SUBJECT = "series together"
_SECOND_US = 1_000_000
# A twentieth of a false alarm in four weeks of a model. None came in 240 simulated weeks of hours.
_ONE_FALSE_IN_S = 20 * 28 * 86_400
# What is farther from its own course is told of the series itself.
_USUAL = 3.0
# Of the evidence, beside the farthest: those that are no surprise say nothing.
_SURPRISES, _MOST_EVIDENCE = 2.0, 5


class _Value(NamedTuple):
    value: float
    left: Left


class Together:
    """What the detectors of a model's series leave unexplained, step by step. One thread at a time may use it.

    Series whose detector can't say what it expected get a `Baseline` beside it. A step in which a series is found by
    itself, or its change goes on, says nothing new. Nor do counts of so few events that none of them is usual, nor
    means and shares of fewer than 30.
    """

    def __init__(self, monitor: str, seconds: int) -> None:
        """`monitor`: the name of the one that watches the series, in steps of so many `seconds`."""
        self._monitor = monitor
        self._seconds = seconds
        self._joint = JointAnomalies(seconds / _ONE_FALSE_IN_S)
        self._told = Told()
        self._names: list[str] = []
        """Of the series that are looked at: the first that had values, outputs before shares of missing features."""
        self._beside: dict[str, Baseline] = {}
        self._values: dict[int, dict[str, _Value]] = {}
        self._known: set[int] = set()
        """Steps (µs) in which a series is found by itself."""

    def see(self, name: str, made: Made | None, points: list[Point], online: Detector[Point]) -> list[Finding]:
        """Let the detector of a series take its next points; returns what it finds in them.

        `made` is None where it has no values.
        """
        explained = online if isinstance(online, Baseline) else self._beside.get(name)
        if explained is None and made is not None:
            explained = self._beside[name] = Baseline(made, self._joint.alarm)
        found: list[Finding] = []
        for point in points:
            here = online.update([point])
            found += here
            if explained is None:
                continue
            if explained is not online:
                explained.update([point])
            if here or explained.is_changed:
                self._known.add(point.ts_us)
            elif (left := explained.left) is not None and not left.is_coarse and (point.n or LEAST_N) >= LEAST_N:
                self._values.setdefault(point.ts_us, {})[name] = _Value(point.value, left)
        return found

    def take(self, model: str, steps: Steps, query: Callable[[int, int], str]) -> list[Signal]:
        """Take the steps that every series was seen in; `query` shows what was from an instant to another (µs)."""
        signals: list[Signal] = []
        step_us = self._seconds * _SECOND_US
        for second in steps:
            at_us = second * _SECOND_US
            here = {} if at_us in self._known else self._values.get(at_us, {})
            for name in sorted(here, key=lambda name: (name.startswith(MISSING), name)):
                if len(self._names) < SERIES and name not in self._names:
                    self._names.append(name)
            usual = {name: min(max(here[name].left.deviation, -_USUAL), _USUAL) for name in self._names if name in here}
            for found in self._joint.update([Step(at_us, usual)]):
                self._told.take(found, at_us, step_us, lambda since_us: self._id(model, since_us))
                signals.append(self._told.say(self._signal(model, found, here, query)))
            if at_us not in self._known | self._values.keys() and (goes_on := self._told.wait(at_us, step_us)):
                signals.append(goes_on)
        self._values, self._known = {}, set()
        return signals

    def _id(self, model: str, since_us: int) -> str:
        return signal_id_of(model, SignalKind.ANOMALY, SUBJECT, self._monitor, since_us)

    def _signal(
        self, model: str, found: Finding, here: Mapping[str, _Value], query: Callable[[int, int], str]
    ) -> Signal:
        first, *others = self._joint.parts()
        surprises = [part for part in others if abs(part.deviation) >= _SURPRISES][: _MOST_EVIDENCE - 1]
        evidence = tuple(_shift(part, here[part.name]) for part in (first, *surprises))
        since = from_micros(self._told.since_us)
        return Signal(
            signal_id=self._told.signal_id,
            model=model,
            kind=SignalKind.ANOMALY,
            subject=SUBJECT,
            detector=self._joint.name,
            since=since,
            found_at=from_micros(self._told.found_us),
            until=from_micros(self._told.until_us),
            score=found.score,
            message=f"series of {model} do not go together as they used to: {evidence[0].name} is "
            f"{evidence[0].seen:.4g}, where the others lead to expect {evidence[0].expected:.4g}, "
            f"since {since:%Y-%m-%d %H:%M}",
            expected=found.expected,
            seen=found.seen,
            n=found.at - found.since + 1,
            evidence=evidence,
            query=query(self._told.since_us, self._told.until_us),
            window_s=self._seconds,
        )

    def state(self) -> dict[str, Any]:
        """As plain data, between two turns."""
        return {
            "joint": self._joint.snapshot(),
            "told": self._told.state(),
            "names": list(self._names),
            "beside": {name: of.snapshot() for name, of in self._beside.items()},
        }

    @classmethod
    def of_state(cls, monitor: str, seconds: int, state: Mapping[str, Any]) -> Self:
        """The same again; raises one of `DAMAGED` if it is none."""
        together = cls(monitor, seconds)
        together._joint = JointAnomalies.restore(state["joint"])
        together._told = Told.of_state(state["told"])
        together._names = convert(state["names"], list[str])
        together._beside = {str(name): Baseline.restore(of) for name, of in state["beside"].items()}
        return together


def _shift(part: Part, value: _Value) -> Shift:
    return Shift(part.name, value.left.at(part.expected), value.value)
