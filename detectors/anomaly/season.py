"""What a series is at this time of the day or of the week, from the days and weeks before."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_SLOWNESS = 0.01


class Course:
    """The last values at each time of a period, one for each slot of it; a slot's last value stands for it.

    Slots that never had a value take no room: the day's course of an hourly series keeps 24 slots of 288.
    """

    def __init__(self, period_us: int, slot_us: int, periods: int) -> None:
        self._period_us, self._slot_us, self._periods = period_us, slot_us, periods
        self._slots: dict[int, list[tuple[int, float]]] = {}

    def expected(self, ts_us: int) -> float | None:
        """Median at this time in the periods before this one; None unless there were two of them."""
        period, slot = divmod(ts_us, self._period_us)
        kept = self._slots.get(slot // self._slot_us, ())
        before = [value for of, value in kept if period - self._periods <= of < period]
        return median(before) if len(before) >= 2 else None

    def take(self, ts_us: int, value: float) -> None:
        """Take a value."""
        period, slot = divmod(ts_us, self._period_us)
        kept = self._slots.setdefault(slot // self._slot_us, [])
        if kept and kept[-1][0] == period:
            kept[-1] = (period, value)
        else:
            kept.append((period, value))
            del kept[: -self._periods - 1]

    def state(self) -> list[Any]:
        """As plain data."""
        return [[slot, self._slots[slot]] for slot in sorted(self._slots)]

    def load(self, state: Sequence[Any]) -> None:
        """Become what `state` says."""
        self._slots = {int(slot): [(int(of), float(value)) for of, value in kept] for slot, kept in state}


class Season:
    """The course of the day or that of the week, whichever has been nearer; neither, where the level has been nearer.

    Nearness is the mean absolute error, by exponential forgetting over about a hundred values.
    """

    def __init__(self) -> None:
        self._day = Course(DAY_US, HOUR_US // 12, 7)
        self._week = Course(7 * DAY_US, HOUR_US, 4)
        self._errors = [0.0, 0.0, 0.0]

    def expected(self, ts_us: int, level: float) -> tuple[float | None, bool]:
        """What either course says, and whether it has been nearer than `level`, the series' median."""
        day, week = self._day.expected(ts_us), self._week.expected(ts_us)
        of_level, of_day, of_week = self._errors
        if week is not None and (day is None or of_week < of_day):
            return week, of_week < of_level
        return day, day is not None and of_day < of_level

    def take(self, ts_us: int, value: float, level: float) -> None:
        """Take a value, and see how far the courses and the level were from it."""
        for course, said in enumerate((level, self._day.expected(ts_us), self._week.expected(ts_us))):
            if said is not None:
                self._errors[course] += _SLOWNESS * (abs(value - said) - self._errors[course])
        self._day.take(ts_us, value)
        self._week.take(ts_us, value)

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {"day": self._day.state(), "week": self._week.state(), "errors": self._errors}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        self._day.load(state["day"])
        self._week.load(state["week"])
        of_level, of_day, of_week = map(float, state["errors"])
        self._errors = [of_level, of_day, of_week]
