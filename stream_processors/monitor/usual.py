"""What changes come and go: the hour of the day moves features, and nobody wants to be told."""

from collections.abc import Mapping
from typing import Any, Self

_REMEMBERED = 336
_MARGIN = 1.5
# What ends within a day was one of the changes that come and go.
_DAY_S = 86_400


class Usual:
    """Sizes of the changes of one series, window by window; the last 336 that were usual, or went away within a day.

    Nothing is called unusual before 8 windows are known, or 4 of a day or more: until then it may just be Tuesday.
    """

    def __init__(self, seconds: int) -> None:
        """For windows of so many seconds."""
        self._seconds = seconds
        self._effects: list[float] = []
        self._episode: list[float] = []

    @property
    def size(self) -> float | None:
        """Up to this size a change is usual; None while too few windows are known."""
        least = 4 if self._seconds >= _DAY_S else 8
        return _MARGIN * max(self._effects) if len(self._effects) >= least else None

    def is_unusual(self, effect: float) -> bool:
        """Whether a change of this size is beyond what comes and goes."""
        usual = self.size
        return usual is not None and effect > usual

    def add(self, effect: float, *, drifted: bool) -> None:
        """Take note of a window. What drifts and stays is no measure of what is usual."""
        if drifted:
            if len(self._episode) * self._seconds <= _DAY_S:
                self._episode.append(effect)
            return
        if 0 < len(self._episode) * self._seconds <= _DAY_S:
            self._effects += self._episode
        self._episode = []
        self._effects = [*self._effects, effect][-_REMEMBERED:]

    def snapshot(self) -> dict[str, Any]:
        """As plain data."""
        return {"seconds": self._seconds, "effects": list(self._effects), "episode": list(self._episode)}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """From its snapshot."""
        restored = cls(int(snapshot["seconds"]))
        restored._effects = [float(each) for each in snapshot["effects"]]
        restored._episode = [float(each) for each in snapshot["episode"]]
        return restored
