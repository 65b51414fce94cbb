"""Half-space trees: how few of the events of the last window were near this one.

Tan, Ting, Liu, "Fast Anomaly Detection for Streaming Data", IJCAI 2011. River has them as well; these are owned because
River's can't be given as plain data and taken up again exactly.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

_DEEP_ENOUGH = 0.1


class HalfSpaceTrees:
    """Over features of known ranges; the shape of the trees follows from the ranges and the seed alone.

    Node i has children 2i+1 and 2i+2. A value that is not there goes where more of the window went, as in River.

    Args:
        ranges: lowest and highest usual value of each feature; others are not looked at.
        window: events after which what was learned becomes what is judged by.

    Raises:
        ValueError: no ranges.
    """

    def __init__(
        self, ranges: Mapping[str, tuple[float, float]], trees: int, height: int, window: int, seed: int
    ) -> None:
        if not ranges:
            raise ValueError("trees need a feature at least")
        self.ranges = {name: ranges[name] for name in sorted(ranges)}
        self.trees, self.height, self.window, self.seed = trees, height, window, seed
        self.learned = 0
        source = random.Random(seed)
        self._cuts = [self._grown(source) for _ in range(trees)]
        nodes = 2 ** (height + 1) - 1
        self._judged_by = [[0] * nodes for _ in range(trees)]
        self._counted = [[0] * nodes for _ in range(trees)]

    def _grown(self, source: random.Random) -> list[tuple[str, float]]:
        around = {}
        for name, (low, high) in self.ranges.items():
            centre = source.random()
            reach = 2.0 * max(centre, 1.0 - centre)
            width = high - low
            around[name] = (low + (centre - reach) * width, low + (centre + reach) * width)
        names = list(around)
        cuts: list[tuple[str, float]] = []

        def cut(node: int, within: Mapping[str, tuple[float, float]]) -> dict[int, tuple[str, float]]:
            if node >= 2**self.height - 1:
                return {}
            name = names[source.randrange(len(names))]
            low, high = within[name]
            middle = (low + high) / 2.0
            left = cut(2 * node + 1, {**within, name: (low, middle)})
            right = cut(2 * node + 2, {**within, name: (middle, high)})
            return {node: (name, middle), **left, **right}

        of_nodes = cut(0, around)
        cuts.extend(of_nodes[node] for node in range(len(of_nodes)))
        return cuts

    def take(self, event: Mapping[str, float]) -> float | None:
        """From 0 to 1, how alone the event is; None during the first window. Then learns it."""
        inner, few = 2**self.height - 1, _DEEP_ENOUGH * self.window
        mass = 0.0
        for cuts, judged_by, counted in zip(self._cuts, self._judged_by, self._counted, strict=True):
            node, weight, counts = 0, 1, True
            while True:
                if counts:
                    mass += judged_by[node] * weight
                    counts = judged_by[node] >= few
                counted[node] += 1
                if node >= inner:
                    break
                name, middle = cuts[node]
                value = event.get(name)
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
            self._judged_by = self._counted
            self._counted = [[0] * len(tree) for tree in self._counted]
        return alone

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "ranges": self.ranges,
            "shape": [self.trees, self.height, self.window, self.seed],
            "learned": self.learned,
            "judged_by": self._judged_by,
            "counted": self._counted,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "HalfSpaceTrees":
        """The same trees again."""
        ranges = {name: (float(low), float(high)) for name, (low, high) in state["ranges"].items()}
        trees = cls(ranges, *map(int, state["shape"]))
        trees.learned = int(state["learned"])
        trees._judged_by = _masses(state["judged_by"], trees._judged_by)
        trees._counted = _masses(state["counted"], trees._counted)
        return trees


def _masses(kept: Sequence[Sequence[int]], like: list[list[int]]) -> list[list[int]]:
    masses = [[int(each) for each in tree] for tree in kept]
    if [len(tree) for tree in masses] != [len(tree) for tree in like]:
        raise ValueError("masses of trees of another shape")
    return masses
