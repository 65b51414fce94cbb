"""Drifts put into a stream of labelled rows at a known place, as Cerqueira et al. do (arXiv 2606.07789, section 4).

Four kinds: the features change places (`feature_permutation`); every row of one class is given another one
(`label_swap`); three of four rows of one class are left out (`class_prior`); rows in which one feature is above its
median are left out (`feature_filter`). An abrupt drift concerns every row from its onset; a gradual one concerns a row
with a probability that rises linearly from 0 to 1 over `width` rows. It stays until the stream ends.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

import numpy as np

Row = tuple[float, ...]
KEPT_OF_CLASS = 0.25


class Kind(Enum):
    """What changes."""

    FEATURE_PERMUTATION = "feature_permutation"
    LABEL_SWAP = "label_swap"
    CLASS_PRIOR = "class_prior"
    FEATURE_FILTER = "feature_filter"


class Labelled(NamedTuple):
    """A stream: rows of numbers under `names`, and a class number for each."""

    names: tuple[str, ...]
    rows: list[Row]
    labels: list[int]


class Drift:
    """One drift of every kind, drawn for one trial; kinds of a trial share their onset."""

    def __init__(self, stream: Labelled, onset: int, rng: np.random.Generator) -> None:
        classes, columns = sorted(set(stream.labels)), len(stream.names)
        self.onset = onset
        self._from, self._to = (int(each) for each in rng.choice(classes, 2, replace=False))
        self._order = [int(column) for column in rng.permutation(columns)]
        values = np.asarray(stream.rows)
        medians = np.median(values, axis=0)
        # A feature that never exceeds its median would filter nothing.
        filtering = [column for column in range(columns) if (values[:, column] > medians[column]).any()]
        self._column = int(rng.choice(filtering))
        self._median = float(medians[self._column])
        self._seed = int(rng.integers(2**62))

    def apply(self, kind: Kind, width: int, rows: list[Row], labels: list[int]) -> Iterator[tuple[int, Row, int]]:
        """Positions, rows and labels of the drifted stream from the onset on; rows left out don't appear."""
        rng = np.random.default_rng(self._seed)
        concerned = rng.random(len(rows)) < _chances(len(rows) - self.onset, width, self.onset)
        kept = rng.random(len(rows)) < KEPT_OF_CLASS
        change = self._change(kind, kept)
        for at in range(self.onset, len(rows)):
            changed = change(at, rows[at], labels[at]) if concerned[at] else (rows[at], labels[at])
            if changed is not None:
                yield at, *changed

    def _change(self, kind: Kind, kept: np.ndarray) -> Callable[[int, Row, int], tuple[Row, int] | None]:
        match kind:
            case Kind.FEATURE_PERMUTATION:
                return lambda _, row, label: (tuple(row[column] for column in self._order), label)
            case Kind.LABEL_SWAP:
                return lambda _, row, label: (row, self._to if label == self._from else label)
            case Kind.CLASS_PRIOR:
                return lambda at, row, label: None if label == self._from and not kept[at] else (row, label)
            case Kind.FEATURE_FILTER:
                return lambda _, row, label: None if row[self._column] > self._median else (row, label)


def _chances(n: int, width: int, before: int) -> np.ndarray:
    """That a row is concerned, by position; 0 before the onset."""
    rising = np.ones(n) if width == 0 else np.minimum(1.0, np.arange(n) / width)
    return np.concatenate([np.zeros(before), rising])
