"""Lines gone flat and points that are missing: a series that says nothing."""

from collections.abc import Mapping
from typing import Any

from .points import Point
from .spread import Spread

ALLOWED = 3
"""Equal values, and steps without a point, that mean nothing."""


class Silence:
    """Two signs, 1 or more: values equal to the one before, and usual steps of time since the last point."""

    def __init__(self) -> None:
        self._steps = Spread()
        self._last: Point | None = None
        self._equal = 0

    def take(self, point: Point) -> list[float]:
        """Signs of this point; its value is finite."""
        last, self._last = self._last, point
        if last is None:
            return [1.0, 1.0]
        self._equal = self._equal + 1 if point.value == last.value else 0
        step_us = float(point.ts_us - last.ts_us)
        usual_us = self._steps.median
        missing = step_us / usual_us - 1.0 if usual_us > 0 else 0.0
        if step_us > 0:
            self._steps.take(step_us)
        return [1.0 + max(self._equal - ALLOWED, 0), 1.0 + max(missing - ALLOWED, 0.0)]

    def state(self) -> dict[str, Any]:
        """As plain data."""
        last = None if self._last is None else [self._last.ts_us, self._last.value]
        return {"steps": self._steps.state(), "last": last, "equal": self._equal}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        self._steps.load(state["steps"])
        self._last = None if state["last"] is None else Point(int(state["last"][0]), float(state["last"][1]))
        self._equal = int(state["equal"])
