"""Columns as numbers that say how they depend on each other, and nothing of what each does by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from .numeric import Floats

MOST_PARTS = 60
"""60 parts have 1,770 products of two."""
_LEVELS = 4
_RARE = 0.01


class Part(NamedTuple):
    """What one number of a row says: a column's rank, or with `level` whether its category is that one."""

    column: str
    level: str | None = None

    def __str__(self) -> str:
        return self.column if self.level is None else f"{self.column} = {self.level}"


def parts_of(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> tuple[list[Part], Floats]:
    """The first 60 parts of the columns, and their values (rows, parts): those of `before` first.

    Numbers are the normal scores of their ranks on their own side, categories the 4 most frequent ones by their share
    on their own side: each part has mean 0 and deviation 1 on both sides, whatever moved. A missing value is 0, and the
    others are as much larger, so that products of two columns have the same mean whatever is missing.
    """
    parts: list[Part] = []
    values: list[Floats] = []
    for name in before:
        sides = before[name], after[name]
        if all(np.issubdtype(side.dtype, np.floating) for side in sides):
            found = {Part(name): [_of_numbers(side) for side in sides]}
        else:
            texts = [[None if each is None else str(each) for each in side.tolist()] for side in sides]
            found = {Part(name, level): [_of_category(side, level) for side in texts] for level in _levels(*texts)}
        for part, of_sides in found.items():
            if all(side is not None for side in of_sides):
                parts.append(part)
                values.append(np.concatenate([side for side in of_sides if side is not None]))
        if len(parts) >= MOST_PARTS:
            break
    rows = sum(len(next(iter(side.values()))) for side in (before, after)) if before else 0
    return parts[:MOST_PARTS], np.stack(values[:MOST_PARTS], axis=1) if values else np.zeros((rows, 0))


def _of_numbers(values: np.ndarray) -> Floats | None:
    """None of a side that hardly has any, or always the same one: that says nothing of how it goes with others."""
    known = np.isfinite(values)
    if known.mean() < _RARE or np.mean(values[known] != np.median(values[known])) < _RARE:
        return None
    scores = np.zeros(values.size)
    of_known = stats.norm.ppf((stats.rankdata(values[known]) - 0.5) / known.sum())
    scores[known] = (of_known - of_known.mean()) / of_known.std() / known.mean()
    return scores


def _of_category(values: Sequence[str | None], level: str) -> Floats | None:
    is_one = np.array([each == level for each in values], np.float64)
    share = is_one.mean()
    return (is_one - share) / is_one.std() if _RARE <= share <= 1 - _RARE else None


def _levels(before: Sequence[str | None], after: Sequence[str | None]) -> list[str]:
    """The most frequent ones; of two, or of all there are, the last says nothing that the others don't."""
    counts = Counter(each for side in (before, after) for each in side if each is not None)
    frequent = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [name for name, _ in frequent[: min(_LEVELS, len(frequent) - 1)]]
