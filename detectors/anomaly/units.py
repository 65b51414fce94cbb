"""Units in which values of any size and any tail can be compared."""

import math
from collections.abc import Sequence

from msgspec import Struct

_NORMAL_QUARTILES, _NORMAL_DECILES = 1.3489795, 2.5631031
_LARGEST = 700.0


class Unit(Struct, frozen=True):
    """asinh of deviations from the median: linear in the middle, a logarithm far from it."""

    median: float
    scale: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.median) and 0.0 < self.scale < math.inf):
            raise ValueError(f"no unit: median {self.median}, scale {self.scale}")

    def scaled(self, value: float) -> float:
        """In this unit: of finite values always finite.

        >>> unit = Unit(10.0, 2.0)
        >>> round(unit.scaled(11.0), 2), round(unit.scaled(1e300), 1), round(unit.natural(unit.scaled(11.0)), 6)
        (0.48, 690.8, 11.0)
        """
        return math.asinh(value / self.scale - self.median / self.scale)

    def natural(self, scaled: float) -> float:
        """The value again, of one that is not beyond all numbers."""
        return self.median + self.scale * math.sinh(min(max(scaled, -_LARGEST), _LARGEST))


def unit_of(values: Sequence[float]) -> Unit:
    """The unit of values, which are finite: a robust deviation, or the size of what hardly varies.

    >>> unit_of([4.0, 5.0, 6.0, 5.0, 4.0, 6.0, 5.0, 5e9]).median
    5.0
    >>> unit_of([3.0, 3.0, 3.0]), unit_of([0.0])
    (Unit(median=3.0, scale=3.0), Unit(median=0.0, scale=1.0))
    """
    kept = sorted(values)
    low, lower, middle, upper, high = (kept[int(q * (len(kept) - 1))] for q in (0.1, 0.25, 0.5, 0.75, 0.9))
    scale = max((upper - lower) / _NORMAL_QUARTILES, (high - low) / _NORMAL_DECILES)
    for other in (max(abs(middle), kept[-1] - kept[0]), 1.0):
        if not 1e-9 * abs(middle) < scale < math.inf or scale < 1e-300:
            scale = other
    return Unit(middle, scale)
