"""What an evaluation tick costs: ``python -m benchmarks.tick``.

Models with features, segments and labels write into an embedded ClickHouse as workers do; after a history has been
evaluated, each tick finds a few seconds of new predictions and labels. Run over a short and a long history: the cost
should grow with what is new, not with what was there. Estimates before labels come after the tick, and take about a
second of their own. Writes ``benchmarks/results/tick.json``.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

import msgspec
import numpy as np
import pyarrow as pa
from loopwatch.infra.clickhouse import INSERT_SETTINGS, ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.config import parse_config
from loopwatch.stream_processors.live.evaluator import Evaluator
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from .clickhouse_process import clickhouse_process
from .machine import Machine
from .throughput import RESULTS

MODELS, FEATURES, SEGMENTS = 20, 20, 10
HISTORY_DAYS = 7
TARGET_S = 2.0
_BLOCK = 50_000
_STAMP = pa.timestamp("us", "UTC")


class Ticks(Struct, frozen=True):
    """Seconds of the ticks over one history, and how many windows each evaluated."""

    history: int
    first_s: float
    seconds: list[float]
    idle_s: float
    estimate_s: float
    """Of one series, after the ticks."""
    windows: list[int]

    @property
    def median_s(self) -> float:
        """Of the ticks that found something new."""
        return float(np.median(self.seconds))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tick", description=__doc__)
    parser.add_argument("--histories", type=int, nargs="+", default=[100_000, 1_000_000], help="predictions before")
    parser.add_argument("--new", type=int, default=5_000, help="new predictions for each tick, and half as many labels")
    parser.add_argument("--ticks", type=int, default=8)
    options = parser.parse_args(arguments)
    console, machine = Console(), Machine.here()
    results = [_measure(history, options.new, options.ticks) for history in options.histories]
    table = Table(
        title=f"An evaluation tick of {MODELS} models × {FEATURES} features × {SEGMENTS} segments, "
        f"{options.new:,} new predictions",
        caption=str(machine), caption_justify="left",
    )  # fmt: skip
    for heading in (
        "history",
        "first tick s",
        "tick s, median",
        "slowest",
        "nothing new s",
        "then estimates s",
        "windows a tick",
        "target",
    ):
        table.add_column(heading, justify="right")
    for result in results:
        met = "[green]met[/]" if result.median_s <= TARGET_S else "[red]missed[/]"
        table.add_row(
            f"{result.history:,}", f"{result.first_s:.1f}", f"{result.median_s:.2f}", f"{max(result.seconds):.2f}",
            f"{result.idle_s:.2f}", f"{result.estimate_s:.2f}", f"{np.median(result.windows):.0f}",
            f"≤ {TARGET_S:g} s: {met}",
        )  # fmt: skip
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "new": options.new, "target_s": TARGET_S, "ticks": results}
    (RESULTS / "tick.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 0


def _measure(history: int, new: int, ticks: int) -> Ticks:
    with clickhouse_process() as server:
        settings = Settings(clickhouse_url=server.url)
        clickhouse = ClickHouse(settings)
        apply_tables(clickhouse, settings)
        now = datetime.now(UTC)
        events = _Events()
        events.store(clickhouse, history, now - timedelta(days=HISTORY_DAYS), now)
        evaluator = _evaluator(clickhouse)
        first_s, _ = _timed(evaluator)
        seconds, windows = zip(*_new(clickhouse, evaluator, events, new, ticks), strict=True)
        idle_s, _ = _timed(evaluator)
        began = time.perf_counter()
        estimated = evaluator.estimate()
        estimate_s = (time.perf_counter() - began) / max(1, estimated)
        return Ticks(history, first_s, list(seconds), idle_s, estimate_s, list(windows))


def _new(
    clickhouse: ClickHouse, evaluator: Evaluator, events: "_Events", new: int, ticks: int
) -> Iterator[tuple[float, int]]:
    for _ in range(ticks):
        now = datetime.now(UTC)
        events.store(clickhouse, new, now - timedelta(seconds=10), now)
        yield _timed(evaluator)


def _timed(evaluator: Evaluator) -> tuple[float, int]:
    began = time.perf_counter()
    windows = evaluator.tick([0])
    return time.perf_counter() - began, windows


def _evaluator(clickhouse: ClickHouse) -> Evaluator:
    fence = Fence(clickhouse, "tick.predictions", "tick")
    fence.claim(0)
    inserter = Inserter(clickhouse, fence, give_up_after_s=60, stop=Event())
    outcome = {"window": "1d", "label": "value"}
    config = parse_config(
        {
            "models": {
                f"m{index}": {"kind": "classification", "outcomes": {"answer": outcome}} for index in range(MODELS)
            }
        }
    )
    return Evaluator(clickhouse, config, inserter, partitions=1, overlap=timedelta(minutes=6), stop=Event())


class _Events:
    """Predictions of all models, and labels for half of them."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(3)
        self._made = 0

    def store(self, clickhouse: ClickHouse, n: int, since: datetime, until: datetime) -> None:
        """Store `n` predictions made between the two, and labels of half of them."""
        for first in range(0, n, _BLOCK):
            self._store(clickhouse, min(_BLOCK, n - first), since, until)

    def _store(self, clickhouse: ClickHouse, n: int, since: datetime, until: datetime) -> None:
        rng = self._rng
        at = np.sort(rng.integers(_micros(since), _micros(until), n))
        score, is_true = rng.random(n), rng.random(n)
        said = score >= 0.5
        names = pa.array([f"f{index}" for index in range(FEATURES)])
        keys = pa.DictionaryArray.from_arrays(np.tile(np.arange(FEATURES, dtype=np.int32), n), names).cast(pa.string())
        values = pa.array(rng.normal(size=n * FEATURES))
        countries = pa.array([f"c{each}" for each in rng.integers(0, SEGMENTS, n)])
        shared = {
            "prediction_id": pa.array([f"{at_us:016x}-{self._made + index:08x}" for index, at_us in enumerate(at)]),
            "model": pa.array([f"m{each}" for each in rng.integers(0, MODELS, n)]),
            "prediction": pa.array(np.where(said, "true", "false")),
            "prediction_value": pa.array(said.astype(float)),
            "score": pa.array(score),
            "segments": pa.MapArray.from_arrays(np.arange(n + 1, dtype=np.int32), ["country"] * n, countries),
            "_ingested_at": pa.array([datetime.now(UTC)] * n, pa.timestamp("ms", "UTC")),
        }
        self._made += n
        features = pa.MapArray.from_arrays(np.arange(n + 1, dtype=np.int32) * FEATURES, keys, values)
        _insert(clickhouse, "predictions", pa.table({**shared, "ts": pa.array(at, _STAMP), "features_num": features}))
        truth = is_true < score
        feedback = pa.table(
            {
                **shared,
                "outcome": ["answer"] * n,
                "status": ["matched"] * n,
                "label": pa.array(np.where(truth, "true", "false")),
                "label_value": pa.array(truth.astype(float)),
                "prediction_ts": pa.array(at, _STAMP),
                "action_ts": pa.array(at + 1, _STAMP),
                "revision": pa.array(np.full(n, 2), pa.uint32()),
            }
        )
        _insert(clickhouse, "feedback", feedback.filter(pa.array(rng.random(n) < 0.5)))


def _insert(clickhouse: ClickHouse, table: str, rows: pa.Table) -> None:
    clickhouse.client.insert_arrow(table, rows, database=clickhouse.database, settings=dict(INSERT_SETTINGS))


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


if __name__ == "__main__":
    sys.exit(main())
