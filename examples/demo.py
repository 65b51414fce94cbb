"""The whole loop on this machine: 284,821 predictions of real flights, what came of each, and how good they were.

Starts `loopwatch dev` in a temporary directory, replays the flights as fast as it goes, waits until everything is
joined, and then asks what anybody can ask: `loopwatch ledger` and SQL. Ends with status 0 and nothing left running.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from loopwatch.infra.child_process import ChildProcess, accepts_connections
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.producers import Loopwatch
from loopwatch.producers.flights import MODEL, FlightReplay, flight_events
from loopwatch.producers.replay import replay_events, replay_progress
from loopwatch.schemas.config import load_config
from loopwatch.schemas.errors import LoopwatchError
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
        with dev(Path(directory)) as services:
            console.print("starting a broker, ClickHouse and a worker; training a classifier on January and February")
            flights = flight_events()
            settings = addresses(services)
            wait_until_joined(settings, replay(settings, flights))
            balanced = show(settings, "ledger")
            show(settings, "sql", BY_MONTH, shown='"SELECT …"  (examples/demo.py has it)')
            services.signal(signal.SIGTERM)
            status = services.wait_for_exit(STOP_TIMEOUT_S)
        left = [port for port in ports(settings) if accepts_connections(port)]
    if status or left:
        console.print(f"`loopwatch dev` ended with status {status}, and left open: {left or 'nothing'}")
    elif balanced:
        console.print(f"\nall is joined, and nothing is left running: {time.monotonic() - began:.0f} s")
    return 0 if balanced and not status and not left else 1


def dev(directory: Path) -> ChildProcess:
    """`loopwatch dev` on free ports: ends with this process, whatever ends it."""
    command = [*LOOPWATCH, "dev", "--kafka-port", "0", "--clickhouse-port", "0", "--config", str(MODELS)]
    return ChildProcess([*command, "--data", str(directory)], name="loopwatch dev", log_file=directory / "dev.log")


def addresses(services: ChildProcess) -> Settings:
    """Settings with the addresses that `loopwatch dev` prints when it is ready."""
    services.wait_until(lambda: READY.search(services.log_tail()) is not None, START_TIMEOUT_S)
    found = READY.search(services.log_tail())
    assert found is not None
    return Settings(kafka_bootstrap=found["kafka"], clickhouse_url=found["clickhouse"], config=str(MODELS))


def replay(settings: Settings, flights: FlightReplay) -> int:
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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LoopwatchError as exc:
        sys.exit(f"demo: {exc}")
