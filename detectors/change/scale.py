"""A scale on which losses of any size and with heavy tails are alike."""

import math

import numpy as np
from msgspec import Struct

_SMALLEST = 1e-100
_MOST = 30.0


class Scale(Struct):
    """What x is: asinh(x / unit) - centre. Near-linear below the unit, logarithmic beyond, constant from 30 units.

    The unit is the mean magnitude of the first block that is not all zeros, 0 until there is one; the centre is the
    mean of that block. `distinct` are the values seen as long as they are two at most, and empty from the third on
    (`many`): of two, the scale keeps means in proportion, so a share of errors stays a share.
    """

    unit: float = 0.0
    centre: float = 0.0
    distinct: list[float] = []
    many: bool = False

    def meet(self, values: list[float]) -> bool:
        """Take note of a block; whether the unit was found with it."""
        if not self.many:
            self.distinct = sorted({*self.distinct, *values})
            if len(self.distinct) > 2:
                self.distinct, self.many = [], True
        if self.unit:
            return False
        self.unit = math.fsum(map(abs, values)) / len(values)
        if self.unit:
            self.unit = max(self.unit, _SMALLEST)
            self.centre = float(self._tamed(values).mean())
        return bool(self.unit)

    def of(self, values: list[float]) -> np.ndarray:
        """The values on this scale; zeros as long as there is no unit."""
        return self._tamed(values) - self.centre if self.unit else np.zeros(len(values))

    def _tamed(self, values: list[float]) -> np.ndarray:
        return np.arcsinh(np.clip(np.array(values) / self.unit, -_MOST, _MOST))

    @property
    def ends(self) -> tuple[float, float]:
        """Where the two distinct values are on this scale; only of two."""
        low, high = self.of(self.distinct).tolist()
        return low, high
