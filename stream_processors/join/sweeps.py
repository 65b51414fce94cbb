"""Stretches of event time in which predictions wait in ClickHouse alone, and the instant at which their window ends."""

from typing import NamedTuple

from .timers import Timers
from .watermark import NEVER

MINUTE_US = 60_000_000


class Sweep(NamedTuple):
    """Predictions of `model` with `from_us` <= ts < `to_us` whose `outcome` may still be without an answer.

    Rows of a revision below `answered_from` answer a former rule, or nothing.
    """

    model: str
    outcome: str
    window_us: int
    from_us: int
    to_us: int
    answered_from: int = 0

    @property
    def due_us(self) -> int:
        """Watermark past which all of them are due."""
        return self.to_us + self.window_us


class Sweeps:
    """Pending predictions that left memory, by minute of event time: bounded by time, not by predictions."""

    def __init__(self) -> None:
        self._timers: Timers[Sweep] = Timers()
        self._waiting: set[Sweep] = set()
        self._running: set[Sweep] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def add(self, model: str, outcome: str, window_us: int, ts_us: int, answered_from: int = 0) -> None:
        """A prediction at `ts_us` waits for `outcome` in ClickHouse alone from now on."""
        start = ts_us - ts_us % MINUTE_US
        sweep = Sweep(model, outcome, window_us, start, start + MINUTE_US, answered_from)
        if sweep not in self._waiting:
            self._waiting.add(sweep)
            self._timers.add(sweep.due_us, sweep)

    def due(self, watermark_us: int) -> list[Sweep]:
        """Sweeps to run now. Each counts as running until `done`."""
        due = self._timers.due(watermark_us)
        self._waiting.difference_update(due)
        self._running.update(due)
        return due

    def done(self, sweep: Sweep) -> None:
        """Its predictions are in hot state and their timeouts written with the next flush."""
        self._running.discard(sweep)

    def settled_until(self, watermark_us: int) -> int:
        """Watermark up to which every timeout has been handled."""
        open_since = [sweep.from_us + sweep.window_us for sweep in self._running]
        if (next_due_us := self._timers.next_us) is not None:
            open_since.append(next_due_us - MINUTE_US)
        return max(NEVER, min([watermark_us, *open_since]))
