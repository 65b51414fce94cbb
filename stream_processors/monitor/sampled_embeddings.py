"""Embeddings of generating models, in sampled rows of a window and of before it."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np
import pyarrow as pa

from ...detectors.drift.column import Column, Kind
from ...detectors.drift.compare import compare_rates
from ...detectors.drift.embeddings import LEAST_ROWS, compare_embeddings
from ..records import micros_of
from .answers import Answer
from .hourly import ID, Hourly

EMBEDDING = "embedding"
# Of a side: 1,000 vectors of 2,000 dimensions.
_MOST_NUMBERS = 2_000_000
_VECTOR = "JSONExtract(generation, 'embedding', 'Array(Float32)')"


def embedding_columns() -> dict[str, str]:
    """SQL of what is read of each prediction, by name."""
    return {EMBEDDING: _VECTOR}


def compare_sampled_embeddings(hourly: Hourly, before: pa.Table, now: pa.Table) -> Iterator[Answer]:
    """If the reference has any: are they missing, do they have another size, where do they lie?

    Vectors of another size than most of the reference's are of another model: they are invalid, as text is among
    numbers, and not compared otherwise.
    """
    sides = _Vectors(before), _Vectors(now)
    size = sides[0].usual_size
    if not size:
        return
    shown = f"countIf(empty({_VECTOR})) / count() AS missing, topK(3)(length({_VECTOR})) AS dimensions"
    rates = compare_rates(*(side.column(size) for side in sides), name=EMBEDDING)
    wrong = sides[1].sizes == 0, ~np.isin(sides[1].sizes, (0, size))
    for drift, of_now in zip(rates, wrong, strict=True):
        yield hourly.answer(msgspec.structs.replace(drift, kind=EMBEDDING), sides[1].ids(of_now), shown)
    vectors, current = (side.of(size) for side in sides)
    drift = compare_embeddings(vectors, current, name=EMBEDDING)
    examples: list[str] = []
    if drift.drifted_alone:
        along = current @ (current.mean(0) - vectors.mean(0))
        ids = sides[1].ids(sides[1].sizes == size)
        examples = [ids[at] for at in np.argsort(-along, kind="stable").tolist()]
    yield hourly.answer(drift, examples, _distance(hourly, size))


class _Vectors:
    """Vectors of rows, as Arrow has them: one array of all numbers, and where each begins."""

    def __init__(self, rows: pa.Table) -> None:
        column = rows.column(EMBEDDING).combine_chunks()
        self._numbers = column.values.to_numpy(zero_copy_only=False)
        self._starts = column.offsets.to_numpy()[:-1].astype(np.int64)
        self._ids = rows.column(ID).to_pylist()
        self.sizes = np.diff(column.offsets.to_numpy())

    @property
    def usual_size(self) -> int:
        """That of most of those that have any; 0 if none has."""
        sizes = Counter(self.sizes[self.sizes > 0].tolist())
        return max(sizes, key=lambda size: (sizes[size], size), default=0)

    def column(self, size: int) -> Column:
        """How many have that size, how many none and how many another."""
        n, missing = int((self.sizes == size).sum()), int((self.sizes == 0).sum())
        invalid = self.sizes.size - n - missing
        return Column(Kind.CATEGORICAL, categories={str(size): n}, missing=missing, invalid=invalid)

    def of(self, size: int) -> np.ndarray:
        """Vectors of that size: all of them, or as many as hold two million numbers."""
        most = max(LEAST_ROWS, _MOST_NUMBERS // size)
        starts = self._starts[self.sizes == size][:most]
        return self._numbers[starts[:, None] + np.arange(size)]

    def ids(self, chosen: np.ndarray) -> list[str]:
        """Of the predictions that they belong to."""
        return [self._ids[at] for at in np.flatnonzero(chosen).tolist()]


def _distance(hourly: Hourly, size: int) -> str:
    """SQL of how far the mean of an hour is from that of the reference."""
    mean = f"avgForEachIf({_VECTOR}, length({_VECTOR}) = {size})"
    before = f"(SELECT {mean} FROM {hourly.made(*map(micros_of, hourly.sides.reference))})"
    return f"L2Distance({mean}, {before}) AS distance"
