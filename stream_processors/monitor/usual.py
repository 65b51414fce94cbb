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
        self._n = 0
        # Of the last 336, by number: those that no later one reaches, so that the first is the largest.
        self._peaks: list[tuple[int, float]] = []
        self._episode: list[float] = []
        self._quiet = 0

    @property
    def size(self) -> float | None:
        """Up to this size a change is usual; None while too few windows are known."""
        least = 4 if self._seconds >= _DAY_S else 8
        return _MARGIN * self._peaks[0][1] if self._n >= least else None

    def is_unusual(self, effect: float) -> bool:
        """Whether a change of this size is beyond what comes and goes."""
        usual = self.size
        return usual is not None and effect > usual

    def add(self, effect: float, *, drifted: bool) -> None:
        """Take note of a window. What drifts and stays is no measure of what is usual."""
        if drifted:
            self._quiet = 0
            if len(self._episode) * self._seconds <= _DAY_S:
                self._episode.append(effect)
            return
        self._remember(effect)
        self._quiet += 1
        # One window that looks as before may be chance: what drifts on was not over.
        if self._quiet > 1:
            if len(self._episode) * self._seconds <= _DAY_S:
                for each in self._episode:
                    self._remember(each)
            self._episode = []

    def snapshot(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "seconds": self._seconds,
            "n": self._n,
            "peaks": [list(each) for each in self._peaks],
            "episode": list(self._episode),
            "quiet": self._quiet,
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """From its snapshot.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.
        """
        restored = cls(int(snapshot["seconds"]))
        restored._n = int(snapshot["n"])
        restored._peaks = [(int(number), float(effect)) for number, effect in snapshot["peaks"]]
        restored._episode = [float(each) for each in snapshot["episode"]]
        restored._quiet = int(snapshot["quiet"])
        if bool(restored._peaks) != bool(restored._n):
            raise ValueError("what is usual contradicts itself")
        return restored

    def _remember(self, effect: float) -> None:
        while self._peaks and self._peaks[-1][1] <= effect:
            self._peaks.pop()
        self._peaks.append((self._n, effect))
        self._n += 1
        if self._peaks[0][0] < self._n - _REMEMBERED:
            del self._peaks[0]
