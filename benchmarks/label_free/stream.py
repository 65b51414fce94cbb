"""A classifier's predictions in the order in which they were made, and when each label became known."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

CHUNK = 5_000
METRICS = ("accuracy", "roc_auc", "f1")
DAY_US = 86_400_000_000
NEVER_US = np.iinfo(np.int64).max

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Chunk(Struct, frozen=True):
    """Consecutive predictions, made from `since_us` until before `until_us`, at which the estimate is made."""

    since_us: int
    until_us: int


class Stream(Struct, frozen=True):
    """Columns over predictions by `made_us`, µs since 1970, all different. `known_us` is `NEVER_US` without a label.

    The model was trained on some of those made before `reference_us`. Estimates begin at `begin_us`; what was made
    between the two, with the labels known by then, is the reference that a method has at the beginning.
    """

    name: str
    made_us: Ints
    known_us: Ints
    score: Floats
    said: Bools
    positive: Bools
    segments: dict[str, list[str]]
    reference_us: int
    begin_us: int

    @property
    def chunks(self) -> list[Chunk]:
        """Whole chunks from `begin_us` on."""
        made = self.made_us[self.made_us >= self.begin_us]
        ends = range(CHUNK, len(made) + 1, CHUNK)
        return [Chunk(int(made[end - CHUNK]), int(made[end - 1]) + 1) for end in ends]

    def labelled(self, since_us: int, until_us: int, known_by_us: int = NEVER_US) -> Bools:
        """Predictions made in a time whose labels are known before an instant; ever, when left out."""
        return (self.made_us >= since_us) & (self.made_us < until_us) & (self.known_us < known_by_us)

    def realised(self, rows: Bools) -> list[float]:
        """The metrics of labelled predictions."""
        truth, said = self.positive[rows], self.said[rows]
        return [
            float(accuracy_score(truth, said)),
            float(roc_auc_score(truth, self.score[rows])),
            float(f1_score(truth, said)),
        ]


def apart(made_us: Ints) -> Ints:
    """Sorted instants, a microsecond apart where several are the same, so that a chunk is a stretch of time."""
    first = np.searchsorted(made_us, made_us, side="left")
    return made_us + np.arange(len(made_us)) - first


def references(stream: Stream, *, refreshed: bool) -> Iterator[tuple[Chunk, int, int]]:
    """Each chunk with the instant before which its reference was made, and that before which labels were known."""
    for chunk in stream.chunks:
        yield (chunk, chunk.since_us, chunk.until_us) if refreshed else (chunk, stream.begin_us, stream.begin_us)
