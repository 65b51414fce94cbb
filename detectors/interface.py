"""What every online detector is: it takes values in their order, and says when something changed.

Taking a thousand values at once is the same as taking them one by one. A detector's state is bounded, and `snapshot`
gives it as plain data of JSON types, which `restore` takes in another process; both refuse what they can't read.
Anything random in a detector comes from a seed that is part of its state.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from msgspec import Meta, Struct, convert, to_builtins

V = TypeVar("V")


class SnapshotError(ValueError):
    """A snapshot of another detector, of a version that is not known, or not a snapshot at all."""


class Finding(Struct, frozen=True):
    """A change or an anomaly. Positions count values from 0, since the detector began."""

    at: int
    """The value with which it was found."""
    since: int
    """The first value that it is estimated to concern; at most `at`."""
    score: float
    """How strong, from 0 to 1: the same scale as the detector's `score`."""
    expected: float | None = None
    """What was typical before, where the detector can say; in units of the values."""
    seen: float | None = None
    """What is typical since then, or the value itself of an anomaly."""


class _Frame(Struct, frozen=True):
    """What is the same in the snapshots of all detectors."""

    n: Annotated[int, Meta(ge=0)]
    score: Annotated[float, Meta(ge=0, le=1)]
    drift_detected: bool
    state: dict[str, Any]


class Detector(ABC, Generic[V]):
    """An online detector over values of type V: numbers, points of a time series, or features of an event.

    A value that is no number (NaN, infinite, missing) counts as seen, and changes nothing else, unless a detector is
    there to find those.
    """

    name: ClassVar[str]
    """What the configuration and snapshots call it."""
    version: ClassVar[int] = 1
    """Of the snapshot; another one when its state takes another form."""

    def __init__(self) -> None:
        self.n = 0
        """Values taken."""
        self.score = 0.0
        """How unusual things are after the last value, from 0 to 1."""
        self.drift_detected = False
        """Whether the last `update` found anything."""

    def update(self, values: Sequence[V]) -> list[Finding]:
        """Take values, in their order; returns what was found with each of them."""
        findings: list[Finding] = []
        for value in values:
            found = self._take(value)
            self.n += 1
            if found is not None:
                findings.append(found)
        if values:
            self.drift_detected = bool(findings)
        return findings

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data: what JSON can hold, and nothing of a random or an unbounded size.

        It is a copy: neither this detector nor one that is restored from it changes it by going on.
        """
        return {
            "detector": self.name,
            "version": self.version,
            "n": self.n,
            "score": self.score,
            "drift_detected": self.drift_detected,
            "state": to_builtins(self._state()),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """The detector as it was when the snapshot was taken.

        Raises:
            SnapshotError: it is another detector's, another version's, or damaged.
        """
        if not isinstance(snapshot, Mapping):
            raise SnapshotError(f"a snapshot of {cls.name!r} is a mapping, not {type(snapshot).__name__}")
        name, version = snapshot.get("detector"), snapshot.get("version")
        if (name, version) != (cls.name, cls.version):
            raise SnapshotError(
                f"a snapshot of {name!r}, version {version!r}: {cls.name!r} reads version {cls.version}"
            )
        try:
            frame = convert(snapshot, _Frame)
            restored = cls._of_state(to_builtins(frame.state))
        except SnapshotError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as exc:
            raise SnapshotError(f"a damaged snapshot of {cls.name!r}: {exc!r}") from exc
        restored.n, restored.score, restored.drift_detected = frame.n, frame.score, frame.drift_detected
        return restored

    @abstractmethod
    def _take(self, value: V) -> Finding | None:
        """Take one value, number `self.n`: set `score`, and say what it shows."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """Parameters and state, as plain data, which may be the detector's own: `snapshot` copies it."""

    @classmethod
    @abstractmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        """The same detector again, from state that it may keep."""
