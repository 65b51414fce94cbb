"""Models whose predictions are looked at one by one: simulated weeks, ten months of flights, two years of bookings."""

import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
from loopwatch.producers.flight_model import TRAINING_MONTHS, score_flights
from loopwatch.producers.flight_table import load_flights
from loopwatch.stream_processors.monitor.event_sample import AN_HOUR
from msgspec import Struct

from ..hotel import read_bookings

Numbers = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Numbers]
WEEK = 168
TOGETHER = "two never so together"
"""The fault that needs a world with `bound` features."""
_MORNING, _EVENING = 8, 22


class World(Struct, frozen=True):
    """A model: `rows` gives the predictions of an hour as rows of features; none where they are not a number."""

    rows: Callable[[int, int], Numbers]
    """By seed and hour; what is real is the same for every seed."""
    hours: int = WEEK
    is_real: bool = False
    scaled: int = 8
    """The feature that a fault makes a thousand times as large."""
    bound: tuple[int, int] | None = (0, 1)
    """Two features that go together."""
    broken: float = 0.05
    """Share of the predictions of a burst."""


def _simulated(draw: Draw, night: float = 1.0) -> World:
    """`night`: share of the usual volume between midnight and eight."""

    def rows(seed: int, hour: int) -> Numbers:
        random = np.random.default_rng([seed, hour])
        expected = AN_HOUR * (night if hour % 24 < _MORNING else 1.0)
        return draw(random, hour, min(AN_HOUR, int(random.poisson(expected))))

    return World(rows)


def _course(random: np.random.Generator, hour: int, n: int) -> Numbers:
    rows = random.normal(size=(n, 10))
    rows[:, 1] = 0.95 * rows[:, 0] + 0.31 * rows[:, 1]
    rows[:, :2] += math.sin(hour * math.tau / 24)
    rows[:, 9] += 0.5 * math.cos(hour * math.tau / 24)
    return rows


def _tails(random: np.random.Generator, hour: int, n: int) -> Numbers:
    rows = _course(random, hour, n)
    rows[:, 2:5] = np.exp(1.5 * rows[:, 2:5])
    rows[:, 5] = random.poisson(2, n)
    rows[:, 6] = random.random(n) < 0.02
    rows[random.random(n) < 0.2, 7] = np.nan
    return rows


def _student(random: np.random.Generator, hour: int, n: int) -> Numbers:
    rows = random.standard_t(2.5, (n, 10))
    rows[:, 1] = 0.95 * rows[:, 0] + 0.31 * rows[:, 1]
    return rows


def _wandering(random: np.random.Generator, hour: int, n: int) -> Numbers:
    rows = _course(random, hour, n)
    # Two sines that meet only after weeks: some tenths of a deviation a day, back and forth, and a trend.
    rows[:, 3] += 1.5 * math.sin(hour / 31)
    rows[:, 4] += 1.5 * math.sin(hour / 47)
    rows[:, 5] += hour / 72
    return rows


def _wide(random: np.random.Generator, hour: int, n: int) -> Numbers:
    causes = random.normal(size=(n, 5))
    rows = 0.8 * causes[:, np.arange(30) % 5] + 0.6 * random.normal(size=(n, 30))
    rows[:, 1] = 0.95 * rows[:, 0] + 0.31 * rows[:, 1]
    rows[:, 10:13] = np.exp(rows[:, 10:13])
    return rows


def _users(random: np.random.Generator, hour: int, n: int) -> Numbers:
    rows = _course(random, hour, n)
    # A third of an hour comes from twelve users, of whom only three features change.
    of = random.integers(0, 12, n)
    again = random.random(n) < 1 / 3
    users = random.normal(size=(12, 10))
    users[:, 1] = 0.95 * users[:, 0] + 0.31 * users[:, 1]
    rows[again, :7] = users[of[again], :7]
    return rows


@cache
def _flights() -> dict[int, Numbers]:
    """Of the project's own replay and model, the months that the model was not trained on."""
    table = load_flights()
    scored = score_flights(table)
    columns = (
        table.distance_miles, table.duration_min, table.departure_hour, table.arrival_hour, table.weekday,
        scored.late_probability, scored.late_probability >= scored.threshold,
    )  # fmt: skip
    chosen = table.month > max(TRAINING_MONTHS)
    return _by_hour(table.departure_min[chosen] // 60, np.column_stack(columns)[chosen])


@cache
def _bookings(of: str) -> dict[int, Numbers]:
    """Of a hotel; the data have the day of a booking, its hour between eight and ten in the evening is drawn."""
    bookings = read_bookings()
    chosen = bookings.texts["hotel"] == of
    hours = np.random.default_rng(1).integers(_MORNING, _EVENING, chosen.size)
    rows = np.column_stack([*bookings.numbers.values(), bookings.made_d % 7])
    return _by_hour((bookings.made_d * 24 + hours)[chosen], rows[chosen])


def _by_hour(hour: npt.NDArray[np.int64], rows: Numbers) -> dict[int, Numbers]:
    order = np.argsort(hour, kind="stable")
    hour, rows = hour[order] - hour.min(), rows[order]
    found, begin = np.unique(hour, return_index=True)
    return {int(at): each for at, each in zip(found, np.split(rows, begin[1:]), strict=True)}


def _real(
    read: Callable[[], dict[int, Numbers]], weeks: int, scaled: int, bound: tuple[int, int] | None, broken: float
) -> World:
    def rows(seed: int, hour: int) -> Numbers:
        of = read()
        return of[hour] if hour in of else np.zeros((0, len(next(iter(of.values()))[0])))

    return World(rows, weeks * WEEK, True, scaled, bound, broken)


WORLDS: Mapping[str, World] = {
    "a course of the day": _simulated(_course),
    "long tails, rare flags": _simulated(_tails),
    "Student's t": _simulated(_student),
    "wandering": _simulated(_wandering),
    "thirty features": _simulated(_wide),
    "quiet nights": _simulated(_tails, night=0.03),
    "users again and again": _simulated(_users),
    "flights (real)": _real(_flights, 43, scaled=2, bound=(0, 1), broken=0.1),
    "city hotel (real)": _real(lambda: _bookings("City Hotel"), 112, scaled=10, bound=None, broken=0.5),
    "resort hotel (real)": _real(lambda: _bookings("Resort Hotel"), 112, scaled=10, bound=None, broken=0.5),
}


def _unit(world: World, rows: Numbers, broken: npt.NDArray[np.bool_]) -> None:
    rows[broken, world.scaled] *= 1_000


def _together(world: World, rows: Numbers, broken: npt.NDArray[np.bool_]) -> None:
    if world.bound is not None:
        for column, at in zip(world.bound, (0.93, 0.07), strict=True):
            rows[broken, column] = np.quantile(rows[:, column], at)


def _zeros(world: World, rows: Numbers, broken: npt.NDArray[np.bool_]) -> None:
    rows[broken] = 0.0


FAULTS: Mapping[str, Callable[[World, Numbers, npt.NDArray[np.bool_]], None]] = {
    "a feature × 1,000": _unit,
    TOGETHER: _together,
    "all zero": _zeros,
}
