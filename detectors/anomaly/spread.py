"""Median and spread of the last values, by quantiles, so that anomalies among them hardly show."""

from collections.abc import Mapping
from typing import Any

import numpy as np

_NORMAL_QUARTILES = 1.3489795
_NORMAL_DECILES = 2.5631031


class Spread:
    """Of the `window` values before the last refresh; one refresh in `every` values.

    The scale is the larger of what the quartiles and the outer deciles say it is (both agree on a normal
    distribution), so that a series that rarely moves has one too. None until there are eight values.
    """

    def __init__(self, window: int = 1000, every: int = 16) -> None:
        self.window = window
        self.every = every
        self.n = 0
        self.median = 0.0
        self.scale = 0.0
        self._ring = np.zeros(window)

    def take(self, value: float) -> None:
        """Take a value; it shows at the next refresh."""
        self._ring[self.n % self.window] = value
        self.n += 1
        if self.n % self.every == 0:
            kept = np.sort(self._ring[: min(self.n, self.window)])
            low, lower, middle, upper, high = kept[
                (np.array((0.1, 0.25, 0.5, 0.75, 0.9)) * (len(kept) - 1)).astype(int)
            ]
            self.median = float(middle)
            wide = max((upper - lower) / _NORMAL_QUARTILES, (high - low) / _NORMAL_DECILES)
            self.scale = max(float(wide), 1e-9 * abs(self.median))

    def state(self) -> dict[str, Any]:
        """As plain data."""
        kept = self._ring[: min(self.n, self.window)].tolist()
        return {"n": self.n, "median": self.median, "scale": self.scale, "ring": kept}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        kept = np.asarray(state["ring"], dtype=np.float64)
        self.n = int(state["n"])
        if kept.shape != (min(self.n, self.window),):
            raise ValueError(f"a ring of {kept.shape} after {self.n} values")
        self.median, self.scale = float(state["median"]), float(state["scale"])
        self._ring[: len(kept)] = kept
