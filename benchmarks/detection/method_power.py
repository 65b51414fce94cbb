"""Which statistic finds most at 5 %: ``python -m benchmarks.detection.method_power``.

Every method of `compare` on the same windows, alone, with no least effect: all have the same share of false alarms, so
what they find is all that tells them apart. Writes ``benchmarks/results/method_power.json``.
"""

import argparse
import sys
from collections.abc import Sequence

import msgspec
import numpy as np
from loopwatch.detectors.drift.compare import Limits, compare
from loopwatch.detectors.drift.methods import CATEGORICAL, NUMERIC
from rich.console import Console
from rich.table import Table

from ..machine import Machine
from ..throughput import RESULTS
from .worlds import CHANGES, Change, column

REFERENCE, SIZES = 5_000, (200, 1_000)


def power(change: Change, n: int, windows: int, seed: int) -> dict[str, float]:
    """Share of windows in which each method has p ≤ 5 %."""
    random = np.random.default_rng([seed, n, *map(ord, change.name)])
    found = dict.fromkeys(NUMERIC if change.before.is_numeric else CATEGORICAL, 0)
    for window in range(windows):
        before = column(change.before, change.before.draw(random, REFERENCE))
        after = column(change.before, change.after.draw(random, n))
        for method in found:
            p_value = compare(before, after, method=method, limits=Limits(0, 0, 0), seed=window).p_value
            found[method] += p_value is not None and p_value <= 0.05
    return {method: n / windows for method, n in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.method_power", description=__doc__)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    console, machine, results = Console(), Machine.here(), []
    for methods, is_numeric in ((NUMERIC, True), (CATEGORICAL, False)):
        table = Table(title=f"Power at 5 %, {options.windows} windows, reference {REFERENCE:,}")
        table.add_column("change")
        for heading in ("current", *methods):
            table.add_column(heading, justify="right", overflow="fold")
        sums = dict.fromkeys(methods, 0.0)
        for change in (each for each in CHANGES if each.before.is_numeric == is_numeric):
            for n in SIZES:
                shares = power(change, n, options.windows, options.seed)
                results.append({"change": change.name, "current": n, "power": shares})
                sums = {method: sums[method] + share for method, share in shares.items()}
                table.add_row(change.name, f"{n:,}", *(f"{share:.0%}" for share in shares.values()))
        rows = table.row_count
        table.add_row("mean", "", *(f"{each / rows:.1%}" for each in sums.values()))
        console.print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "windows": options.windows, "results": results}
    (RESULTS / "method_power.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
