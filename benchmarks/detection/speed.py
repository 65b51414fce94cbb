"""Values a second of every detector, on one core by the processor's time: ``python -m benchmarks.detection.speed``.

Errors for concept drift, beside River's own; hourly points for series; ten features for events and for several series;
normal numbers for the bet against a reference. Prints one table and writes ``benchmarks/results/detection_speed.json``.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec
import numpy as np
from loopwatch.detectors.anomaly.points import Point, Step
from loopwatch.detectors.drift.betting import Betting
from loopwatch.detectors.drift.column import Column
from loopwatch.detectors.registry import detector, detectors
from rich.console import Console
from rich.table import Table

from ..machine import Machine
from ..throughput import RESULTS
from .throughput import values_per_second

_HOUR_US = 3_600_000_000
_N, _REPEATS = 20_000, 3


def main() -> int:
    """Run it; returns the exit status."""
    console, machine = Console(width=100), Machine.here()
    speeds = values_per_second()
    for name, values in _values().items():
        speeds[name] = median(_speed(_made(name), values) for _ in range(_REPEATS))
    table = Table(title="Detectors, values a second", caption=str(machine), caption_justify="left")
    table.add_column("detector")
    table.add_column("values/s", justify="right")
    for name, speed in sorted(speeds.items(), key=lambda each: -each[1]):
        table.add_row(name, f"{speed:,.0f}")
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "values_per_second": speeds}
    (RESULTS / "detection_speed.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 0


def _values() -> dict[str, Sequence[Any]]:
    """What each detector that is not for errors is fed with."""
    random = np.random.default_rng(1)
    hours = np.arange(_N)
    daily = random.poisson(200 + 150 * np.sin(hours * math.tau / 24))
    points = [Point(int(hour) * _HOUR_US, float(value)) for hour, value in zip(hours, daily, strict=True)]
    rows = [{f"f{place}": float(value) for place, value in enumerate(row)} for row in random.normal(size=(_N, 10))]
    steps = [Step(int(hour) * _HOUR_US, row) for hour, row in zip(hours, rows, strict=True)]
    fed: dict[str, Sequence[Any]] = {
        "series_anomalies": points, "baseline": points, "joint_anomalies": steps[: _N // 4], "event_anomalies": rows,
        "betting": random.normal(size=_N).tolist(),
    }  # fmt: skip
    return {name: values for name, values in fed.items() if name in detectors()}


def _made(name: str) -> Any:
    if name == Betting.name:
        return Betting.of_column(Column.of_numbers(np.random.default_rng(2).normal(size=50_000)))
    return detector(name, kind="count") if name == "baseline" else detector(name)


def _speed(online: Any, values: Sequence[Any]) -> float:
    update: Callable[[Sequence[Any]], Any] = online.update
    began = time.process_time()
    update(values)
    return len(values) / (time.process_time() - began)


if __name__ == "__main__":
    sys.exit(main())
