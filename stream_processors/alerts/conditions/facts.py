"""What conditions go by: an interface with two implementations, `live` and `history`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from msgspec import Struct

from ....schemas.alerting import Expected
from ....schemas.signals import Signal
from ....schemas.windows import TimeOf, Window


class Measure(Struct, frozen=True):
    """One series of windows: a metric of an outcome (empty: of business indicators), whole or of a slice."""

    model: str
    outcome: str
    time_of: TimeOf
    window: Window
    segment_key: str
    segment: str
    metric: str


class Measured(Struct, frozen=True):
    """One window of it, from second `start` since 1970 on."""

    start: int
    value: float
    lower: float | None
    upper: float | None
    n: int
    completeness: float | None


class Measurements(Struct, frozen=True):
    """Windows of the recent past, oldest first, by metric; and about how far (s since 1970) each model has come."""

    by_metric: Mapping[str, Mapping[Measure, Sequence[Measured]]]
    newest_s: Mapping[str, int]


class Stream(Struct, frozen=True):
    """Predictions of a model, or labels of one of its outcomes."""

    of: Expected
    model: str
    outcome: str = ""


class Heard(Struct, frozen=True):
    """When the last of a stream came, how many an hour came in the day before, and which silence is usual.

    `usual_s` is by the hour of the week, from Thursday 0 h UTC on, as 1970 began: longer ones don't happen then.
    """

    last: datetime
    an_hour: float
    usual_s: np.ndarray


class Facts(Protocol):
    """What is known at `now`. Each may ask ClickHouse.

    Raises:
        ServiceUnavailable: it doesn't answer.
        DatabaseError: it refuses the query.
    """

    def metrics(self, names: Collection[str], slices: bool, now: datetime) -> Measurements:
        """Windows of these metrics; of slices too if those are wanted, and maybe if not."""
        ...

    def gaps(self, names: Collection[str], now: datetime) -> Measurements:
        """The same of estimates."""
        ...

    def before(self, measure: Measure, second: int) -> Sequence[Measured]:
        """Its windows of the week before a second, oldest first; of long windows some of them."""
        ...

    def signals(self, now: datetime) -> Sequence[tuple[Signal, datetime]]:
        """Signals that may go on, each with the event time up to which its model was watched."""
        ...

    def heard(self, now: datetime) -> Mapping[Stream, Heard]:
        """Streams that were ever live, in the weeks that are remembered."""
        ...

    def delays(self, since: datetime, until: datetime) -> Mapping[Stream, Mapping[int, int]]:
        """Of labels that came from `since` to before `until`: how many took how long, by bins as in `label_delay`."""
        ...

    def costs(self, spans: Collection[timedelta], now: datetime) -> Mapping[str, Mapping[timedelta, float]]:
        """US dollars by model, in each span of time before `now`."""
        ...
