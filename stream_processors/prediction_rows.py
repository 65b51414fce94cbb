"""Predictions to store: Arrow columns of their table, made of each batch at once, so that its events die young.

Events that wait for the end of a flush take four times the memory of their columns, and come back out of it cold.
"""

import msgspec
import pyarrow as pa

from . import arrow
from .join.output import Accepted

_encode = msgspec.json.Encoder().encode


class PredictionRows:
    """Rows of table `predictions`, but for what a flush says of all of them: the topic, and when they were written."""

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._count = 0
        self.partitions: set[int] = set()
        """Kafka partitions they came from."""

    def __len__(self) -> int:
        return self._count

    def add(self, partition: int, watermark_us: int, accepted: Accepted) -> None:
        """Add what a batch of a partition brought, and the watermark (µs) at which it came."""
        if accepted.events:
            self._batches.append(_columns(partition, watermark_us, accepted))
            self._count += len(accepted.events)
            self.partitions.add(partition)

    def table(self) -> pa.Table:
        """All of them, and there must be one, each column in one piece."""
        return pa.Table.from_batches(self._batches).combine_chunks()


def _columns(partition: int, watermark_us: int, accepted: Accepted) -> pa.RecordBatch:
    events = accepted.events
    count = len(events)
    values = [event.prediction for event in events]
    numeric, categorical = arrow.features([event.features for event in events])
    return pa.record_batch(
        {
            "prediction_id": pa.array([event.prediction_id for event in events], pa.string()),
            "model": arrow.names([event.model for event in events]),
            "version": arrow.names([event.version for event in events]),
            "ts": arrow.micros(accepted.ts_us),
            "entity_id": pa.array([event.entity_id for event in events], pa.string()),
            "prediction": arrow.texts(values),
            "prediction_value": arrow.numbers(values),
            "score": pa.array([event.score for event in events], pa.float64()),
            "scores": arrow.mapping([event.scores for event in events], pa.float64()),
            "features_num": numeric,
            "features_cat": categorical,
            "segments": arrow.mapping([event.segments for event in events], pa.string()),
            "variants": arrow.mapping([event.variants for event in events], pa.string()),
            "latency_ms": pa.array([event.latency_ms for event in events], pa.float64()),
            "cost_usd": pa.array([event.cost_usd for event in events], pa.float64()),
            "generation": pa.array(
                [b"" if event.generation is None else _encode(event.generation) for event in events], pa.binary()
            ),
            "trace_id": pa.array([event.trace_id for event in events], pa.string()),
            "attributes": arrow.attributes([event.attributes for event in events]),
            "_watermark": arrow.constant(max(watermark_us, 0), count, arrow.MICROS),
            "_partition": arrow.constant(partition, count, pa.uint32()),
            "_offset": pa.array(accepted.offsets, pa.uint64()),
        }
    )
