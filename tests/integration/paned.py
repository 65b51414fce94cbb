"""Predictions with values of every kind, and a store that writes them the way a worker does."""

import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.kafka_admin import TopicInfo
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.decode import prediction_decoder
from loopwatch.stream_processors.join.output import Accepted
from loopwatch.stream_processors.prediction_rows import PredictionRows
from loopwatch.stream_processors.sink import columns
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter
from loopwatch.stream_processors.sink.pane_repair import repair_panes
from loopwatch.stream_processors.sink.source import Source

N = 3000
TOPICS = TopicInfo("p", "life", 4, 1), TopicInfo("a", "life", 4, 1)
# Old: event times of last year, of which there are hours only.
OLD = datetime(2025, 3, 3, 22, 30, tzinfo=UTC)

Event = dict[str, Any]


def events_of(begin: datetime, seed: int, n: int = N) -> list[Event]:
    """Predictions of two models over four hours, with values of every kind, some missing, some of the wrong type."""
    rng = np.random.default_rng(seed)
    amount = np.concatenate([rng.lognormal(3, 2, n // 2), -rng.exponential(1e-3, n - n // 2)])
    events: list[Event] = []
    for index in range(n):
        features: dict[str, Any] = {"amount": float(amount[index]), "age": int(rng.integers(0, 60))}
        if rng.random() < 0.9:
            features["country"] = str(rng.choice(["de", "fr", "it's \\ a", ""]))
        if rng.random() < 0.1:
            features["amount"] = None
        if rng.random() < 0.05:
            features["age"] = "unknown"
        features["returning"] = bool(rng.random() < 0.3)
        score = round(float(rng.random()), 4)
        event: Event = {
            "prediction_id": f"{seed}-{index}",
            "model": "fraud" if index % 3 else "churn",
            "ts": (begin + timedelta(seconds=float(rng.uniform(0, 14_400)))).isoformat(),
            "version": f"v{index % 2}",
            "features": features,
            "segments": {"country": str(features.get("country", "none"))},
            "variants": {"checkout": "ab"[index % 2]},
            "prediction": score > 0.5 if index % 3 else score * 100,
            "latency_ms": float(rng.lognormal(2.5, 0.5)),
        }
        events.append(event | ({"score": score} if index % 3 else {}))
    return events


class Block(NamedTuple):
    """What one insert sends."""

    rows: pa.Table
    token: str


class Store:
    """Writes predictions the way a worker does; one Kafka partition, offsets going on."""

    def __init__(self, url: str, partition: int = 0, database: str = "") -> None:
        self.settings = Settings(clickhouse_url=url, clickhouse_database=database or f"t_{uuid.uuid4().hex[:12]}")
        self.clickhouse = ClickHouse(self.settings)
        self.partition = partition
        self.offset = 0
        self.ingested_ms = int(datetime.now(UTC).timestamp() * 1000)
        apply_tables(self.clickhouse, self.settings)
        self.fence = Fence(self.clickhouse, "p", "writer")
        self.fence.claim(partition)
        self.give_up = threading.Event()
        self._inserter = Inserter(self.clickhouse, self.fence, give_up_after_s=5, stop=self.give_up)

    def block(self, events: Sequence[Event]) -> Block:
        """The next rows."""
        decoded, times = prediction_decoder().decode, [_micros(event) for event in events]
        rows = PredictionRows()
        offsets = range(self.offset, self.offset + len(events))
        parsed = [decoded(msgspec.json.encode(event)) for event in events]
        rows.add(self.partition, 0, Accepted(offsets, times, parsed))
        self.offset += len(events)
        self.ingested_ms += 1
        table = columns.predictions(rows, Source(*TOPICS, self.ingested_ms))
        return Block(table, f"p:{self.partition}:{offsets[0]}-{offsets[-1]}")

    def send(self, block: Block) -> None:
        """Insert it, or try to once more."""
        self._inserter.insert("predictions", *block, [self.partition])

    def insert(self, events: Sequence[Event]) -> Block:
        """Insert as one block."""
        block = self.block(events)
        self.send(block)
        return block

    def count(self) -> int:
        """Rows of predictions."""
        return int(self.clickhouse.rows(f"SELECT count() FROM {self.clickhouse.database}.predictions")[0][0])

    def repair(self) -> int:
        """What the next owner of the partition does."""
        return repair_panes(self.clickhouse, "p", self.partition, self.fence.broken([self.partition]))

    def content(self) -> list[Any]:
        """All that the panes say, but for accounts and days of writing."""
        return list(
            self.clickhouse.rows(
                "SELECT seconds, slice, series, start, bin, sum(n), sum(steps), sum(squares) "
                f"FROM {self.clickhouse.database}.panes WHERE seconds > 0 GROUP BY ALL ORDER BY ALL"
            )
        )

    def names(self) -> list[Any]:
        """All names."""
        table = f"{self.clickhouse.database}.pane_names"
        return list(self.clickhouse.rows(f"SELECT * FROM {table} FINAL ORDER BY ALL"))


def hour_of(event: Event) -> datetime:
    return datetime.fromisoformat(event["ts"]).replace(minute=0, second=0, microsecond=0)


def chosen(events: Sequence[Event], model: str = "fraud") -> list[Event]:
    return [event for event in events if event["model"] == model]


def _micros(event: Event) -> int:
    return int((datetime.fromisoformat(event["ts"]) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
