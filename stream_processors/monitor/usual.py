"""What changes come and go: the hour of the day moves features, and nobody wants to be told."""

from collections.abc import Mapping
from typing import Any, Self

_REMEMBERED = 336
_LEAST = 8
_MARGIN = 1.5
# While too little is known, only what is so many times the size that matters counts as unusual.
_WHILE_UNKNOWN = 4.0
# A change that ends within a day of windows was one of those that come and go.
_COMES_AND_GOES_S = 86_400


class Usual:
    """Sizes of the changes of one series, window by window; the last 336 that were usual, or went away within a day."""

    def __init__(self) -> None:
        self._n = 0
        # Of the last 336, by number: those that no later one reaches, so that the first is the largest.
        self._peaks: list[tuple[int, float]] = []
        self._episode: list[float] = []

    @property
    def size(self) -> float | None:
        """Up to this size a change is usual; None while fewer than 8 windows are known."""
        return _MARGIN * self._peaks[0][1] if self._n >= _LEAST else None

    def is_unusual(self, effect: float, threshold: float) -> bool:
        """Whether a change of this size is beyond what comes and goes."""
        usual = self.size
        return effect > (_WHILE_UNKNOWN * threshold if usual is None else usual)

    def add(self, effect: float, *, drifted: bool, seconds: int) -> None:
        """Take note of a window of so many seconds. What drifts and stays is no measure of what is usual."""
        if drifted:
            if len(self._episode) * seconds <= _COMES_AND_GOES_S:
                self._episode.append(effect)
            return
        if 0 < len(self._episode) * seconds <= _COMES_AND_GOES_S:
            for each in self._episode:
                self._remember(each)
        self._episode = []
        self._remember(effect)

    def snapshot(self) -> dict[str, Any]:
        """As plain data."""
        return {"n": self._n, "peaks": [list(each) for each in self._peaks], "episode": list(self._episode)}

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """From its snapshot.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.
        """
        restored = cls()
        restored._n = int(snapshot["n"])
        restored._peaks = [(int(number), float(effect)) for number, effect in snapshot["peaks"]]
        restored._episode = [float(each) for each in snapshot["episode"]]
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
