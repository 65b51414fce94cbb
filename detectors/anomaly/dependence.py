"""How far a step of several series is from the usual, given how they go together."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .spread import Spread

_LEARNED = 32
_MEMORY = 1_000
_SHRUNK_BY = 20
_ORDINARY = 3.0


class Dependence:
    """Distance of a step from the usual, by how its series go together (Mahalanobis, 1936), in units of one series.

    Correlations are of values cut off at 3 robust deviations, over about the last 1,000 steps, shrunk towards none as
    by 20 steps without any (after Ledoit, Wolf, 2004): many series on few steps can't seem to be bound together.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._spreads = [Spread(window=500) for _ in names]
        self._products = np.eye(len(names)) * _SHRUNK_BY

    def take(self, values: Mapping[str, float]) -> float | None:
        """The distance; None while too little is known, or no value is there."""
        at = [i for i, name in enumerate(self.names) if name in values]
        usual = [i for i in at if self._spreads[i].n >= _LEARNED]
        distance = None
        if usual:
            off = np.array([self._off(i, values[self.names[i]]) for i in usual])
            distance = self._distance(off, usual)
            self._learn(np.clip(off, -_ORDINARY, _ORDINARY), usual)
        for i in at:
            self._spreads[i].take(values[self.names[i]])
        return distance

    def _off(self, i: int, value: float) -> float:
        spread = self._spreads[i]
        return (value - spread.median) / (spread.scale or 1e-12)

    def _distance(self, off: npt.NDArray[np.float64], at: list[int]) -> float:
        within = self._products[np.ix_(at, at)]
        scale = np.sqrt(np.diag(within))
        correlations = within / np.outer(scale, scale)
        largest = max(float(np.abs(off).max()), 1.0)
        unit = off / largest
        squared = float(unit @ np.linalg.solve(correlations, unit))
        return largest * math.sqrt(max(squared, 0.0) / len(at))

    def _learn(self, off: npt.NDArray[np.float64], at: list[int]) -> None:
        kept = 1.0 - 1.0 / _MEMORY
        prior = np.eye(len(self.names)) * (_SHRUNK_BY * (1.0 - kept))
        whole = np.zeros(len(self.names))
        whole[at] = off
        self._products = self._products * kept + prior + np.outer(whole, whole)

    def state(self) -> dict[str, Any]:
        """As plain data."""
        spreads = [each.state() for each in self._spreads]
        return {"names": self.names, "spreads": spreads, "products": self._products.tolist()}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Dependence":
        """The same again."""
        dependence = cls([str(name) for name in state["names"]])
        for spread, kept in zip(dependence._spreads, state["spreads"], strict=True):
            spread.load(kept)
        products = np.asarray(state["products"], dtype=np.float64)
        if products.shape != dependence._products.shape:
            raise ValueError(f"products of {products.shape} for {len(dependence.names)} series")
        dependence._products = products
        return dependence
