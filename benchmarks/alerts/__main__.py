"""Alerting under fire: ``python -m benchmarks.alerts [--only NAME …] [--quick]``.

Prints a table and writes ``benchmarks/results/alerts.json``. Ends with status 1 if something was lost, stuck or let
through; what was too slow is said, and no failure.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ..machine import Machine
from ..throughput import RESULTS
from . import deliveries, latency, ssrf, storm, week

TARGET_P99_S = 10.0


class Part(Struct, frozen=True):
    """A row of the table: what was done, what came of it, and whether that is as it must be."""

    name: str
    what: str
    came: str
    good: bool | None
    result: Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alerts", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS), help="these parts")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    options = parser.parse_args(arguments)
    # Failures are what is asked for here.
    logging.disable(logging.WARNING)
    machine, console = Machine.here(), Console(width=130)
    parts = [part for name in options.only for part in PARTS[name](options.quick)]
    table = Table(title="Alerting under fire", caption=str(machine), caption_justify="left")
    for heading in ("part", "what", "came to", ""):
        table.add_column(heading, overflow="fold")
    for part in parts:
        verdict = "" if part.good is None else "[green]met[/]" if part.good else "[red]missed[/]"
        table.add_row(part.name, part.what, part.came, verdict)
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "quick": options.quick, "parts": parts}
    (RESULTS / "alerts.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 1 if any(part.good is False and part.name != "latency" for part in parts) else 0


def _deliveries(quick: bool) -> list[Part]:
    done = deliveries.run(1000 if quick else 10_000)
    delivered = Part(
        "deliveries", f"{done.notifications:,} notifications, half of {done.requests:,} requests fail: {done.failures}",
        f"lost {done.lost}, doubled {done.doubled}, out of order {done.out_of_order}, given up {done.dead}, "
        f"{done.seconds:.0f} s", not (done.lost or done.doubled or done.out_of_order or done.dead), done,
    )  # fmt: skip
    verified = Part(
        "verifier", f"{done.tried_wrongly:,} forged, repeated and stale requests", f"accepted {done.accepted_wrongly}",
        not done.accepted_wrongly, None,
    )  # fmt: skip
    return [delivered, verified]


def _ssrf(_quick: bool) -> list[Part]:
    done = ssrf.run()
    good = not (done.connections or done.taken) and done.refused == done.forms + done.names
    what = f"{done.forms} forms of addresses inside, {done.names} names that turn to them"
    came = f"refused {done.refused}, connections {done.connections}, taken by a listener {done.taken}"
    return [Part("ssrf", what, came, good, done)]


def _storm(quick: bool) -> list[Part]:
    done = storm.run(5 if quick else 50)
    came = (
        f"stuck {done.stuck}, resolves missed {done.missed}; told {done.told_firing} firing, {done.told_resolved} "
        f"resolved, {done.again} again under the same id; {done.seconds:.0f} s"
    )
    what = f"SIGKILL {done.kills} times while {done.changes:,} conditions change"
    return [Part("storm", what, came, not (done.stuck or done.missed), done)]


def _latency(quick: bool) -> list[Part]:
    parts: list[Part] = []
    rate, seconds, probes = (1000, 40, 6) if quick else (5000, 180, 40)
    for group_wait in ("0s", "5s"):
        for alarm in latency.run(rate, seconds, probes, group_wait):
            came = f"p50 {alarm.p50_s:.1f} s, p99 {alarm.p99_s:.1f} s, most {alarm.max_s:.1f} s, missed {alarm.missed}"
            came += "".join(f"\n{each.name} {each.p50_s:.1f} s, p99 {each.p99_s:.1f} s" for each in alarm.stages)
            what = f"{alarm.rule}, group_wait {group_wait}, {alarm.probes} times at {rate:,} events/s"
            good = alarm.p99_s <= TARGET_P99_S and not alarm.missed if group_wait == "0s" else None
            parts.append(Part("latency", what, came, good, alarm))
    return parts


def _week(_quick: bool) -> list[Part]:
    parts: list[Part] = []
    for found in week.run():
        came = f"{found.notices} messages"
        if found.fault and found.after_s is not None:
            came += f"; found after {found.after_s / 60:.0f} min by {found.by}"
        came += "".join(f"\n{alert}" for alert in ([] if found.fault else found.alerts))
        good = None if not found.fault else found.after_s is not None
        parts.append(Part("week", found.fault or "a week of flights, nothing broken", came, good, found))
    return parts


PARTS: dict[str, Callable[[bool], list[Part]]] = {
    "deliveries": _deliveries, "ssrf": _ssrf, "storm": _storm, "week": _week, "latency": _latency,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
