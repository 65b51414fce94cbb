"""Play the fault scenarios: ``python -m benchmarks.faults [--only NAME …] [--quick] [--seed N]``.

Prints a table and writes ``benchmarks/results/faults.json``. Ends with status 1 if a row was lost or doubled, or a
ledger did not balance.
"""

import argparse
import logging
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ..machine import Machine
from . import churn, inputs, outages, sigkill, two_in_flight
from .bench import Bench, Result, Scenario

_WIDTH = 130
RESULTS = Path(__file__).resolve().parent.parent / "results"
SCENARIOS: tuple[Scenario, ...] = (
    *sigkill.SCENARIOS,
    *two_in_flight.SCENARIOS,
    *churn.SCENARIOS,
    *outages.SCENARIOS,
    *inputs.SCENARIOS,
)


class Played(Struct):
    """A scenario, what it came to (None: it broke off with `error`), and how long it took."""

    name: str
    title: str
    seconds: float
    result: Result | None
    error: str = ""

    @property
    def exact(self) -> bool:
        """Whether all is as it must be."""
        return self.result is not None and self.result.verdict.exact


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options = _options(arguments)
    # ClickHouse is away on purpose: its client need not say so on every question.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    scenarios = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only]
    console, machine = Console(width=_WIDTH), Machine.here()
    directory = Path(tempfile.mkdtemp(prefix="loopwatch-faults-"))
    played: list[Played] = []
    with Bench(directory, options.seed) as bench:
        for scenario in scenarios:
            console.print(f"[bold]{scenario.name}[/]: {scenario.title} …")
            played.append(_play(scenario, bench, options.quick))
            _say(console, played[-1])
    console.print(_table(played, machine))
    RESULTS.mkdir(exist_ok=True)
    name = "faults.json" if not (options.only or options.quick) else "faults-part.json"
    document = {"machine": machine, "seed": options.seed, "quick": options.quick, "scenarios": played}
    (RESULTS / name).write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    exact = all(scenario.exact for scenario in played)
    if exact and not options.keep_logs:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        console.print(f"{'' if exact else '[red]Not exact.[/] '}Logs of the workers: {directory}")
    return 0 if exact else 1


def _play(scenario: Scenario, bench: Bench, quick: bool) -> Played:
    began = time.monotonic()
    try:
        result = scenario.play(bench, quick)
        return Played(scenario.name, scenario.title, time.monotonic() - began, result)
    except Exception as exc:
        traceback.print_exc()
        return Played(
            scenario.name, scenario.title, time.monotonic() - began, None, f"{type(exc).__name__}: {exc}"[:500]
        )


def _say(console: Console, played: Played) -> None:
    word = "[green]exact[/]" if played.exact else "[red]NOT exact[/]"
    console.print(f"  {word} after {played.seconds:.0f} s {played.error}")
    if played.result is not None:
        for note in played.result.notes:
            console.print(f"  {note}", highlight=False)
        if played.result.exits:
            console.print(f"  workers ended by themselves with {played.result.exits}")
        for kind, examples in played.result.verdict.problems.items():
            console.print(f"  [red]{kind}[/]: {' · '.join(examples)}", highlight=False)


def _table(played: Sequence[Played], machine: Machine) -> Table:
    table = Table(title="Faults on real services: lost/doubled", caption=str(machine), caption_justify="left")
    table.add_column("scenario")
    headings = ("runs", "events", "predictions", "actions", "feedback", "wrong", "ledger", "seconds")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in played:
        result = row.result
        if result is None:
            table.add_row(row.title, "", "", f"[red]{row.error[:60]}[/]", "", "", "", f"{row.seconds:.0f}")
            continue
        found = result.verdict
        table.add_row(
            row.title if row.exact else f"[red]{row.title}[/]",
            f"{result.runs:,}",
            f"{result.events:,}",
            f"{found.predictions_lost}/{found.predictions_doubled}",
            f"{found.actions_lost}/{found.actions_doubled}",
            f"{found.feedback_lost}/{found.feedback_doubled}",
            f"{found.feedback_wrong}",
            "balanced" if found.balanced else "[red]no[/]",
            f"{row.seconds:.0f}",
        )
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--only", action="append", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--quick", action="store_true", help="a small version of each: minutes in total")
    parser.add_argument("--keep-logs", action="store_true", help="also when all is exact")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
