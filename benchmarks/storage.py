"""How many bytes an event takes in Kafka and in ClickHouse: ``python -m benchmarks.storage``.

Sends the benchmark's events and the real flights through the client that services use (lz4 batches) to a real Apache
Kafka, has one worker store them in an embedded ClickHouse, and divides the sizes of the topics' segment files and of
the tables' parts by the rows. Writes ``benchmarks/results/storage.json``.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from loopwatch.infra.child_process import ChildProcess
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.kafka_admin import apply_topics
from loopwatch.infra.real_kafka import RealKafka
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.producers import Action, Loopwatch, Prediction
from loopwatch.producers.flights import flight_events
from loopwatch.schemas.decode import action_decoder, prediction_decoder
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from .clickhouse_process import clickhouse_process
from .events import PREDICTIONS_PER_SECOND, history
from .machine import Machine
from .measurement import Counts
from .throughput import RESULTS

ROOT = Path(__file__).resolve().parent.parent
TABLES = ("predictions", "actions", "feedback")
TIMEOUT_S = 300.0


class Size(Struct, frozen=True):
    """What one kind of row takes. `merged_bytes` is after all merges, None for a topic."""

    workload: str
    where: str
    rows: int
    bytes_each: float
    merged_bytes_each: float | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = _options(arguments)
    console, machine = Console(), Machine.here()
    sizes: list[Size] = []
    with tempfile.TemporaryDirectory(prefix="loopwatch-storage-", ignore_cleanup_errors=True) as directory:
        data = Path(directory, "kafka")
        with clickhouse_process() as server, RealKafka(data_dir=data) as kafka:
            for workload, events in (("benchmark", _benchmark(options.events)), ("flights", iter(flight_events()))):
                settings = Settings(
                    kafka_bootstrap=kafka.bootstrap,
                    clickhouse_url=server.url,
                    clickhouse_database=f"storage_{workload}",
                    topic_prefix=f"{workload}.",
                    consumer_group=workload,
                    config=str(ROOT / "examples" / "loopwatch.yaml"),
                )
                sizes += _measure(workload, events, settings, data)
    console.print(_as_table(sizes, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "sizes": sizes}
    (RESULTS / "storage.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _measure(workload: str, events: Iterator[Prediction | Action], settings: Settings, data: Path) -> Iterator[Size]:
    clickhouse = ClickHouse(settings)
    apply_topics(settings)
    apply_tables(clickhouse, settings)
    counts = dict.fromkeys(settings.topics.inputs, 0)
    json_bytes = dict(counts)
    with Loopwatch(settings, block=True) as client:
        for event in events:
            topic = settings.topics.inputs[isinstance(event, Action)]
            counts[topic] += 1
            json_bytes[topic] += len(msgspec.json.encode(event))
            client.send_action(event) if isinstance(event, Action) else client.send_prediction(event)
    worker = ChildProcess(
        [sys.executable, "-m", "loopwatch.console", "worker"], name="worker", env=_environment(settings)
    )
    received = f"SELECT sum(n) FROM {settings.clickhouse_database}.ledger WHERE class = 'received'"
    with worker:
        worker.wait_until(lambda: int(clickhouse.rows(received)[0][0]) >= sum(counts.values()), TIMEOUT_S, 0.5)
    for topic, n in counts.items():
        yield Size(workload, f"JSON of {topic}", n, json_bytes[topic] / n)
        yield Size(workload, f"topic {topic}", n, _topic_bytes(data, topic) / n)
    feedback = settings.topics.feedback
    ((published,),) = clickhouse.rows(f"SELECT count() FROM {settings.clickhouse_database}.feedback")
    if published:
        yield Size(workload, f"topic {feedback}", published, _topic_bytes(data, feedback) / published)
    for table in TABLES:
        rows, first = _parts(clickhouse, table)
        clickhouse.command(f"OPTIMIZE TABLE {clickhouse.database}.{table} FINAL")
        rows, merged = _parts(clickhouse, table)
        if rows:
            yield Size(workload, f"table {table}", rows, first / rows, merged / rows)


def _parts(clickhouse: ClickHouse, table: str) -> tuple[int, int]:
    ((rows, size),) = clickhouse.rows(
        "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts "
        f"WHERE active AND database = '{clickhouse.database}' AND table = '{table}'"
    )
    return int(rows), int(size)


def _topic_bytes(data: Path, topic: str) -> int:
    """Bytes of the segments of a topic: one replica, without indexes."""
    return sum(file.stat().st_size for file in data.glob(f"node-1/data/{topic}-*/*.log"))


def _benchmark(events: int) -> Iterator[Prediction | Action]:
    actions = events // 3
    counts = Counts(predictions=2 * actions, actions=actions)
    start = datetime.now(UTC) - timedelta(seconds=counts.predictions / PREDICTIONS_PER_SECOND)
    of_prediction, of_action = prediction_decoder().decode, action_decoder().decode
    for event in history(counts, start):
        yield of_action(event.value) if event.is_action else of_prediction(event.value)


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | settings.environment()


def _as_table(sizes: Sequence[Size], machine: Machine) -> Table:
    table = Table(title="Bytes of an event", caption=f"one replica of each\n{machine}", caption_justify="left")
    for heading in ("workload", "where"):
        table.add_column(heading)
    for heading in ("rows", "bytes each", "after merges"):
        table.add_column(heading, justify="right")
    for size in sizes:
        merged = "" if size.merged_bytes_each is None else f"{size.merged_bytes_each:.0f}"
        table.add_row(size.workload, size.where, f"{size.rows:,}", f"{size.bytes_each:.0f}", merged)
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="of the benchmark's, predictions and actions")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
