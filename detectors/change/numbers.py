"""What the detectors on streams of numbers share: what a number is, how strong evidence is, and how state is kept."""

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar, Self

from msgspec import Struct, convert

from ..interface import Detector, Finding

_MOST = 1e100


def number(value: object) -> float | None:
    """The value as a float; None for anything else, and for magnitudes beyond 1e100, which nobody measures and whose
    squares can't be added. True and False are 1 and 0.

    >>> number(True), number(2), number(float("nan")), number("2"), number(1e200)
    (1.0, 2.0, None, None, None)
    """
    if type(value) is not float:
        if not isinstance(value, Real):
            return None
        try:
            value = float(value)
        except OverflowError:
            return None
    return value if -_MOST <= value <= _MOST else None


def strength(evidence: float, needed: float) -> float:
    """Evidence on the scale of scores: 0 for none, 0.5 for what is just needed, towards 1 beyond.

    >>> strength(0, 3), strength(3, 3), strength(6, 3)
    (0.0, 0.5, 0.75)
    """
    return 1 - 2.0 ** -min(max(evidence, 0.0) / needed, 50.0)


def require(name: str, holds: bool, what: str) -> None:
    """
    Raises:
        ValueError: a parameter is not what it has to be.
    """
    if not holds:
        raise ValueError(f"{name} has to be {what}")


class NumberDetector(Detector[float]):
    """A detector whose state is its `parameters` and its `Memory`. What is no number is passed over."""

    Memory: ClassVar[type[Struct]]

    def __init__(self, **parameters: Any) -> None:
        super().__init__()
        self.parameters = parameters

    def _take(self, value: float) -> Finding | None:
        as_float = number(value)
        return None if as_float is None else self._take_number(as_float)

    @abstractmethod
    def _take_number(self, value: float) -> Finding | None:
        """Take a finite number, value number `self.n`: set `score`, and say what it shows."""

    @abstractmethod
    def _memory(self) -> Struct:
        """What it knows of the stream."""

    @abstractmethod
    def _remember(self, memory: Any) -> None:
        """Know it again.

        Raises:
            ValueError: it contradicts itself.
        """

    def _state(self) -> dict[str, Any]:
        return {"parameters": dict(self.parameters), "memory": self._memory()}

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        detector = cls(**state["parameters"])
        detector._remember(convert(state["memory"], cls.Memory))
        return detector
