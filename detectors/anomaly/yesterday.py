"""What was unusual a day ago, about this time: the same again today is no surprise."""

from collections.abc import Mapping
from typing import Any

from .season import DAY_US

PART_US = 2_700_000_000
"""Width of a part of the day; things may come a part earlier or later than they did."""
_PARTS = DAY_US // PART_US


class Yesterday:
    """The largest of each of several statistics in the parts of the last day."""

    def __init__(self) -> None:
        self._parts: dict[int, list[float]] = {}
        self._now: int | None = None
        self._before: list[float] | None = None

    def largest(self, ts_us: int) -> list[float] | None:
        """Of each statistic, a day ago, about this time of the day; None where nothing is known of it."""
        part = ts_us // PART_US
        if part != self._now:
            self._enter(part)
        return self._before

    def take(self, statistics: list[float]) -> None:
        """Take the statistics of the time last asked for."""
        assert self._now is not None
        kept = self._parts.get(self._now)
        self._parts[self._now] = list(statistics) if kept is None else list(map(max, kept, statistics))

    def _enter(self, part: int) -> None:
        self._now = part
        self._parts = {each: kept for each, kept in self._parts.items() if part - _PARTS - 1 <= each <= part}
        near = [self._parts[each] for each in range(part - _PARTS - 1, part - _PARTS + 2) if each in self._parts]
        self._before = [max(each) for each in zip(*near, strict=True)] if near else None

    def state(self) -> dict[str, Any]:
        """As plain data."""
        parts = [[part, self._parts[part]] for part in sorted(self._parts)]
        return {"parts": parts, "now": self._now, "before": self._before}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        self._parts = {int(part): [float(each) for each in kept] for part, kept in state["parts"]}
        self._now = None if state["now"] is None else int(state["now"])
        self._before = None if state["before"] is None else [float(each) for each in state["before"]]
