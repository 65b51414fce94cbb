"""Signs that something is unusual, each in its own unit of what is usual; 0 or more, two for two directions.

Spikes: how far the value is from the median, and from the value before it. Shifts: how far the mean of the last 12 and
48 values is from the median, and from the mean of as many before them. Roughness: by what factor (logarithm) the mean
of 12 steps has grown or shrunk: bursts, and lines gone flat. Season: how far from the time of day's value, alone and on
average. Novelty: how far the course of the last values is from the nearest there was (`novelty`), in one direction.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from .novelty import Novelty
from .points import Point
from .season import Season
from .spread import Spread

SHORT, LONG = 12, 48
_OF_LENGTHS = tuple(f"{sign} {length}" for length in (SHORT, LONG) for sign in ("mean", "shift", "season"))
NAMES = (
    *(
        f"{sign} {direction}"
        for sign in ("value", "step", "season", f"roughness {SHORT}", *_OF_LENGTHS)
        for direction in ("up", "down")
    ),
    "novelty",
)
_SMALL_STEP, _SMALL_RESIDUAL, _SMALL_ROUGHNESS, _SMALL_NOVELTY = 0.05, 0.01, 1e-3, 0.02
_TINY = 1e-12


class Signs:
    """Takes points and gives the signs of each, in order of `NAMES`; None while too few have been seen."""

    def __init__(self) -> None:
        self.values = Spread()
        self.season = Season()
        self._steps, self._residuals = Spread(), Spread()
        self._roughness = Spread()
        self._novelty = Novelty()
        self._last: deque[float] = deque(maxlen=2 * LONG)
        self._moves: deque[float] = deque(maxlen=SHORT)
        self._off_season: deque[float] = deque(maxlen=LONG)
        self.expected = 0.0
        """What the last point was expected to be: the median, or the season's value where a season shows."""

    def take(self, point: Point) -> list[float] | None:
        """Signs of this point; its value is finite."""
        value, level = point.value, self.values.median
        scale = self.values.scale
        step = value - self._last[-1] if self._last else 0.0
        of_season, shows = self.season.expected(point.ts_us, level)
        residual = 0.0 if of_season is None else value - of_season
        self.expected = of_season if shows and of_season is not None else level
        signs = None
        self._last.append(value)
        self._moves.append(abs(step))
        distance = self._novelty.take(value)
        if self.values.n >= self.values.every:
            unit = scale or _TINY
            off = residual / max(self._residuals.scale, _SMALL_RESIDUAL * unit)
            self._off_season.append(off)
            novelty = distance / unit
            signs = [*self._signs(value, step, off, unit), novelty if novelty > _SMALL_NOVELTY else 0.0]
        self.values.take(value)
        self._steps.take(step)
        self._residuals.take(residual)
        self.season.take(point.ts_us, value, level)
        return signs

    def _signs(self, value: float, step: float, off: float, unit: float) -> list[float]:
        level = self.values.median
        signed = [(value - level) / unit, step / max(self._steps.scale, _SMALL_STEP * unit), off]
        last, off_season = list(self._last), list(self._off_season)
        rough, floor = _mean(self._moves), _SMALL_ROUGHNESS * unit + _TINY
        signed.append(math.log((rough + floor) / (self._roughness.median + floor)))
        self._roughness.take(rough)
        for length in (SHORT, LONG):
            recent = _mean(last[-length:])
            before = _mean(last[-2 * length : -length]) if len(last) > length else recent
            signed.append((recent - level) / unit)
            signed.append((recent - before) / unit)
            signed.append(_mean(off_season[-length:]))
        return [part for each in signed for part in (max(each, 0.0), max(-each, 0.0))]

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "spreads": [each.state() for each in self._spreads()],
            "season": self.season.state(),
            "novelty": self._novelty.state(),
            "last": list(self._last),
            "moves": list(self._moves),
            "off_season": list(self._off_season),
            "expected": self.expected,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        for spread, kept in zip(self._spreads(), state["spreads"], strict=True):
            spread.load(kept)
        self.season.load(state["season"])
        self._novelty.load(state["novelty"])
        for kept, name in ((self._last, "last"), (self._moves, "moves"), (self._off_season, "off_season")):
            kept.clear()
            kept.extend(map(float, state[name]))
        self.expected = float(state["expected"])

    def _spreads(self) -> tuple[Spread, ...]:
        return self.values, self._steps, self._residuals, self._roughness


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
