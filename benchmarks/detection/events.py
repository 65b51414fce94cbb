"""Bursts of broken predictions, and weeks without one: ``python -m benchmarks.detection.events``.

Simulated models of 10 to 30 features, a week of at most 300 predictions an hour: with a course of the day, long tails
and rare flags, Student's t, features that wander, many that go together, nights of few, and users who come again and
again. False: episodes a model-week in which nothing is wrong. Found: of bursts of three hours, in which one of twenty
predictions is broken, those told in their first hour, and in all three; each begins on the fourth day or later, in
what that week's detector knows by then. River's HalfSpaceTrees stands in our place: predictions beyond 99 % of its
last 4,000 scores are unusual, and `baseline` judges their share as it judges ours. Writes
``benchmarks/results/events.json``.
"""

import argparse
import copy
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from loopwatch.detectors.anomaly.baseline import Baseline
from loopwatch.detectors.anomaly.points import Point
from loopwatch.stream_processors.monitor.event_sample import AN_HOUR, Event
from loopwatch.stream_processors.monitor.events import ALARM, ONE_FALSE_IN_S, UnusualEvents
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from river import anomaly, preprocessing

from ..machine import Machine
from ..throughput import RESULTS

Numbers = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Numbers]
HOURS, HOUR_US = 168, 3_600_000_000
BROKEN, LASTS, APART = 0.05, 3, 5
_FIRST_BURST = 72
_COMPARED_WITH, _KEPT = 500, 4_000


class World(Struct, frozen=True):
    """A model: `draw` gives predictions of an hour as rows of features; none where they are not a number."""

    draw: Draw
    night: float = 1.0
    """Share of the usual volume between midnight and eight."""


class Figures(Struct, frozen=True):
    """Of a detector and a world."""

    detector: str
    world: str
    weeks: int
    false: int
    """Episodes while nothing was wrong."""
    bursts: Mapping[str, tuple[int, int, int]]
    """Of each fault: how many bursts, found within an hour, found within all of it."""


class Watch(Protocol):
    """Hours of predictions in their order; whether more than usual are unusual."""

    def take(self, hour: int, events: Sequence[Event]) -> bool: ...


class Loopwatch:
    """What the monitor runs."""

    def __init__(self) -> None:
        self._unusual = UnusualEvents()

    def take(self, hour: int, events: Sequence[Event]) -> bool:
        return bool(self._unusual.take(hour * HOUR_US, events).found)


class RiverTrees:
    """River's HalfSpaceTrees, scaled to what was seen so far."""

    def __init__(self) -> None:
        self._scale, self._trees = preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1)
        self._last: deque[float] = deque()
        self._sorted: list[float] = []
        self._share = Baseline("share", 3600 / ONE_FALSE_IN_S)

    def take(self, hour: int, events: Sequence[Event]) -> bool:
        unusual = judged = 0
        for event in events:
            self._scale.learn_one(event.numbers)
            scaled = self._scale.transform_one(event.numbers)
            score = float(self._trees.score_one(scaled))
            self._trees.learn_one(scaled)
            if len(self._last) >= _COMPARED_WITH:
                judged += 1
                unusual += len(self._sorted) - bisect_left(self._sorted, score) < ALARM * len(self._sorted)
            self._keep(score)
        found = self._share.update([Point(hour * HOUR_US, unusual / judged if judged else math.nan, judged or None)])
        return any((each.seen or 0.0) > (each.expected or 0.0) for each in found)

    def _keep(self, score: float) -> None:
        self._last.append(score)
        insort(self._sorted, score)
        if len(self._last) > _KEPT:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]


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


WORLDS: Mapping[str, World] = {
    "a course of the day": World(_course),
    "long tails, rare flags": World(_tails),
    "Student's t": World(_student),
    "wandering": World(_wandering),
    "thirty features": World(_wide),
    "quiet nights": World(_tails, night=0.03),
    "users again and again": World(_users),
}


def _unit(rows: Numbers, broken: npt.NDArray[np.bool_]) -> None:
    rows[broken, 8] *= 1_000


def _together(rows: Numbers, broken: npt.NDArray[np.bool_]) -> None:
    rows[broken, 0], rows[broken, 1] = np.quantile(rows[:, 0], 0.93), np.quantile(rows[:, 1], 0.07)


def _zeros(rows: Numbers, broken: npt.NDArray[np.bool_]) -> None:
    rows[broken] = 0.0


FAULTS: Mapping[str, Callable[[Numbers, npt.NDArray[np.bool_]], None]] = {
    "a feature × 1,000": _unit,
    "two never so together": _together,
    "all zero": _zeros,
}
WATCHES: Mapping[str, Callable[[], Watch]] = {"Loopwatch": Loopwatch, "River HalfSpaceTrees": RiverTrees}


def _hour(world: World, seed: int, hour: int, fault: str = "") -> list[Event]:
    random = np.random.default_rng([seed, hour])
    expected = AN_HOUR * (world.night if hour % 24 < 8 else 1.0)
    n = min(AN_HOUR, int(random.poisson(expected)))
    rows = world.draw(random, hour, n)
    if fault and n:
        FAULTS[fault](rows, random.random(n) < BROKEN)
    return [
        Event(f"{hour}-{at}", {f"x{name:02}": value for name, value in enumerate(row) if not math.isnan(value)})
        for at, row in enumerate(rows.tolist())
    ]


def _week(new: Callable[[], Watch], world: World, seed: int, bursts: int) -> tuple[int, dict[str, list[int | None]]]:
    """False episodes, and of each fault after how many hours each of its bursts was told."""
    watch, told = new(), []
    begin = np.random.default_rng([seed, HOURS]).choice(np.arange(_FIRST_BURST, HOURS - LASTS), bursts, replace=False)
    delays: dict[str, list[int | None]] = {fault: [] for fault in FAULTS}
    for hour in range(HOURS):
        if hour in begin:
            for fault in FAULTS:
                other = copy.deepcopy(watch)
                hours = range(hour, hour + LASTS)
                found = [at - hour for at in hours if other.take(at, _hour(world, seed, at, fault))]
                delays[fault].append(found[0] if found else None)
        if watch.take(hour, _hour(world, seed, hour)):
            told.append(hour)
    false = sum(1 for at, hour in enumerate(told) if at == 0 or hour - told[at - 1] > APART)
    return false, delays


def _figures(detector: str, world: str, weeks: int, bursts: int) -> Figures:
    false = 0
    found: dict[str, list[int | None]] = {fault: [] for fault in FAULTS}
    for seed in range(weeks):
        wrong, delays = _week(WATCHES[detector], WORLDS[world], seed, bursts)
        false += wrong
        for fault, of in delays.items():
            found[fault] += of
    counts = {fault: (len(of), of.count(0), len(of) - of.count(None)) for fault, of in found.items()}
    return Figures(detector, world, weeks, false, counts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.events", description=__doc__)
    parser.add_argument("--weeks", type=int, default=16, help="of each world")
    parser.add_argument("--bursts", type=int, default=3, help="of each fault, in each week")
    chosen = parser.parse_args(arguments)
    figures = [_figures(name, world, chosen.weeks, chosen.bursts) for world in WORLDS for name in WATCHES]
    machine = Machine.here()
    Console().print(_as_table(figures, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "figures": figures}
    (RESULTS / "events.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _as_table(figures: Sequence[Figures], machine: Machine) -> Table:
    table = Table(title="Bursts of broken predictions: found in their first hour, and in three", caption=str(machine))
    for column in ("world", "detector", "false episodes", *FAULTS):
        table.add_column(column)
    for each in figures:
        shares = [f"{at_once / n:.0%}, {all_ / n:.0%}" for n, at_once, all_ in each.bursts.values()]
        table.add_row(each.world, each.detector, f"{each.false} in {each.weeks} weeks", *shares)
    return table


if __name__ == "__main__":
    main()
