"""What a comparison of a window says, and what it has to show for it."""

from datetime import datetime
from typing import NamedTuple

from ...detectors.drift.result import Drift, Question
from ..evaluate.panes import Series, Slice
from .counted import Counted

Key = tuple[str, str, bool, str, str]
"""Of what something is the answer to, in each window."""


class Sides(NamedTuple):
    """A window, and the stretch that it is compared with; and how many predictions were made in each."""

    window: tuple[datetime, datetime]
    reference: tuple[datetime, datetime]
    made: int
    made_before: int


class Shown(NamedTuple):
    """What shows an answer: some predictions, by their ids, and SQL."""

    examples: tuple[str, ...]
    query: str


class Answer(NamedTuple):
    """What a comparison of one series of a slice says, and what was compared."""

    slice: Slice
    series: Series
    drift: Drift
    stretch: tuple[datetime, datetime] | None
    """The reference; None: training data."""
    before: Counted | None = None
    now: Counted | None = None
    shown: Shown | None = None
    """Of what was compared by rows; panes are asked for it once there is something to tell."""

    @property
    def key(self) -> Key:
        return key_of(self.slice, self.series, self.drift.question)


def key_of(slice_: Slice, series: Series, question: Question) -> Key:
    """Of an answer that is not there yet."""
    return slice_.key, slice_.value, series.is_feature, series.name, question.value
