"""What each of several values is, given the others: how far from what they lead to expect."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

_LEARNED = 24
_SHRUNK_BY = 20.0
_ORDINARY = 5.0
_PATTERNS = 32
_LARGEST = 1e100

Array = npt.NDArray[np.float64]


class Part(Struct, frozen=True):
    """One value of a step: what the others lead to expect, what it was, and how many deviations lie between."""

    name: str
    expected: float
    seen: float
    deviation: float


class Look(Struct, frozen=True):
    """A step beside what was known before it; `deviations` of each value that is `at` a place, given the others."""

    at: npt.NDArray[np.intp]
    off: Array
    deviations: Array
    precision: Array

    @property
    def largest(self) -> float:
        """Of the value that is farthest from what the others lead to expect."""
        return float(np.abs(self.deviations).max())


class Dependence:
    """Means, deviations and correlations of values by name, over about the last `memory` steps.

    Values come in units in which 1 is about a usual deviation; a step teaches no more than 5 of them. Correlations are
    shrunk towards none as by 20 steps without any (after Ledoit, Wolf, 2004): many values on few steps can't seem to be
    bound together. Values that are not there are left out, also of what is expected of the others.
    """

    def __init__(self, names: list[str], memory: int = 1_000, every: int = 1) -> None:
        """`every`: steps until what was learned is judged by."""
        self.names = names
        self.memory, self.every = memory, every
        self._place = {name: i for i, name in enumerate(names)}
        self._learned = 0
        self._counts = np.zeros(len(names))
        self._means = np.zeros(len(names))
        self._squares = np.ones(len(names))
        self._products = np.eye(len(names)) * _SHRUNK_BY
        self._known: dict[bytes, Array] = {}
        """Inverses of the correlations of the places that are there."""
        self._judged_by = self._products, self._means, np.sqrt(self._squares)

    def look(self, values: Mapping[str, float]) -> Look | None:
        """The step by what is known; None while that is too little, or where nothing is there."""
        at = [i for name in values if (i := self._place.get(name)) is not None and self._counts[i] >= _LEARNED]
        if not at:
            return None
        places = np.array(sorted(at))
        precision = self._precision(places)
        _, means, deviations = self._judged_by
        off = (np.array([values[self.names[i]] for i in places]) - means[places]) / deviations[places]
        return Look(places, off, precision @ off / np.sqrt(np.diag(precision)), precision)

    def parts(self, look: Look) -> list[Part]:
        """Each value of the step, in the units that it came in; the farthest from what is expected first."""
        _, means, deviations = self._judged_by
        expected = look.off - look.deviations / np.sqrt(np.diag(look.precision))
        found = [
            Part(
                self.names[i],
                float(means[i] + deviations[i] * expected[at]),
                float(means[i] + deviations[i] * look.off[at]),
                float(look.deviations[at]),
            )
            for at, i in enumerate(look.at)
        ]
        return sorted(found, key=lambda part: -abs(part.deviation))

    def learn(self, values: Mapping[str, float]) -> None:
        """Take a step."""
        at = np.array(sorted(i for name in values if (i := self._place.get(name)) is not None), dtype=np.intp)
        if not len(at):
            return
        given = np.array([values[self.names[i]] for i in at])
        deviations = np.sqrt(self._squares[at])
        off = np.clip(given - self._means[at], -_ORDINARY, _ORDINARY) / deviations
        self._counts[at] = np.minimum(self._counts[at] + 1.0, self.memory)
        by = 1.0 / (self._counts[at] + _SHRUNK_BY)
        self._means[at] += off * deviations * by
        self._squares[at] = np.maximum(self._squares[at] * (1.0 + (off * off - 1.0) * by), 1e-12)
        kept = 1.0 - 1.0 / self.memory
        self._products *= kept
        self._products[np.diag_indices(len(self.names))] += _SHRUNK_BY * (1.0 - kept)
        self._products[np.ix_(at, at)] += np.outer(off, off)
        self._learned += 1
        if self._learned % self.every == 0:
            self._refresh()

    def _refresh(self) -> None:
        self._known = {}
        self._judged_by = self._products.copy(), self._means.copy(), np.sqrt(self._squares)

    def _precision(self, places: npt.NDArray[np.intp]) -> Array:
        key = places.tobytes()
        found = self._known.get(key)
        if found is None:
            within = self._judged_by[0][np.ix_(places, places)]
            scale = np.sqrt(np.diag(within))
            found = np.asarray(np.linalg.inv(within / np.outer(scale, scale)), dtype=np.float64)
            if len(self._known) < _PATTERNS:
                self._known[key] = found
        return found

    def state(self) -> dict[str, Any]:
        """As plain data."""
        products, means, deviations = self._judged_by
        state = {
            "names": self.names, "memory": self.memory, "every": self.every, "learned": self._learned,
            "counts": self._counts.tolist(), "means": self._means.tolist(), "squares": self._squares.tolist(),
            "products": _upper(self._products), "judged_by": None,
        }  # fmt: skip
        if self.every > 1:
            state["judged_by"] = [_upper(products), means.tolist(), deviations.tolist()]
        return state

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Dependence":
        """The same again."""
        dependence = cls([str(name) for name in state["names"]], int(state["memory"]), int(state["every"]))
        n = len(dependence.names)
        if min(n, dependence.memory, dependence.every) < 1 or len(set(dependence.names)) < n:
            raise ValueError("a dependence of nothing, or of the same twice")
        dependence._learned = int(state["learned"])
        dependence._counts = _numbers(state["counts"], n)
        dependence._means, dependence._squares = _numbers(state["means"], n), _numbers(state["squares"], n)
        dependence._products = _whole(state["products"], n)
        dependence._refresh()
        if state["judged_by"] is not None:
            products, means, deviations = state["judged_by"]
            dependence._judged_by = _whole(products, n), _numbers(means, n), _numbers(deviations, n)
        if min(*dependence._squares, *dependence._judged_by[2]) <= 0.0:
            raise ValueError("deviations that are none")
        return dependence


def _upper(products: Array) -> list[float]:
    """A symmetric matrix from its diagonal on."""
    return products[np.triu_indices(len(products))].tolist()


def _whole(upper: Any, n: int) -> Array:
    products = np.zeros((n, n))
    places = np.triu_indices(n)
    products[places] = _numbers(upper, len(places[0]))
    products.T[places] = products[places]
    # Raises LinAlgError, a ValueError, where no steps have such products.
    np.linalg.cholesky(products)
    return products


def _numbers(values: Any, n: int) -> Array:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (n,) or not np.all(np.abs(numbers) <= _LARGEST):
        raise ValueError(f"{numbers.shape} where {n} numbers belong")
    return numbers
