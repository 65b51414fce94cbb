"""One flush: everything that a stretch of input caused, in the order it is stored."""

from typing import Any, NamedTuple

from ..schemas.decode import Rejected
from .engine.batches import RecordBatch
from .join.output import Output
from .prediction_rows import PredictionRows
from .records import Misrouted


class Refused(NamedTuple):
    """A record that is no event, for the dead letters."""

    topic: str
    topic_id: str
    partition: int
    record: Any
    rejected: Rejected


class Forward(NamedTuple):
    """A record to forward from `partition` of `topic` to where its id belongs."""

    topic: str
    topic_id: str
    partition: int
    misrouted: Misrouted


class Checkpoint(NamedTuple):
    """How far one topic partition has come with this flush. Instants are µs; offsets inclusive.

    One that begins behind its end covers no offsets: nothing was read, and it only tells the watermark.
    """

    topic: str
    topic_id: str
    partition: int
    of_actions: bool
    first_offset: int
    last_offset: int
    max_ts_us: int
    watermark_us: int
    live: bool
    origins: dict[int, int]
    counts: dict[tuple[str, int, str], int] | None
    """Counts of its own, by model, hour and class, in place of the flush's for its partition."""

    @property
    def is_idle(self) -> bool:
        """Whether it covers no offsets."""
        return self.first_offset > self.last_offset


class Flush:
    """What is stored together, in the order of the ledger's promise: rows, then feedback, then the checkpoint."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.predictions = PredictionRows()
        self.output = Output()
        self.refused: list[Refused] = []
        self.forwards: list[Forward] = []
        self.checkpoints: list[Checkpoint] = []
        self.batches: list[tuple[Any, RecordBatch]] = []
        """Faust events and their batches, to be acknowledged when all is stored."""
        self.size_bytes = 0
        """Values of their records."""

    def carry(self, event: Any, batch: RecordBatch) -> None:
        """Note a batch that was joined into this flush, with its Faust event."""
        self.batches.append((event, batch))
        self.size_bytes += batch.size_bytes

    def reaches(self, rows: int, size_bytes: int) -> bool:
        """Whether it holds so many rows, or was made of so many bytes."""
        return len(self) >= rows or self.size_bytes >= size_bytes

    def __len__(self) -> int:
        return len(self.predictions) + len(self.output) + len(self.refused) + len(self.forwards)

    @property
    def empty(self) -> bool:
        """Nothing to store and nothing to acknowledge."""
        return not (len(self) or self.batches or self.checkpoints or self.output.counts)
