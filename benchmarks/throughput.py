"""Throughput of one worker process against its peers: ``python -m benchmarks.throughput``.

Starts a real Apache Kafka, fills two topics once (and a smaller pair of the same events for the slow rows), and runs
each row of `benchmarks.rows.ROWS` in a process of its own, in turns, a few times. A row's time goes from its first
event in hand to its last one processed; the table has the median. Writes ``benchmarks/results/throughput.json``.
"""

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from confluent_kafka.admin import AdminClient
from loopwatch.infra.kafka_jars import kafka_version
from loopwatch.infra.real_kafka import RealKafka
from loopwatch.infra.settings import Settings
from loopwatch.schemas.topics import Topics
from rich.console import Console

from .comparison import as_table, compare
from .events import fill_topics
from .machine import Machine
from .measurement import Counts, Measurement
from .rows import ROWS, Row

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PARTITIONS = 4


def main() -> None:
    """Run it."""
    options = _options()
    letters = options.rows.split(",") if options.rows else [row.letter for row in ROWS]
    if unknown := set(letters) - {row.letter for row in ROWS}:
        sys.exit(f"--rows: no row {', '.join(sorted(unknown))}; there are {', '.join(row.letter for row in ROWS)}")
    rows = [row for row in ROWS if row.letter in letters]
    broker = f"the Kafka at {options.bootstrap}" if options.bootstrap else f"Apache Kafka {kafka_version()}"
    console = Console()
    machine = Machine.here()
    tag = f"bench-{secrets.token_hex(3)}"
    inputs = {
        False: (f"{tag}.", _counts(options.events)),
        True: (f"{tag}-small.", _counts(min(options.events, options.small_events))),
    }
    runs: dict[str, list[Measurement]] = defaultdict(list)
    with _broker(options.bootstrap) as bootstrap:
        try:
            for prefix, counts in inputs.values():
                fill_topics(bootstrap, Topics(prefix), counts)
                console.print(f"{prefix}*: {counts.predictions:,} predictions and {counts.actions:,} actions")
            for turn in range(1, options.repeats + 1):
                for row in rows:
                    prefix, counts = inputs[row.small]
                    settings = Settings(
                        kafka_bootstrap=bootstrap,
                        topic_prefix=prefix,
                        partitions=PARTITIONS,
                        consumer_group=f"{tag}-{row.module}-{turn}",
                    )
                    run = run_in_process(row, settings, counts, options.timeout_s)
                    runs[row.letter].append(run)
                    console.print(f"{turn}/{options.repeats} ({row.letter}) {run.events_per_second:,.0f} events/s")
        finally:
            delete_topics(bootstrap, tag)
    results = compare(runs, ROWS)
    how = f"{broker}, {PARTITIONS} partitions; median of {options.repeats} runs in turns; first event to last"
    Console(width=max(console.width, 150)).print(as_table(results, f"{how}\n{machine}"))
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": machine,
        "broker": broker,
        "partitions": PARTITIONS,
        "repeats": options.repeats,
        "rows": results,
    }
    path = RESULTS / "throughput.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    console.print(f"written to {path.relative_to(ROOT)}")


def run_in_process(row: Row, settings: Settings, counts: Counts, timeout_s: float) -> Measurement:
    """Run one row once in a process of its own.

    Raises RuntimeError if it fails, takes longer than `timeout_s`, or joins another number of pairs than there are.
    """
    command = [sys.executable, "-m", "benchmarks.run_row", row.module, msgspec.json.encode(counts).decode()]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | settings.environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as exc:
        raise RuntimeError(f"row ({row.letter}) took more than {timeout_s:g} s (--timeout-s)") from exc
    if done.returncode:
        raise RuntimeError(f"row ({row.letter}) ended with status {done.returncode}:\n{done.stderr[-4000:]}")
    run = msgspec.json.decode(done.stdout.splitlines()[-1], type=Measurement)
    if run.events != counts.events or run.pairs not in (None, counts.actions):
        raise RuntimeError(f"row ({row.letter}): {run.events} events, {run.pairs} pairs; there are {counts}")
    return run


def delete_topics(bootstrap: str, tag: str) -> None:
    """Delete every topic whose name has `tag` in it: the inputs, and what rows made for themselves."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in admin.list_topics(timeout=30).topics if tag in name]
    if names:
        for future in admin.delete_topics(names).values():
            future.result(30)


@contextlib.contextmanager
def _broker(bootstrap: str) -> Iterator[str]:
    if bootstrap:
        yield bootstrap
        return
    with RealKafka() as kafka:
        yield kafka.bootstrap


def _counts(events: int) -> Counts:
    actions = events // 3
    return Counts(predictions=2 * actions, actions=actions)


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--events", type=int, default=600_000, help="predictions and actions, two to one")
    parser.add_argument("--small-events", type=int, default=60_000, help="the same for the slow rows")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each row")
    parser.add_argument("--rows", default="", help="letters of the rows to run, such as a,c (default: all)")
    parser.add_argument("--bootstrap", default="", help="a Kafka to use (default: start one)")
    parser.add_argument("--timeout-s", type=float, default=300.0, help="for one run of one row")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
