"""When to try again, and how often at most."""

import random
from datetime import datetime, timedelta

LONGEST_PAUSE = timedelta(hours=1)
FIRST_PAUSE = timedelta(seconds=5)


def pause_after(
    attempts: int, rng: random.Random, *, first: timedelta = FIRST_PAUSE, retry_after_s: float | None = None
) -> timedelta:
    """How long to wait after so many tries that failed: doubled each time up to an hour, the half of it by chance.

    What the receiver asks for (`retry_after_s`) is kept to, up to the same hour.

    >>> pause_after(1, random.Random(0)) <= timedelta(seconds=5) < pause_after(6, random.Random(0))
    True
    """
    pause = min(LONGEST_PAUSE, first * 2 ** min(attempts - 1, 30))
    pause *= 0.5 + 0.5 * rng.random()
    return pause if retry_after_s is None else max(pause, min(LONGEST_PAUSE, timedelta(seconds=retry_after_s)))


class Rate:
    """So many a minute, some at once: a bucket of tokens that fills again."""

    def __init__(self, per_minute: int) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, per_minute / 6)
        self._tokens = self._most
        self._at: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """How long until there is one; zero: take it by `take`."""
        if self._at is not None:
            self._tokens = min(self._most, self._tokens + (now - self._at).total_seconds() * self._per_second)
        self._at = now
        return timedelta(seconds=max(0.0, (1 - self._tokens) / self._per_second))

    def take(self) -> None:
        """One."""
        self._tokens -= 1
