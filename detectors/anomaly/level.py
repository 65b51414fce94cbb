"""The recent level of a series, and how long what is left stays."""

import math
from typing import Annotated

from msgspec import Meta, Struct, field

from .evidence import DELAY

_MEMORY = 64.0
_OF_DEPENDENCE = 500.0
# What is left shrinks while seasons become known: of a short history the later steps count more.
_HASTE = 3.0
_DOUBT = 50.0
_MOST = 0.97
_ORDINARY = 3.0


class Level(Struct):
    """Exponentially forgetting level, over 64 steps, with an autoregressive rest of order 1.

    A residual moves it by what is ordinary at most: robust as an M-estimator is. `steps`: how many it is made of.
    """

    level: float = 0.0
    steps: float = 0.0
    rest: float = 0.0
    variance: float = 0.0
    covariance: float = 0.0
    known: float = 0.0
    lessons: Annotated[list[tuple[float, float]], Meta(max_length=DELAY)] = field(default_factory=list)

    @property
    def dependence(self) -> float:
        """Correlation of one step with the next, of what is left beside the level."""
        if self.variance <= 0.0:
            return 0.0
        slope = self.covariance / self.variance * self.known / (self.known + _DOUBT)
        return min(max(slope, 0.0), _MOST)

    def expected(self, ahead: int = 1) -> float:
        """For so many steps after the last one that was taken."""
        return self.level + self.dependence**ahead * self.rest

    def doubts(self, ahead: int) -> tuple[float, float]:
        """Deviation of a forecast for so many steps ahead, and of sums of them, in those for the next step."""
        dependence = self.dependence
        if ahead <= 1 or dependence == 0.0:
            return 1.0, 1.0
        alone = math.sqrt((1.0 - dependence ** (2 * ahead)) / (1.0 - dependence * dependence))
        return alone, alone * math.sqrt((1.0 + dependence) / (1.0 - dependence))

    def take(self, residual: float, unit: float, trust: float) -> float:
        """Take a residual from `expected()`, of a value with that deviation; returns what was ordinary of it.

        `trust`: weight of the value, 1 for a typical one.
        """
        ordinary = min(max(residual, -_ORDINARY * unit), _ORDINARY * unit)
        rest = self.dependence * self.rest + ordinary
        self.lessons.append((self.rest, rest))
        if len(self.lessons) > DELAY:
            self._learn(*self.lessons.pop(0))
        self.steps = min(self.steps + trust, _MEMORY)
        moved = min(trust / self.steps, 1.0) * rest
        self.level += moved
        self.rest = rest - moved
        return ordinary

    def move(self, by: float, steps: float) -> None:
        """The level has changed, as so many steps say."""
        self.level += by
        self.steps, self.rest = steps, 0.0

    def unlearn(self, steps: int) -> None:
        """The last steps, the present one not yet taken, are no lesson: they are of a change."""
        if steps > 1:
            del self.lessons[-(steps - 1) :]

    def _learn(self, before: float, rest: float) -> None:
        self.known += 1.0
        by = max(_HASTE / (self.known + _HASTE - 1.0), 1.0 / _OF_DEPENDENCE)
        self.covariance += (rest * before - self.covariance) * by
        self.variance += (rest * rest - self.variance) * by
