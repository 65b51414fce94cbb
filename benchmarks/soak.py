"""Does a worker's memory stay flat, and is all of it exact? ``python -m benchmarks.soak [--minutes 10] [--rate 3000]``.

Starts ``loopwatch dev`` with windows of 30 s (``soak.yaml``), so that the state in memory turns over all the time, and
sends a steady load with duplicates, early and late actions. Looks at the worker every few seconds, prints a line a
minute and the trend of its memory over the last two thirds, and at the end holds the ledger and the rows against what
was sent. Writes ``benchmarks/results/soak.json``; ends with status 1 unless memory is flat and everything exact.

The filter of known ids remembers every id of the past in a few bytes, up to a limit, so it grows in any run this short:
the verdict is on the memory without it, and the trend with it is shown as well.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.ledger import read_ledger
from loopwatch.infra.settings import Settings
from loopwatch.schemas.config import load_config
from loopwatch.schemas.ledger import LedgerReport
from rich.console import Console
from rich.table import Table

from .dev_stack import dev_stack
from .machine import Machine
from .soak_sender import SoakSender
from .throughput import RESULTS
from .worker_watch import Sample, Trend, WorkerWatch

CONFIG = Path(__file__).resolve().parent / "soak.yaml"
FLAT_MB_PER_MINUTE = 1.0
LOOK_EVERY_S = 3.0
SETTLE_TIMEOUT_S = 240.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options = _options(arguments)
    console, machine = Console(width=110), Machine.here()
    seconds = options.minutes * 60
    with dev_stack(CONFIG) as stack:
        sender = SoakSender(stack.settings, options.rate, seconds)
        watch = WorkerWatch(stack.metrics_url, stack.worker, time.monotonic())
        sender.start()
        _watch_while_sending(watch, sender, console)
        report, problems = _check(stack.settings, sender)
    steady = [sample for sample in watch.samples if seconds / 3 <= sample.at_s <= seconds]
    at_s = [sample.at_s for sample in steady]
    trend = Trend.of(at_s, [sample.rss_bytes for sample in steady])
    without_filter = Trend.of(at_s, [sample.rss_bytes - sample.known_ids_bytes for sample in steady])
    flat = abs(without_filter.mb_per_minute) < FLAT_MB_PER_MINUTE
    console.print(_table(watch.samples, seconds, f"sender at most {sender.worst_lag_s:.2f} s late\n{machine}"))
    console.print(f"last two thirds: resident memory {trend}; without the filter of known ids {without_filter}")
    console.print(
        f"target: less than ±{FLAT_MB_PER_MINUTE:g} MB/min: " + ("[green]flat[/]" if flat else "[red]not flat[/]")
    )
    console.print(_said(report, sender), highlight=False)
    console.print("[green]exact[/]" if not problems else "[red]not exact[/]: " + "; ".join(problems))
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": machine,
        "rate": options.rate,
        "minutes": options.minutes,
        "flat": flat,
        "exact": not problems,
        "problems": problems,
        "rss_trend": trend,
        "rss_trend_without_known_ids": without_filter,
        "target_mb_per_minute": FLAT_MB_PER_MINUTE,
        "sender_worst_lag_s": sender.worst_lag_s,
        "sent": sender.sent,
        "unique": sender.unique,
        "ledger": report,
        "samples": watch.samples,
    }
    (RESULTS / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 0 if flat and not problems else 1


def _watch_while_sending(watch: WorkerWatch, sender: SoakSender, console: Console) -> None:
    told = 0
    while sender.is_alive():
        sample = watch.look()
        if sample.at_s >= 60 * (told + 1):
            told += 1
            console.print(
                f"minute {told}: {sum(sender.sent.values()):,} sent, {sample.rss_bytes / 1e6:.0f} MB, "
                f"{sample.hot_predictions:,} predictions in memory, lag {sample.lag:,}",
                highlight=False,
            )
        sender.join(LOOK_EVERY_S)


def _check(settings: Settings, sender: SoakSender) -> tuple[LedgerReport, list[str]]:
    """Wait until all is settled; say what is not as it was sent."""
    clickhouse = ClickHouse(settings)
    database, deadline = clickhouse.database, time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        ((received, outcomes),) = clickhouse.rows(
            f"SELECT (SELECT sum(n) FROM {database}.ledger WHERE class = 'received'), "
            f"(SELECT uniqExact(prediction_id) FROM {database}.feedback)"
        )
        if int(received) >= sum(sender.sent.values()) and int(outcomes) >= sender.unique["predictions"]:
            break
        time.sleep(1.0)
    report = read_ledger(clickhouse, load_config(settings.config))
    rows = {
        table: int(clickhouse.rows(f"SELECT count() FROM {database}.{table}")[0][0])
        for table in ("predictions", "actions", "feedback_current", "dead_letters")
    }
    clickhouse.close()
    return report, list(_problems(report, rows, sender))


def _problems(report: LedgerReport, rows: dict[str, int], sender: SoakSender) -> Iterator[str]:
    yield from report.imbalances
    sent, unique = sender.sent, sender.unique
    predictions, actions = report.predictions, report.actions
    wanted = {
        "undelivered events": (sender.failures, 0),
        "rows of predictions": (rows["predictions"], unique["predictions"]),
        "rows of actions": (rows["actions"], unique["actions"]),
        "rows of feedback_current": (rows["feedback_current"], unique["predictions"]),
        "dead letters": (rows["dead_letters"], 0),
        "predictions received": (predictions.received, sent["predictions"]),
        "duplicate predictions": (predictions.duplicate, sent["predictions"] - unique["predictions"]),
        "answered predictions": (predictions.matched, unique["actions"]),
        "pending predictions": (predictions.pending, 0),
        "actions received": (actions.received, sent["actions"]),
        "duplicate actions": (actions.duplicate, sent["actions"] - unique["actions"]),
        "actions that count": (actions.matched + actions.late_revised, unique["actions"]),
    }
    for what, (found, expected) in wanted.items():
        if found != expected:
            yield f"{what}: {found:,}, not {expected:,}"


def _table(samples: Sequence[Sample], seconds: float, caption: str) -> Table:
    """A line for each minute: means, and the worst of lag and watermark. After `seconds` no new predictions come."""
    table = Table(title="Soak of one worker, minute by minute", caption=caption, caption_justify="left")
    headings = ("minute", "RSS MB", "without filter", "hot MB", "predictions in memory", "held", "CPU", "worst lag")
    for heading in (*headings, "oldest watermark s"):
        table.add_column(heading, justify="right")
    for minute, group in groupby(samples, lambda sample: int(sample.at_s // 60)):
        of = list(group)
        rss, known = _mean([s.rss_bytes for s in of]), _mean([s.known_ids_bytes for s in of])
        busy = (of[-1].cpu_s - of[0].cpu_s) / (of[-1].at_s - of[0].at_s) if len(of) > 1 else 0.0
        table.add_row(
            f"{minute + 1}" + ("" if minute * 60 < seconds else " (rest)"),
            f"{rss / 1e6:.1f}",
            f"{(rss - known) / 1e6:.1f}",
            f"{_mean([s.hot_bytes for s in of]) / 1e6:.1f}",
            f"{_mean([s.hot_predictions for s in of]):,.0f}",
            f"{_mean([s.held_actions for s in of]):,.0f}",
            f"{busy:.0%}",
            f"{max(s.lag for s in of):,}",
            f"{max(s.watermark_age_s for s in of):.1f}",
        )
    return table


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def _said(report: LedgerReport, sender: SoakSender) -> str:
    of, actions = report.predictions, report.actions
    return (
        f"ledger {'balanced' if report.balanced else 'NOT balanced'}: {sum(sender.sent.values()):,} events sent; "
        f"predictions: {of.accepted:,} accepted, {of.duplicate:,} duplicate, {of.matched:,} matched, {of.expired:,} "
        f"expired; actions: {actions.matched:,} matched, {actions.late_revised:,} late, {actions.duplicate:,} duplicate"
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to send predictions")
    parser.add_argument("--rate", type=int, default=3000, help="events a second, both topics together")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
