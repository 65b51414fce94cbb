"""How long from produce to queryable in ClickHouse: ``python -m benchmarks.latency``.

Produces at a steady rate, an event's `ts` being the moment it is handed to the producer, while a poller asks ClickHouse
every 100 ms for the rows that are new. Uses the services, and the worker that runs there, at the addresses given; else
it starts ``loopwatch dev``. Writes ``benchmarks/results/latency.json``; fails if an event never became visible.
"""

import argparse
import time
from collections.abc import Sequence

import msgspec
import numpy as np
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from .dev_stack import dev_stack
from .machine import Machine
from .steady_sender import SteadySender
from .throughput import RESULTS
from .visibility import Array, VisibilityPoller

TARGET_P99_S = 3.0
POLL_S = 0.1
DRAIN_TIMEOUT_S = 60.0


class Latency(Struct, frozen=True):
    """Seconds from produce to queryable, over all events of one table."""

    table: str
    events: int
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, table: str, latencies_s: Array) -> "Latency":
        """Summarise exact latencies, one an event."""
        p50, p95, p99 = (float(value) for value in np.quantile(latencies_s, [0.5, 0.95, 0.99]))
        return cls(table, len(latencies_s), p50, p95, p99, float(latencies_s.max()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = _options(arguments)
    console, machine = Console(), Machine.here()
    if options.bootstrap or options.clickhouse:
        given = Settings.load()
        settings = msgspec.structs.replace(
            given,
            kafka_bootstrap=options.bootstrap or given.kafka_bootstrap,
            clickhouse_url=options.clickhouse or given.clickhouse_url,
        )
        latencies, lag_s = measure(settings, options.rate, options.seconds, options.warmup)
    else:
        with dev_stack() as stack:
            latencies, lag_s = measure(stack.settings, options.rate, options.seconds, options.warmup)
    table = Table(
        title=f"Produce to queryable, {options.rate:,} events/s for {options.seconds:g} s",
        caption=f"polled every {POLL_S:g} s, which is in the figures; sender at most {lag_s:.3f} s late\n{machine}",
        caption_justify="left",
    )
    for heading in ("table", "events", "p50 s", "p95 s", "p99 s", "max s", f"target p99 ≤ {TARGET_P99_S:g} s"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for row in latencies:
        seconds = (f"{value:.2f}" for value in (row.p50_s, row.p95_s, row.p99_s, row.max_s))
        met = "[green]met[/]" if row.p99_s <= TARGET_P99_S else "[red]missed[/]"
        table.add_row(row.table, f"{row.events:,}", *seconds, met)
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": machine,
        "rate": options.rate,
        "seconds": options.seconds,
        "target_p99_s": TARGET_P99_S,
        "sender_worst_lag_s": lag_s,
        "tables": latencies,
    }
    (RESULTS / "latency.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def measure(settings: Settings, rate: int, seconds: float, warmup_s: float) -> tuple[list[Latency], float]:
    """Latencies of predictions, of actions and of both, without those of the warm-up; and the sender's worst lag.

    Raises RuntimeError if an event was not delivered, or is not visible a minute after the last was sent.
    """
    clickhouse = ClickHouse(settings)
    topics = settings.topics
    pollers = {
        "predictions": VisibilityPoller(clickhouse, "predictions", topics.predictions),
        "actions": VisibilityPoller(clickhouse, "actions", topics.actions),
    }
    sender = SteadySender(settings, rate, warmup_s + seconds)
    since_s = time.time() + warmup_s
    sender.start()
    deadline = None
    while sender.is_alive() or any(poller.seen < sender.sent[name] for name, poller in pollers.items()):
        next_poll = time.monotonic() + POLL_S
        for poller in pollers.values():
            poller.poll()
        if not sender.is_alive():
            deadline = deadline or time.monotonic() + DRAIN_TIMEOUT_S
            if time.monotonic() > deadline:
                break
        time.sleep(max(0.0, next_poll - time.monotonic()))
    clickhouse.close()
    for name, poller in pollers.items():
        if poller.seen != sender.sent[name] or sender.failures:
            raise RuntimeError(
                f"{name}: {sender.sent[name]:,} sent ({sender.failures} events undelivered), {poller.seen:,} visible"
            )
    exact = {name: poller.latencies_s(since_s) for name, poller in pollers.items()}
    exact["both"] = np.concatenate(list(exact.values()))
    return [Latency.of(name, values) for name, values in exact.items()], sender.worst_lag_s


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=5000, help="events a second, both topics together")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure")
    parser.add_argument("--warmup", type=float, default=5.0, help="seconds to send before that")
    parser.add_argument("--bootstrap", default="", help="a Kafka that a worker reads (default: loopwatch dev)")
    parser.add_argument("--clickhouse", default="", help="URL of the ClickHouse that it writes to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
