"""Half-space trees: how few of the events before were near this one.

Tan, Ting, Liu, "Fast Anomaly Detection for Streaming Data", IJCAI 2011. River has them as well; these are owned because
River's can't be given as plain data and taken up again exactly.
"""

import random
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

_DEEP_ENOUGH = 0.1

_Cuts = tuple["array[int]", "array[float]"]
"""Of each inner node, which feature is cut, and where."""


class HalfSpaceTrees:
    """Over features of known ranges; the shape of the trees follows from the ranges and the seed alone.

    Node i has children 2i+1 and 2i+2. A value that is not there goes where more of the window went, as in River.

    Args:
        ranges: lowest and highest usual value of each feature; others are not looked at.
        window: events after which what was learned is judged by.
        memory: events that are judged by, about: a window weighs as all before it do until there are so many, and
            then fades. One window, if left out, as in the paper.

    Raises:
        ValueError: no ranges, or a memory of less than a window.
    """

    def __init__(
        self, ranges: Mapping[str, tuple[float, float]], trees: int, height: int, window: int, seed: int,
        memory: int | None = None,
    ) -> None:  # fmt: skip
        if not ranges:
            raise ValueError("trees need a feature at least")
        self.ranges = {name: ranges[name] for name in sorted(ranges)}
        self.trees, self.height, self.window, self.seed = trees, height, window, seed
        self.memory = window if memory is None else memory
        if self.memory < window:
            raise ValueError(f"a memory of {self.memory} events, and windows of {window}")
        self.learned = 0
        source = random.Random(seed)
        self._cuts = [self._grown(source) for _ in range(trees)]
        nodes = 2 ** (height + 1) - 1
        self._judged_by = [array("d", bytes(8 * nodes)) for _ in range(trees)]
        self._counted = [array("q", bytes(8 * nodes)) for _ in range(trees)]

    def _grown(self, source: random.Random) -> _Cuts:
        around: list[tuple[float, float]] = []
        for low, high in self.ranges.values():
            centre = source.random()
            reach = 2.0 * max(centre, 1.0 - centre)
            width = high - low
            around.append((low + (centre - reach) * width, low + (centre + reach) * width))
        inner = 2**self.height - 1
        of, middles = array("q", bytes(8 * inner)), array("d", bytes(8 * inner))

        def cut(node: int, within: Sequence[tuple[float, float]]) -> None:
            if node >= inner:
                return
            at = source.randrange(len(around))
            low, high = within[at]
            of[node], middles[node] = at, (low + high) / 2.0
            cut(2 * node + 1, [*within[:at], (low, middles[node]), *within[at + 1 :]])
            cut(2 * node + 2, [*within[:at], (middles[node], high), *within[at + 1 :]])

        cut(0, around)
        return of, middles

    def take(self, event: Mapping[str, float]) -> float | None:
        """From 0 to 1, how alone the event is; None during the first window. Then learns it."""
        inner, few = 2**self.height - 1, _DEEP_ENOUGH * self.window
        values = [event.get(name) for name in self.ranges]
        mass = 0.0
        for (of, middles), judged_by, counted in zip(self._cuts, self._judged_by, self._counted, strict=True):
            node, weight, counts = 0, 1, True
            while True:
                if counts:
                    mass += judged_by[node] * weight
                    counts = judged_by[node] >= few
                counted[node] += 1
                if node >= inner:
                    break
                value, middle = values[of[node]], middles[node]
                node = 2 * node + 1
                if value is None:
                    node += counted[node] >= counted[node + 1]
                elif value >= middle:
                    node += 1
                weight *= 2
        alone = None
        if self.learned >= self.window:
            alone = 1.0 - mass / (self.trees * self.window * (2 ** (self.height + 1) - 1))
        self.learned += 1
        if self.learned % self.window == 0:
            self._remember()
        return alone

    def _remember(self) -> None:
        share = self.window / min(self.learned, self.memory)
        for judged_by, counted in zip(self._judged_by, self._counted, strict=True):
            for node, n in enumerate(counted):
                judged_by[node] += (n - judged_by[node]) * share
                counted[node] = 0

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "ranges": self.ranges,
            "shape": [self.trees, self.height, self.window, self.seed, self.memory],
            "learned": self.learned,
            "judged_by": [each.tolist() for each in self._judged_by],
            "counted": [each.tolist() for each in self._counted],
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "HalfSpaceTrees":
        """The same trees again."""
        ranges = {name: (float(low), float(high)) for name, (low, high) in state["ranges"].items()}
        trees = cls(ranges, *map(int, state["shape"]))
        trees.learned = int(state["learned"])
        like = [len(tree) for tree in trees._counted]
        trees._judged_by = [array("d", tree) for tree in state["judged_by"]]
        trees._counted = [array("q", tree) for tree in state["counted"]]
        if not like == [len(tree) for tree in trees._judged_by] == [len(tree) for tree in trees._counted]:
            raise ValueError("masses of trees of another shape")
        return trees
