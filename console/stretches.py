"""From what was typed to stretches of time: the one that is asked about, and the one it is held against."""

from datetime import datetime, timedelta
from typing import NamedTuple

from ..schemas.errors import LoopwatchError
from .model_windows import utc

_HOUR = timedelta(hours=1)


class Span(NamedTuple):
    """From `since` to before `until`, both UTC."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    @property
    def before(self) -> "Span":
        """As much time just before it."""
        return Span(self.since - self.length, self.since)

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"


def span_of(since: datetime | None, until: datetime | None, options: str = "--from, --to") -> Span:
    """The stretch between two instants.

    Raises:
        LoopwatchError: one of them is missing, or it ends before it begins.
    """
    begin, end = utc(since), utc(until)
    if begin is None or end is None:
        raise LoopwatchError(f"{options}: say both, such as 2026-01-01 and 2026-01-08T12:00")
    if begin >= end:
        raise LoopwatchError(f"{options}: {begin:%Y-%m-%d %H:%M} is not before {end:%Y-%m-%d %H:%M}")
    return Span(begin, end)


def whole_hours(span: Span, options: str = "--from, --to") -> Span:
    """The same, for panes.

    Raises:
        LoopwatchError: it does not consist of whole hours.
    """
    if any(each.replace(minute=0, second=0, microsecond=0) != each for each in span):
        raise LoopwatchError(f"{options}: distributions are kept by the hour, and {span} is not of whole hours")
    return span
