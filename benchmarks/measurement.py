"""What a row of the throughput benchmark is given, and what it gives back."""

import time

import psutil
from msgspec import Struct


class Counts(Struct, frozen=True):
    """How many events wait in the two topics. Each action answers another prediction, so a join has `actions` pairs."""

    predictions: int
    actions: int

    @property
    def events(self) -> int:
        """Events of both topics."""
        return self.predictions + self.actions


class Measurement(Struct, frozen=True):
    """One run of one row, in a process of its own.

    `seconds` goes from the moment the first event (or batch) is in the row's hands until the last one is processed:
    imports, connecting and the group's first assignment come before. `cpu_seconds` is what all threads of the process
    used in that time, `rss_bytes` what it holds at its end. `pairs` is None for a row that doesn't join.
    """

    events: int
    seconds: float
    cpu_seconds: float
    rss_bytes: int
    pairs: int | None = None

    @property
    def events_per_second(self) -> float:
        """Events of both topics in a second of wall time."""
        return self.events / self.seconds

    @property
    def cpu_us_per_event(self) -> float:
        """Microseconds of CPU for one event."""
        return 1e6 * self.cpu_seconds / self.events


class Stopwatch:
    """Times one run: `start` with the first event in hand, `stop` when the last one is done."""

    def __init__(self) -> None:
        self._wall_s: float | None = None
        self._cpu_s = 0.0

    def start(self) -> None:
        """Start the clock; calls after the first change nothing."""
        if self._wall_s is None:
            self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def stop(self, events: int, pairs: int | None = None) -> Measurement:
        """Say what happened since `start`."""
        if self._wall_s is None:
            raise RuntimeError("the stopwatch was never started: no event came")
        seconds = time.perf_counter() - self._wall_s
        cpu_seconds = time.process_time() - self._cpu_s
        return Measurement(events, seconds, cpu_seconds, psutil.Process().memory_info().rss, pairs)


class Tally:
    """Counts what a row that works event by event has seen and joined, and times it."""

    def __init__(self, counts: Counts) -> None:
        self._expected = counts.events
        self._stopwatch = Stopwatch()
        self.seen = 0
        self.pairs = 0
        self.measurement: Measurement | None = None

    def begin(self) -> None:
        """Call with each event, before anything is done with it."""
        if self.seen == 0:
            self._stopwatch.start()

    def end(self) -> bool:
        """Call after each event; True once all are done, and `measurement` is there."""
        self.seen += 1
        if self.seen < self._expected:
            return False
        if self.measurement is None:
            self.measurement = self._stopwatch.stop(self.seen, self.pairs)
        return True
