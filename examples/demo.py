"""The whole loop on this machine: 284,821 predictions of real flights, what came of each, and how good they were.

Starts `loopwatch dev` in a temporary directory, replays the flights as fast as it goes, waits until everything is
joined, and then asks what anybody can ask: `loopwatch ledger` and SQL. Ends with status 0 and nothing left running.
"""

import contextlib
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from loopwatch.infra.child_process import accepts_connections
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.producers import Loopwatch
from loopwatch.producers.flights import MODEL, flight_events
from loopwatch.producers.replay import replay_events, replay_progress
from loopwatch.schemas.config import load_config
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

MODELS = Path(__file__).parent / "loopwatch.yaml"
START_TIMEOUT_S = 120.0
JOIN_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
LOOPWATCH = [sys.executable, "-m", "loopwatch.console"]
READY = re.compile(r"ready kafka=(?P<kafka>\S+) clickhouse=(?P<clickhouse>\S+)")

BY_MONTH = f"""
SELECT
    formatDateTime(month, '%Y-%m') AS month,
    predictions,
    round(late_rate, 3) AS `late rate`,
    round(accuracy, 3) AS accuracy,
    round(auc, 3) AS AUC,
    round(delay_h[1], 2) AS `label delay p50, h`,
    round(delay_h[2], 2) AS `p95, h`,
    round(labelled / predictions, 4) AS completeness
FROM
(
    SELECT toStartOfMonth(ts, 'America/New_York') AS month, count() AS predictions
    FROM predictions WHERE model = '{MODEL}' GROUP BY month
) AS made
INNER JOIN
(
    SELECT
        toStartOfMonth(prediction_ts, 'America/New_York') AS month,
        count() AS labelled,
        avg(label_value > 15) AS late_rate,
        avg((label_value > 15) = prediction_value) AS accuracy,
        arrayROCAUC(groupArray(assumeNotNull(score)), groupArray(label_value > 15)) AS auc,
        arrayMap(ms -> ms / 3600000, quantiles(0.5, 0.95)(assumeNotNull(delay_ms))) AS delay_h
    FROM feedback_current WHERE model = '{MODEL}' AND label_value IS NOT NULL GROUP BY month
) AS came USING (month)
ORDER BY month
"""

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="loopwatch-demo-", ignore_cleanup_errors=True) as directory:
        with dev(Path(directory)) as process:
            console.print("starting a broker, ClickHouse and a worker; training a classifier on January and February")
            flights = flight_events()
            settings = addresses(process)
            sent = replay(settings, flights)
            wait_until_joined(settings, sent)
            balanced = show(settings, "ledger")
            show(settings, "sql", BY_MONTH, shown="(flights by month)")
        stopped = process.returncode == 0 and not any(map(accepts_connections, ports(settings)))
    if not balanced:
        console.print("[red]the ledger does not balance[/]")
    if not stopped:
        console.print(f"[red]`loopwatch dev` ended with status {process.returncode}, or left a service running[/]")
    console.print(f"done in {time.monotonic() - began:.0f} s; nothing is left running" if stopped else "failed")
    return 0 if balanced and stopped else 1


@contextlib.contextmanager
def dev(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """`loopwatch dev` on free ports."""
    command = [*LOOPWATCH, "dev", "--kafka-port", "0", "--clickhouse-port", "0", "--config", str(MODELS)]
    with subprocess.Popen([*command, "--data", str(directory)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def addresses(process: subprocess.Popen[str]) -> Settings:
    """Settings with the addresses that `loopwatch dev` prints when it is ready."""
    assert process.stdout is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    deadline = time.monotonic() + START_TIMEOUT_S
    with contextlib.suppress(queue.Empty):
        while (line := lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            if found := READY.match(line):
                return Settings(kafka_bootstrap=found["kafka"], clickhouse_url=found["clickhouse"], config=str(MODELS))
    sys.exit("`loopwatch dev` did not get ready")


def replay(settings: Settings, flights: Iterator) -> int:
    """Send every flight and every arrival; returns how many."""
    with Loopwatch(settings, block=True) as client, replay_progress(console) as progress:
        sent = replay_events(client, flights, config=load_config(MODELS), progress=progress)
    events = sent.predictions + sent.actions
    console.print(f"sent {sent.predictions:,} predictions and {sent.actions:,} arrivals in {sent.seconds:.1f} s")
    return events


def wait_until_joined(settings: Settings, events: int) -> None:
    """Wait until the ledger has received every event, and every prediction has its label or its timeout."""
    clickhouse = ClickHouse(settings)
    deadline = time.monotonic() + JOIN_TIMEOUT_S
    pause = threading.Event()
    columns = (TextColumn("joined "), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("joined", total=events)
        while True:
            ((received, accepted, answered),) = clickhouse.rows(
                "SELECT (SELECT sum(n) FROM loopwatch.ledger WHERE class = 'received'), "
                "(SELECT count() FROM loopwatch.predictions), (SELECT uniqExact(prediction_id) FROM loopwatch.feedback)"
            )
            progress.update(task, completed=int(received))
            if received >= events and accepted == answered:
                return
            if time.monotonic() > deadline:
                sys.exit(
                    f"joined {received} of {events} events, answered {answered} of {accepted} in {JOIN_TIMEOUT_S} s"
                )
            pause.wait(0.5)


def show(settings: Settings, *command: str, shown: str = "") -> bool:
    """Run a command as a user would; says whether it ended well."""
    console.print(f"\n[bold]$ loopwatch {command[0]} {shown}[/]")
    return subprocess.run([*LOOPWATCH, *command], env=os.environ | settings.environment()).returncode == 0


def ports(settings: Settings) -> list[int]:
    """The ports that the services listened on."""
    return [int(address.rpartition(":")[2]) for address in (settings.kafka_bootstrap, settings.clickhouse_url)]


def _read(stream: IO[str], lines: "queue.SimpleQueue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


if __name__ == "__main__":
    sys.exit(main())
