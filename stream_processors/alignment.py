"""Keeps actions from running ahead of their predictions while a backlog is read.

Actions are smaller and fewer, so a consumer gets through hours of them in the time of minutes of predictions. Joined in
that order nearly every action would have to be held. Putting an action batch aside until the predictions have come as
far costs nothing. When nothing is left of the predictions, nothing waits.
"""

import time
from collections import deque
from typing import Any, NamedTuple

from .engine.batches import RecordBatch


class _Waiting(NamedTuple):
    """A batch that was put aside, with its Faust event."""

    until_ms: int
    event: Any
    batch: RecordBatch


class Alignment:
    """Action batches of one partition that wait for the predictions, by the timestamps that Kafka has of both."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._predictions_ms = -1

    def __len__(self) -> int:
        return len(self._waiting)

    def predictions_read(self, batch: RecordBatch) -> None:
        """Predictions were joined up to the end of this batch."""
        self._predictions_ms = max(self._predictions_ms, batch.timestamp or 0)

    def put_aside(self, event: Any, batch: RecordBatch) -> None:
        """Have a batch wait, behind those that wait already."""
        self._waiting.append(_Waiting(_end_of(batch), event, batch))

    def is_ahead(self, batch: RecordBatch) -> bool:
        """Whether an action batch ends later than the predictions have come."""
        return _end_of(batch) > self._predictions_ms

    def take(self, *, everything: bool) -> list[tuple[Any, RecordBatch]]:
        """Batches that need not wait any more, oldest first; `everything` when no predictions are left to read."""
        ready: list[tuple[Any, RecordBatch]] = []
        while self._waiting and (everything or self._waiting[0].until_ms <= self._predictions_ms):
            _, event, batch = self._waiting.popleft()
            ready.append((event, batch))
        return ready


def _end_of(batch: RecordBatch) -> int:
    # A producer's clock that runs ahead would have the batch wait for predictions that nobody has made yet.
    return min(batch.timestamp or 0, int(time.time() * 1000))
