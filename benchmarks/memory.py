"""How much memory a pending prediction takes in a worker: ``python -m benchmarks.memory``.

A fresh process for each kind of prediction decodes and joins a million of them in the worker's own code, batch by batch
and flush by flush, all of them waiting for an action; ClickHouse and Kafka are left out, and each flush counts as
stored once the next one is full. What the process holds more than before, divided by the predictions, is the figure.
Writes ``benchmarks/results/memory.json``.
"""

import argparse
import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import msgspec
import psutil
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.schemas.partitioner import partitions_of
from loopwatch.stream_processors.app import spare_the_collector
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import ENTRY_BYTES
from loopwatch.stream_processors.output import Flush
from loopwatch.stream_processors.partition import Limits, PartitionProcessor, Recovered, TopicPosition
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from .events import COUNTRIES, DEVICES, PREDICTIONS_PER_SECOND, EventMaker
from .machine import Machine
from .throughput import RESULTS

TARGET_BYTES = 400
PARTITIONS = 4
BATCH = 4000
FLUSH_ROWS = 40_000
WARM_UP = 100_000
KINDS = ("version", "version, segments and variants")
_TOPIC = "predictions"
_START = datetime(2025, 11, 3, tzinfo=UTC)


class Record(NamedTuple):
    """What the join reads of a Kafka record."""

    offset: int
    value: bytes
    headers: tuple[()] = ()


class Memory(Struct, frozen=True):
    """What `predictions` pending ones of a kind take. The filter of known ids is in `rss_bytes` too."""

    kind: str
    predictions: int
    rss_bytes: int
    known_ids_bytes: int
    estimated_bytes: int

    @property
    def each(self) -> float:
        """Bytes per prediction, all in all."""
        return self.rss_bytes / self.predictions

    @property
    def each_known_id(self) -> float:
        """Of these, bytes in the filter of known ids."""
        return self.known_ids_bytes / self.predictions


class Joiner:
    """All partitions of a worker, without its services."""

    def __init__(self) -> None:
        positions = TopicPosition(_TOPIC, "a"), TopicPosition("actions", "b")
        rules, limits = Rules(LoopwatchConfig()), Limits(hot_bytes=1 << 40)
        self.partitions = [
            PartitionProcessor(number, PARTITIONS, rules, limits, Recovered(*positions)) for number in range(PARTITIONS)
        ]
        self._flush, self._writing = Flush(1), Flush(0)

    def join(self, batches: Iterator[tuple[int, list[Record]]], now: datetime) -> None:
        """Join batches of a partition each, flushing as often as a worker does."""
        now_us = int(now.timestamp() * 1e6)
        for number, records in batches:
            processor = self.partitions[number]
            batch = processor.prepare(_TOPIC, records)
            if unknown := processor.unknown_to_memory(batch):
                raise RuntimeError(f"{len(unknown)} new ids were taken for known ones")
            processor.apply(_TOPIC, batch, {}, self._flush, now_us)
            if len(self._flush) >= FLUSH_ROWS:
                self._seal(now_us)
        self._seal(now_us)
        self._seal(now_us)

    def _seal(self, now_us: int) -> None:
        for processor in self.partitions:
            processor.settle(self._flush, now_us)
            processor.stored(self._writing.number)
        # A worker joins into one flush while it writes the one before, so two are in memory.
        self._flush, self._writing = Flush(self._flush.number + 1), self._flush

    @property
    def pending(self) -> int:
        """Predictions in memory that no timeout has closed."""
        entries = (entry for processor in self.partitions for entry in processor.join.hot.entries.values())
        return sum(not entry.closed for entry in entries)


def measure(kind: str, predictions: int) -> Memory:
    """Measure one kind in this process, which should be a fresh one: what was allocated before could be used again.

    Raises RuntimeError if not all predictions are pending in the end.
    """
    spare_the_collector()
    Joiner().join(_batches(kind, WARM_UP, seed=1), _START)
    joiner = Joiner()
    before = _rss_bytes()
    joiner.join(_batches(kind, predictions, seed=2), _START)
    taken = _rss_bytes() - before
    if joiner.pending != predictions:
        raise RuntimeError(f"{joiner.pending:,} of {predictions:,} predictions are pending")
    joins = [processor.join for processor in joiner.partitions]
    known = sum(join.known.size_bytes for join in joins)
    return Memory(kind, predictions, taken, known, sum(join.hot.size_bytes for join in joins) // predictions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = _options(arguments)
    console, machine = Console(), Machine.here()
    # One process a task: each kind starts from nothing.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh_processes:
        rows = list(fresh_processes.map(partial(measure, predictions=options.predictions), KINDS))
    table = Table(
        title=f"Worker memory per pending prediction, {options.predictions:,} of them on {PARTITIONS} partitions",
        caption=f"resident memory after joining − before; the estimate is what hot_state_bytes counts\n{machine}",
        caption_justify="left",
    )
    headings = ("bytes each", "of these the filter of known ids", "all but the filter", "estimate", "all in MB")
    table.add_column("predictions with")
    for heading in (*headings, f"target ≤ {TARGET_BYTES}"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.kind,
            f"{row.each:.0f}",
            f"{row.each_known_id:.0f}",
            f"{row.each - row.each_known_id:.0f}",
            f"{row.estimated_bytes}",
            f"{row.rss_bytes / 1e6:,.0f}",
            "[green]met[/]" if row.each <= TARGET_BYTES else "[red]missed[/]",
        )
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": machine,
        "partitions": PARTITIONS,
        "target_bytes": TARGET_BYTES,
        "entry_bytes_estimate": ENTRY_BYTES,
        "kinds": [msgspec.to_builtins(row) | {"bytes_each": row.each} for row in rows],
    }
    (RESULTS / "memory.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _batches(kind: str, predictions: int, seed: int) -> Iterator[tuple[int, list[Record]]]:
    """Batches of one partition each, as they are fetched, in the order of event time."""
    maker, pause = EventMaker(seed), timedelta(seconds=1 / PREDICTIONS_PER_SECOND)
    offsets = [0] * PARTITIONS
    done = 0
    while done < predictions:
        until = min(predictions, done + BATCH * PARTITIONS)
        events = [maker.prediction(_START + index * pause) for index in range(done, until)]
        values = [
            event.value if kind == KINDS[0] else _segmented(event.value, done + n) for n, event in enumerate(events)
        ]
        homes = partitions_of([event.key.decode() for event in events], PARTITIONS).tolist()
        fetched: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        for home, value in zip(homes, values, strict=True):
            fetched[home].append(Record(offsets[home], value))
            offsets[home] += 1
        yield from enumerate(fetched)
        done = until


def _segmented(value: bytes, index: int) -> bytes:
    """The same event with two segments and the arms of two experiments."""
    country, device = COUNTRIES[index % len(COUNTRIES)], DEVICES[index // 7 % len(DEVICES)]
    arm = "ab"[index % 2]
    more = {
        "segments": {"country": country, "device": device},
        "variants": {"new-ranker": arm, "layout": "ba"[index // 3 % 2]},
    }
    return value[:-1] + b"," + msgspec.json.encode(more)[1:]


def _rss_bytes() -> int:
    """Resident memory, after everything that is not needed was given back to the system."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--predictions", type=int, default=1_000_000, help="how many are pending")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
