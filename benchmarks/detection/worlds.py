"""Columns whose distribution is known, and ways in which they change."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from loopwatch.detectors.drift.column import Column, Kind

Values = np.ndarray


class World(NamedTuple):
    """A column: `draw` gives that many values, floats, or categories as whole numbers."""

    name: str
    is_numeric: bool
    draw: Callable[[np.random.Generator, int], Values]


class Change(NamedTuple):
    """A world that becomes another one."""

    name: str
    before: World
    after: World


def column(world: World, values: Values) -> Column:
    """As Loopwatch counts it."""
    if world.is_numeric:
        return Column.of_numbers(values)
    counts = np.bincount(values).tolist()
    return Column(Kind.CATEGORICAL, categories={f"c{at}": n for at, n in enumerate(counts) if n})


def _normal(mean: float = 0.0, deviation: float = 1.0) -> Callable[[np.random.Generator, int], Values]:
    return lambda random, n: random.normal(mean, deviation, n)


def _zeros(share: float) -> Callable[[np.random.Generator, int], Values]:
    return lambda random, n: np.where(random.random(n) < share, 0.0, random.lognormal(0, 1, n))


def _tail(share: float, factor: float) -> Callable[[np.random.Generator, int], Values]:
    """Of the normal distribution: so large a share of its top is that many times as large."""

    def draw(random: np.random.Generator, n: int) -> Values:
        values = random.normal(0, 1, n)
        return np.where(values > _TOPS[share], factor * values, values)

    return draw


def shares(k: int, zipf: bool) -> np.ndarray:
    """Of k categories."""
    weights = 1 / np.arange(1, k + 1) if zipf else np.ones(k)
    return weights / weights.sum()


def _categories(chances: np.ndarray) -> Callable[[np.random.Generator, int], Values]:
    # In order: nothing that looks at them sees it, and it is much faster.
    return lambda random, n: np.repeat(np.arange(chances.size), random.multinomial(n, chances))


def _uneven(chances: np.ndarray, by: float) -> np.ndarray:
    """Every other category has that much more of its share, the others less."""
    return chances * (1 + by * np.where(np.arange(chances.size) % 2, 1, -1))


def _up(chances: np.ndarray, at: int, by: float) -> np.ndarray:
    """One category takes `by` more of all values, from all alike."""
    chances = chances * (1 - by)
    chances[at] += by
    return chances


_TOPS = {0.01: 2.3263, 0.05: 1.6449}
NORMAL = World("normal", True, _normal())
LOGNORMAL = World("lognormal", True, lambda random, n: random.lognormal(0, 1, n))
ZEROS = World("zero-inflated", True, _zeros(0.7))
DISCRETE = World("discrete", True, lambda random, n: random.poisson(3, n).astype(np.float64))
CATEGORIES: Mapping[tuple[int, bool], World] = {
    (k, zipf): World(f"{k} categories, {'Zipf' if zipf else 'uniform'}", False, _categories(shares(k, zipf)))
    for k in (2, 10, 50, 200)
    for zipf in (False, True)
}
WORLDS = (NORMAL, LOGNORMAL, ZEROS, DISCRETE, *CATEGORIES.values())
SMALL_SHIFT = Change("normal, mean + 0.12 σ", NORMAL, World("", True, _normal(0.12)))
CHANGES = (
    Change("normal, mean + 0.1 σ", NORMAL, World("", True, _normal(0.1))),
    Change("normal, mean + 0.25 σ", NORMAL, World("", True, _normal(0.25))),
    Change("normal, scale × 1.25", NORMAL, World("", True, _normal(0, 1.25))),
    Change("normal, top 1 % × 5", NORMAL, World("", True, _tail(0.01, 5))),
    Change("normal, top 5 % × 2", NORMAL, World("", True, _tail(0.05, 2))),
    Change("lognormal, × 1.2", LOGNORMAL, World("", True, lambda random, n: 1.2 * random.lognormal(0, 1, n))),
    Change("zero-inflated, 70 % to 62 %", ZEROS, World("", True, _zeros(0.62))),
    Change("discrete, 3 to 3.4", DISCRETE, World("", True, lambda random, n: random.poisson(3.4, n) * 1.0)),
    *(
        Change(f"{k} {'Zipf' if zipf else 'uniform'}, one category + {by:.0%}", CATEGORIES[k, zipf],
               World("", False, _categories(_up(shares(k, zipf), k // 2, by))))
        for k, zipf, by in ((2, False, 0.15), (10, True, 0.05), (50, False, 0.05), (200, True, 0.05))
    ),
    *(
        Change(f"{k} uniform, every other category ± 25 %", CATEGORIES[k, False],
               World("", False, _categories(_uneven(shares(k, False), 0.25))))
        for k in (10, 50)
    ),
)  # fmt: skip
