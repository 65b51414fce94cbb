"""When an event of a history is due."""

import time
from collections.abc import Callable
from datetime import datetime

# Longer waits are cut into these, so that a progress display lives and a failure is heard of.
_LONGEST_SLEEP_S = 0.2


class Pace:
    """Waits until an event is due: as long after the first as in the history, divided by `speed`.

    An event out of order is overdue, and goes at once.

    Args:
        speed: 1.0 is real time, 60 an hour a minute.
        tick: called between two sleeps.
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        speed: float,
        tick: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed = speed
        self._tick = tick
        self._clock = clock
        self._sleep = sleep
        self._started: float | None = None
        self._first: datetime | None = None

    def wait(self, ts: datetime) -> None:
        """Return once an event of `ts` is due."""
        if self._started is None or self._first is None:
            self._started, self._first = self._clock(), ts
        due = self._started + (ts - self._first).total_seconds() / self._speed
        while (left := due - self._clock()) > 0:
            self._sleep(min(left, _LONGEST_SLEEP_S))
            self._tick()
