"""Bursts of broken predictions, and weeks without one: ``python -m benchmarks.detection.events``.

Simulated models of 10 to 30 features, a week of at most 300 predictions an hour: with a course of the day, long tails
and rare flags, Student's t, features that wander, many that go together, nights of few, and users who come again and
again. Real ones: ten months of flights, and bookings of two hotels for two years, each in one go. False: episodes while
nothing is wrong, or nothing that is known. Found: of bursts of three hours, in which one of twenty predictions is
broken (of the flights one of ten, of the few bookings half), those told in their first hour, and in all three; each
begins on the fourth day or later, in an hour that has predictions, in what the detector knows by then. River's
HalfSpaceTrees stands in our place: predictions beyond all but ALARM of its last 4,000 scores are unusual, and
`baseline` judges their share as it judges ours. Writes ``benchmarks/results/events.json``.
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
from loopwatch.detectors.anomaly.baseline import Baseline
from loopwatch.detectors.anomaly.points import Point
from loopwatch.stream_processors.monitor.event_sample import Event
from loopwatch.stream_processors.monitor.events import ALARM, COMPARED_WITH, ONE_FALSE_IN_S, UnusualEvents
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from river import anomaly, preprocessing

from ..machine import Machine
from ..throughput import RESULTS
from .event_worlds import FAULTS, TOGETHER, WEEK, WORLDS, World

HOUR_US = 3_600_000_000
LASTS, APART = 3, 5
_FIRST_BURST = 72
_KEPT = 4_000


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
            if len(self._last) >= COMPARED_WITH:
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


WATCHES: Mapping[str, Callable[[], Watch]] = {"Loopwatch": Loopwatch, "River HalfSpaceTrees": RiverTrees}


def _hour(world: World, seed: int, hour: int, fault: str = "") -> list[Event]:
    rows = world.rows(seed, hour)
    if fault and len(rows):
        rows = rows.copy()
        FAULTS[fault](world, rows, np.random.default_rng([seed, hour, 1]).random(len(rows)) < world.broken)
    return [
        Event(f"{hour}-{at}", {f"x{name:02}": value for name, value in enumerate(row) if not math.isnan(value)})
        for at, row in enumerate(rows.tolist())
    ]


def _run(new: Callable[[], Watch], world: World, seed: int, bursts: int) -> tuple[int, dict[str, list[int | None]]]:
    """False episodes, and of each fault after how many hours each of its bursts was told; `bursts` a week."""
    watch, told = new(), []
    faults = [fault for fault in FAULTS if fault != TOGETHER or world.bound]
    possible = [hour for hour in range(_FIRST_BURST, world.hours - LASTS) if len(world.rows(seed, hour))]
    drawn = np.random.default_rng([seed, WEEK])
    begin = set(drawn.choice(possible, bursts * world.hours // WEEK, replace=False).tolist())
    delays: dict[str, list[int | None]] = {fault: [] for fault in FAULTS}
    for hour in range(world.hours):
        for fault in faults if hour in begin else ():
            other = copy.deepcopy(watch)
            hours = range(hour, hour + LASTS)
            found = [at - hour for at in hours if other.take(at, _hour(world, seed, at, fault))]
            delays[fault].append(found[0] if found else None)
        if watch.take(hour, _hour(world, seed, hour)):
            told.append(hour)
    false = sum(1 for at, hour in enumerate(told) if at == 0 or hour - told[at - 1] > APART)
    return false, delays


def _figures(detector: str, name: str, weeks: int, bursts: int) -> Figures:
    world, false = WORLDS[name], 0
    found: dict[str, list[int | None]] = {fault: [] for fault in FAULTS}
    runs = 1 if world.is_real else weeks
    for seed in range(runs):
        wrong, delays = _run(WATCHES[detector], world, seed, bursts)
        false += wrong
        for fault, of in delays.items():
            found[fault] += of
    counts = {fault: (len(of), of.count(0), len(of) - of.count(None)) for fault, of in found.items()}
    return Figures(detector, name, runs * world.hours // WEEK, false, counts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.events", description=__doc__)
    parser.add_argument("--weeks", type=int, default=16, help="of each simulated world")
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
        shares = [f"{at_once / n:.0%}, {all_ / n:.0%}" if n else "–" for n, at_once, all_ in each.bursts.values()]
        table.add_row(each.world, each.detector, f"{each.false} in {each.weeks} weeks", *shares)
    return table


if __name__ == "__main__":
    main()
