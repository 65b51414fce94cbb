"""How much memory a pending prediction takes in a worker: ``python -m benchmarks.memory``.

A fresh process for each kind of prediction decodes and joins a million of them in the worker's own code, batch by batch
and flush by flush, all of them waiting for an action; ClickHouse and Kafka are left out, and each flush counts as
stored once the next one is full. What the process holds more than before, divided by the predictions, is the figure.
It includes what the allocator keeps of the two flushes that were under way, however many predictions are pending; what
another pending one takes is seen from the second half alone.
Writes ``benchmarks/results/memory.json``.
"""

import argparse
import ctypes
import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import msgspec
import psutil
from loopwatch.infra.settings import Settings
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.schemas.partitioner import partitions_of
from loopwatch.stream_processors.app import prepare_process
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import ENTRY_BYTES
from loopwatch.stream_processors.output import Flush
from loopwatch.stream_processors.partition import Limits, PartitionProcessor
from loopwatch.stream_processors.recovered import Recovered, TopicPosition
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from .events import COUNTRIES, DEVICES, PREDICTIONS_PER_SECOND, EventMaker
from .machine import Machine
from .throughput import RESULTS

TARGET_BYTES = 400
PARTITIONS = 4
BATCH = 4000
FLUSH_ROWS = Settings().flush_rows
WARM_UP = 100_000
KINDS = ("version", "version, segments and variants")
_TOPIC = "predictions"
_START = datetime(2025, 11, 3, tzinfo=UTC)


class Record(NamedTuple):
    """What the join reads of a Kafka record."""

    offset: int
    value: bytes
    headers: tuple[()] = ()


class Taken(Struct, frozen=True):
    """Bytes that joining took: all of them, and of these the filter of known ids."""

    rss_bytes: int
    known_ids_bytes: int

    @property
    def without_filter(self) -> int:
        """What depends on the predictions being pending."""
        return self.rss_bytes - self.known_ids_bytes


class Memory(Struct, frozen=True):
    """What `predictions` pending ones of a kind take. `estimated` is what `hot_state_bytes` counts for one."""

    kind: str
    predictions: int
    half: Taken
    all: Taken
    estimated: int

    @property
    def each(self) -> float:
        """Bytes for a prediction, all in all."""
        return self.all.rss_bytes / self.predictions

    @property
    def each_in_filter(self) -> float:
        """Of these, bytes in the filter of known ids."""
        return self.all.known_ids_bytes / self.predictions

    @property
    def each_more(self) -> float:
        """Bytes for each prediction of the second half, without the filter, which grows in steps."""
        return (self.all.without_filter - self.half.without_filter) / (self.predictions - self.predictions // 2)


class Joiner:
    """All partitions of a worker, without its services."""

    def __init__(self) -> None:
        positions = TopicPosition(_TOPIC, "a"), TopicPosition("actions", "b")
        rules, limits = Rules(LoopwatchConfig()), Limits(hot_bytes=1 << 40)
        self.partitions = [
            PartitionProcessor(number, PARTITIONS, rules, limits, Recovered(*positions)) for number in range(PARTITIONS)
        ]
        self._flush, self._writing = Flush(1), Flush(0)

    def join(self, batches: Iterable[tuple[int, list[bytes]]], now: datetime) -> None:
        """Join batches of a partition each, flushing as often as a worker does, and at the end."""
        now_us = int(now.timestamp() * 1e6)
        for number, values in batches:
            processor = self.partitions[number]
            first = processor.next_offset(_TOPIC)
            batch = processor.prepare(_TOPIC, [Record(first + index, value) for index, value in enumerate(values)])
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

    def taken_since(self, rss_bytes: int) -> Taken:
        """What this process holds more than `rss_bytes`."""
        known = sum(processor.join.known.size_bytes for processor in self.partitions)
        return Taken(_rss_bytes() - rss_bytes, known)


def measure(kind: str, predictions: int) -> Memory:
    """Measure one kind in this process, which should be a fresh one: what was allocated before could be used again.

    Raises RuntimeError if not all predictions are pending in the end.
    """
    prepare_process()
    Joiner().join(_batches(kind, range(WARM_UP), seed=1), _START)
    joiner, before = Joiner(), _rss_bytes()
    joiner.join(_batches(kind, range(predictions // 2), seed=2), _START)
    half = joiner.taken_since(before)
    joiner.join(_batches(kind, range(predictions // 2, predictions), seed=3), _START)
    taken = joiner.taken_since(before)
    if joiner.pending != predictions:
        raise RuntimeError(f"{joiner.pending:,} of {predictions:,} predictions are pending")
    estimated = sum(processor.join.hot.size_bytes for processor in joiner.partitions)
    return Memory(kind, predictions, half, taken, estimated // predictions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = _options(arguments)
    console, machine = Console(width=130), Machine.here()
    # One process a task: each kind starts from nothing.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh_processes:
        rows = list(fresh_processes.map(partial(measure, predictions=options.predictions), KINDS))
    console.print(_table(rows, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": machine,
        "partitions": PARTITIONS,
        "target_bytes": TARGET_BYTES,
        "entry_bytes_estimate": ENTRY_BYTES,
        "kinds": [
            msgspec.to_builtins(row)
            | {"bytes_each": row.each, "in_filter_each": row.each_in_filter, "bytes_each_more": row.each_more}
            for row in rows
        ],
    }
    (RESULTS / "memory.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _table(rows: Sequence[Memory], machine: Machine) -> Table:
    table = Table(
        title="Worker memory per pending prediction",
        caption=f"bytes of resident memory, joined − before, on {PARTITIONS} partitions; hot_state_bytes counts the "
        f"estimate\n{machine}",
        caption_justify="left",
    )
    table.add_column("pending predictions with")
    headings = (
        "how many",
        "bytes each",
        "of these in the filter",
        "each more, without filter",
        "estimate",
        "MB in all",
    )
    for heading in (*headings, f"target: each ≤ {TARGET_BYTES}"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.kind,
            f"{row.predictions:,}",
            f"{row.each:.0f}",
            f"{row.each_in_filter:.0f}",
            f"{row.each_more:.0f}",
            f"{row.estimated}",
            f"{row.all.rss_bytes / 1e6:,.0f}",
            "[green]met[/]" if row.each <= TARGET_BYTES else "[red]missed[/]",
        )
    return table


def _batches(kind: str, numbers: range, seed: int) -> Iterator[tuple[int, list[bytes]]]:
    """Partition and values of batches as they are fetched, of predictions in the order of event time."""
    maker, pause = EventMaker(seed), timedelta(seconds=1 / PREDICTIONS_PER_SECOND)
    for chunk in (numbers[at : at + BATCH * PARTITIONS] for at in range(0, len(numbers), BATCH * PARTITIONS)):
        events = [maker.prediction(_START + number * pause) for number in chunk]
        homes = partitions_of([event.key.decode() for event in events], PARTITIONS).tolist()
        fetched: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        for number, home, event in zip(chunk, homes, events, strict=True):
            fetched[home].append(event.value if kind == KINDS[0] else _segmented(event.value, number))
        yield from enumerate(fetched)


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
