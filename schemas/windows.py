"""Windows of time that metrics are about."""

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct

from .durations import format_duration, parse_duration

_SHORTEST = timedelta(seconds=1)
MAX_OVERLAP = 100


class TimeOf(StrEnum):
    """Whose time puts a labelled prediction into a window."""

    PREDICTION = "prediction"
    """When it was made: a cohort, whose metrics are restated as its labels come."""
    LABEL = "label"
    """When the action that decides its label happened: what just became known."""


class Window(Struct, frozen=True, order=True):
    """Windows of `size`, one beginning every `step`, aligned to 1970 in UTC. Those with a smaller step slide.

    >>> str(Window.parse("7d/1d")), str(Window.parse("1h"))
    ('7d/1d', '1h')
    """

    size: timedelta
    step: timedelta

    @classmethod
    def tumbling(cls, size: timedelta) -> "Window":
        """Windows that follow each other."""
        return cls(size, size)

    @classmethod
    def parse(cls, text: str) -> "Window":
        """A size, or a size and its step behind a slash.

        Raises:
            ValueError: it is neither, or these windows can't be; the message says why.
        """
        of_size, slash, of_step = text.partition("/")
        size = parse_duration(of_size)
        step = parse_duration(of_step) if slash else size
        for duration in (size, step):
            if duration < _SHORTEST or duration.microseconds:
                raise ValueError(f"{text!r}: windows and steps are one second or more, in whole seconds")
        if size % step or size // step > MAX_OVERLAP:
            raise ValueError(f"{text!r}: the size is 1 to {MAX_OVERLAP} times the step")
        return cls(size, step)

    @property
    def size_s(self) -> int:
        """Seconds from the begin to the end of one."""
        return int(self.size.total_seconds())

    @property
    def step_s(self) -> int:
        """Seconds from one begin to the next."""
        return int(self.step.total_seconds())

    def __str__(self) -> str:
        size = format_duration(self.size)
        return size if self.step == self.size else f"{size}/{format_duration(self.step)}"
