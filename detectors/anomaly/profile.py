"""The course of the day and of the week, each as far as it has shown to say what comes."""

from typing import Annotated

from msgspec import Meta, Struct, field

HOUR_US = 3_600_000_000
_DAY, _WEEK = 24, 168
_DAYS, _WEEKS = 8, 6
_KEPT = 1.0 - 1.0 / 336.0
_DOUBT = 6.0
_LONG = 4.0

Slots = list[float | None]


class Proof(Struct):
    """How well a course said hours before they came: the slope of what came on what it said, shrunk, in 0 to 1."""

    products: float = 0.0
    squares: float = 0.0
    hours: float = 0.0
    share: float = 0.0

    def take(self, came: float, said: float) -> None:
        """Compare."""
        self.products = _KEPT * self.products + came * said
        self.squares = _KEPT * self.squares + said * said
        self.hours = _KEPT * self.hours + 1.0
        slope = self.products / self.squares if self.squares > 0.0 else 0.0
        self.share = min(max(slope, 0.0), 1.0) * self.hours / (self.hours + _DOUBT)


class Profile(Struct):
    """Means of hours by hour of day and of week, less the mean over the last week.

    The day's course is known after 24 hours with values, the week's after 7 days more. Steps of less than an hour go
    from the middle of one hour to that of the next in a line.
    """

    day: Annotated[Slots, Meta(min_length=_DAY, max_length=_DAY)] = field(default_factory=lambda: [None] * _DAY)
    week: Annotated[Slots, Meta(min_length=_WEEK, max_length=_WEEK)] = field(default_factory=lambda: [None] * _WEEK)
    proof_of_day: Proof = field(default_factory=Proof)
    proof_of_week: Proof = field(default_factory=Proof)
    base: float = 0.0
    spread: float = 0.0
    hours: int = 0
    hour: int = 0
    total: float = 0.0
    values: int = 0
    usual: bool = True

    def expected(self, ts_us: int, step_us: int) -> float:
        """Difference from the usual at this time, of a step of this length."""
        if self.hours <= _DAY:
            return 0.0
        hour, rest = divmod(ts_us + min(step_us, HOUR_US) // 2, HOUR_US)
        after = rest / HOUR_US - 0.5
        if after == 0.0:
            return self._at(hour)
        beside = hour + (1 if after > 0.0 else -1)
        return (1.0 - abs(after)) * self._at(hour) + abs(after) * self._at(beside)

    def take(self, ts_us: int, scaled: float, *, usual: bool) -> None:
        """Take a value; an hour is learned from when the next one begins.

        An hour with values that are not `usual` teaches the course of the week alone, whose proof is what comes a week
        later: so the first weekends are learned, though they look like a change.
        """
        hour = ts_us // HOUR_US
        if self.values and hour != self.hour:
            self._learn(self.hour, self.total / self.values)
            self.total, self.values, self.usual = 0.0, 0, True
        self.hour = hour
        self.total += scaled
        self.values += 1
        self.usual = self.usual and usual

    def move(self, by: float) -> None:
        """The level changed, and stays: no matter of the time of the week, once that is known."""
        if self.hours >= _DAY + 2 * _WEEK:
            self.base += by
            self.total, self.values, self.usual = 0.0, 0, True

    def _at(self, hour: int) -> float:
        day, week = self.day[hour % _DAY] or 0.0, self.week[hour % _WEEK] or 0.0
        return self.proof_of_day.share * day + self.proof_of_week.share * week

    def _learn(self, hour: int, mean: float) -> None:
        day, week = hour % _DAY, hour % _WEEK
        self.hours += 1
        if self.hours <= _DAY:
            self.day[day] = round(mean, 6)
            if self.hours == _DAY:
                known = [each for each in self.day if each is not None]
                self.base = sum(known) / len(known)
                self.day = [None if each is None else round(each - self.base, 6) for each in self.day]
            return
        said = self._at(hour)
        off = mean - self.base - said
        most = _LONG * self.spread if self.hours > 2 * _DAY else abs(off)
        ordinary = min(max(off, -most), most)
        came = said + (ordinary if self.usual or self.week[week] is not None else off)
        of_day, of_week = self.day[day], self.week[week]
        if self.usual and of_day is not None:
            self.proof_of_day.take(came, of_day)
        rest = came - self.proof_of_day.share * (of_day or 0.0)
        if of_week is not None:
            self.proof_of_week.take(rest, of_week)
        weeks = (self.hours - _DAY) // _WEEK
        self.week[week] = _moved(of_week, rest, 1.0 / min(weeks + 1, _WEEKS))
        if not self.usual:
            return
        self.spread += (abs(ordinary) - self.spread) / min(self.hours - _DAY, _WEEK)
        rest_of_day = came - self.proof_of_week.share * (of_week or 0.0)
        self.day[day] = _moved(of_day, rest_of_day, 1.0 / min(self.hours // _DAY + 1, _DAYS))
        self.base += ordinary / _WEEK


def _moved(slot: float | None, to: float, by: float) -> float:
    return round(to if slot is None else slot + by * (to - slot), 6)
