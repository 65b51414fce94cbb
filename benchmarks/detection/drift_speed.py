"""How long drift of wide tables takes: ``python -m benchmarks.detection.drift_speed``.

Loopwatch has the reference as counts, as panes do; what counts is to bin and count all values of the current arrays,
and to compare and decide. With Evidently 100,000 rows × 20 numbers beside a reference as long: here binning both sides
counts too, there running DataDriftPreset on data sets that are already made, neither importing nor making them. Medians
of three runs. Writes ``benchmarks/results/drift_speed.json``.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from loopwatch.detectors.drift.column import Column
from loopwatch.detectors.drift.compare import compare_all
from loopwatch.detectors.drift.decide import decide
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ..machine import Machine
from ..throughput import RESULTS

TARGET_S, TARGET_RATIO = 5.0, 50.0
_DRIFTED = 20


class Speed(Struct, frozen=True):
    """Medians in seconds; `cpu_s` is what one process worked of `wide_s`: other processes don't count there."""

    columns: int
    rows: int
    binning_s: float
    wide_s: float
    cpu_s: float
    ours_s: float
    evidently_s: float

    @property
    def ratio(self) -> float:
        """How many times as fast as Evidently."""
        return self.evidently_s / self.ours_s


def table_of(rows: int, columns: int, seed: int, shifted: int = 0) -> np.ndarray:
    """Columns of numbers, normal and lognormal in turns; every `shifted`-th is 0.2 deviations higher."""
    random = np.random.default_rng(seed)
    table = random.normal(0, 1, (columns, rows))
    if shifted:
        table[::shifted] += 0.2
    np.exp(table[1::2], out=table[1::2])
    return table


def counted(table: np.ndarray) -> dict[str, Column]:
    """Each column in stable bins."""
    return {f"f{at}": Column.of_numbers(column) for at, column in enumerate(table)}


def timed(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Wall and CPU time, medians."""
    wall, cpu = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
    return float(np.median(wall)), float(np.median(cpu))


def evidently_s(reference: np.ndarray, current: np.ndarray, repeats: int) -> float:
    """Of DataDriftPreset."""
    # It would tell its makers that it was used.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = [f"f{at}" for at in range(len(reference))]
    definition = DataDefinition(numerical_columns=names)
    before, after = (
        Dataset.from_pandas(pd.DataFrame(side.T, columns=names), data_definition=definition)
        for side in (reference, current)
    )
    return timed(lambda: Report([DataDriftPreset()]).run(after, before).dict(), repeats)[0]


def measure(columns: int, rows: int, repeats: int) -> Speed:
    """All of it."""
    current = table_of(rows, columns, 1, shifted=_DRIFTED)
    reference = counted(table_of(rows, columns, 2))
    found = decide(compare_all(reference, counted(current)))
    drifted = {each.name for each in found if each.drifted}
    expected = {f"f{at}" for at in range(0, columns, _DRIFTED)}
    if not expected <= drifted or len(drifted) > 1.2 * len(expected):
        raise RuntimeError(f"{len(drifted)} columns are called drifted, {len(expected)} are")
    binning, _ = timed(lambda: counted(current), repeats)
    wide, cpu = timed(lambda: decide(compare_all(reference, counted(current))), repeats)
    one, other = table_of(100_000, 20, 3), table_of(100_000, 20, 4, shifted=5)
    ours, _ = timed(lambda: decide(compare_all(counted(one), counted(other))), repeats)
    return Speed(columns, rows, binning, wide, cpu, ours, evidently_s(one, other, repeats))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.drift_speed", description=__doc__)
    parser.add_argument("--columns", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    machine = Machine.here()
    speed = measure(options.columns, options.rows, options.repeats)
    table = Table(title="Drift of wide tables", caption=str(machine), caption_justify="left")
    for heading in ("what", "Loopwatch s", "Evidently s", "times as fast", "target"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    met = {True: "[green]met[/]", False: "[red]missed[/]"}
    table.add_row(
        f"{speed.columns:,} columns × {speed.rows:,} rows: bin and decide", f"{speed.wide_s:.2f}", "", "",
        f"≤ {TARGET_S:g} s: {met[speed.wide_s <= TARGET_S]}",
    )  # fmt: skip
    table.add_row("of it binning", f"{speed.binning_s:.2f}", "", "", "")
    table.add_row("CPU of it all", f"{speed.cpu_s:.2f}", "", "", "")
    table.add_row(
        "20 columns × 100,000 rows, both sides", f"{speed.ours_s:.3f}", f"{speed.evidently_s:.2f}",
        f"{speed.ratio:.0f}",
        f"≥ {TARGET_RATIO:g}: {met[speed.ratio >= TARGET_RATIO]}",
    )  # fmt: skip
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "speed": speed, "ratio": speed.ratio}
    (RESULTS / "drift_speed.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
