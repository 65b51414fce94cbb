"""Join output as Arrow columns, one function a table, built from flat lists: a dict a row costs ten times more."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ...infra.kafka_admin import TopicInfo
from ...schemas.dead_letters import DeadLetter
from ...schemas.ledger import ActionClass
from .. import arrow
from ..join.output import HOUR_US, ActionRow, Count, OutcomeRow, SettledAction
from ..join.watermark import NEVER
from ..output import Checkpoint, Refused
from ..prediction_rows import PredictionRows
from .source import Source

_MILLIS = pa.timestamp("ms", "UTC")
_HOUR_S = HOUR_US // 1_000_000


def predictions(rows: PredictionRows, source: Source) -> pa.Table:
    """Rows of table `predictions`."""
    table = rows.table()
    for name, column in _source(source, source.predictions, len(rows)).items():
        table = table.append_column(name, column)
    return table


def actions(rows: Sequence[ActionRow], source: Source) -> pa.Table:
    """Rows of table `actions`."""
    events = [row.event for row in rows]
    values = [event.value for event in events]
    return pa.table(
        {
            "prediction_id": [event.prediction_id for event in events],
            "action_id": [event.action_id for event in events],
            "name": arrow.names([event.name for event in events]),
            "ts": arrow.micros([row.ts_us for row in rows]),
            "value": arrow.texts(values),
            "value_num": arrow.numbers(values),
            "actor": arrow.names([event.actor for event in events]),
            "attributes": arrow.attributes([event.attributes for event in events]),
            "model": arrow.names([row.model for row in rows]),
            "class": [row.action_class for row in rows],
            "reason": [row.reason or "" for row in rows],
            "_partition": pa.array([row.partition for row in rows], pa.uint32()),
            "_offset": pa.array([row.offset for row in rows], pa.uint64()),
            **_source(source, source.actions, len(rows)),
        }
    )


def action_status(rows: Sequence[SettledAction], source: Source) -> pa.Table:
    """Rows of table `action_status`."""
    return pa.table(
        {
            "prediction_id": [row.prediction_id for row in rows],
            "action_id": [row.action_id for row in rows],
            "model": arrow.names([row.model for row in rows]),
            "class": [row.action_class for row in rows],
            "reason": [row.reason or "" for row in rows],
            "rank": pa.array([1 if row.action_class is ActionClass.ORPHAN else 2 for row in rows], pa.uint8()),
            "_ingested_at": arrow.constant(source.ingested_ms, len(rows), _MILLIS),
        }
    )


def feedback(rows: Sequence[OutcomeRow], source: Source) -> pa.Table:
    """Rows of table `feedback`."""
    entries = [row.entry for row in rows]
    values = [entry.prediction for entry in entries]
    prediction_us = pa.array([entry.ts_us for entry in entries], pa.int64())
    action_us = pa.array([row.action_ts_us for row in rows], pa.int64())
    return pa.table(
        {
            "model": arrow.names([entry.common.rules.model for entry in entries]),
            "outcome": arrow.names([row.outcome for row in rows]),
            "prediction_id": [row.prediction_id for row in rows],
            "status": [row.status for row in rows],
            "label": pa.array([row.label for row in rows], pa.string()),
            "label_value": pa.array([row.label_value for row in rows], pa.float64()),
            "action_id": pa.array([row.action_id for row in rows], pa.string()),
            "n_actions": pa.array([row.n_actions for row in rows], pa.uint32()),
            "prediction": arrow.texts(values),
            "prediction_value": arrow.numbers(values),
            "score": pa.array([entry.score for entry in entries], pa.float64()),
            "version": arrow.names([entry.common.version for entry in entries]),
            "segments": arrow.mapping([entry.common.segments for entry in entries], pa.string()),
            "variants": arrow.mapping([entry.common.variants for entry in entries], pa.string()),
            "prediction_ts": prediction_us.cast(arrow.MICROS),
            "action_ts": action_us.cast(arrow.MICROS),
            "delay_ms": pa.array(
                [None if row.action_ts_us is None else (row.action_ts_us - row.entry.ts_us) / 1000 for row in rows],
                pa.float64(),
            ),
            "revision": pa.array([row.revision for row in rows], pa.uint32()),
            "_topic": arrow.names([(source.actions if row.from_action else source.predictions).name for row in rows]),
            "_partition": pa.array([row.partition for row in rows], pa.uint32()),
            "_offset": pa.array([row.offset for row in rows], pa.uint64()),
            "_ingested_at": arrow.constant(source.ingested_ms, len(rows), _MILLIS),
        }
    )


def dead_letters(rows: Sequence[Refused], letters: Sequence[DeadLetter], source: Source) -> pa.Table:
    """Rows of table `dead_letters`."""
    return pa.table(
        {
            "reason": [letter.reason.value for letter in letters],
            "detail": [letter.detail for letter in letters],
            "key": [letter.key for letter in letters],
            "value": [letter.value for letter in letters],
            "size_bytes": pa.array([len(row.record.value or b"") for row in rows], pa.uint64()),
            "_topic": [row.topic for row in rows],
            "_topic_id": [row.topic_id for row in rows],
            "_partition": pa.array([row.partition for row in rows], pa.uint32()),
            "_offset": pa.array([row.record.offset for row in rows], pa.uint64()),
            "_ingested_at": arrow.constant(source.ingested_ms, len(rows), _MILLIS),
        }
    )


def ledger(checkpoints: Sequence[Checkpoint], counts: Mapping[Count, int], source: Source, worker: str) -> pa.Table:
    """Rows of table `ledger`: one a count, one an origin, and one for a checkpoint that counted nothing."""
    rows: list[tuple[Any, ...]] = []
    for mark in checkpoints:
        common = (
            mark.topic, mark.topic_id, mark.partition, mark.first_offset, mark.last_offset,
            _since_1970(mark.max_ts_us), _since_1970(mark.watermark_us), mark.live,
        )  # fmt: skip
        rows.append((*common, "", 0, "idle" if mark.is_idle else "checkpoint", -1, 0, 0))
        rows += [(*common, "", 0, "origin", partition, offset, 0) for partition, offset in mark.origins.items()]
        own = mark.counts
        if own is None:
            own = {
                (count.model, count.hour, str(count.event_class)): n
                for count, n in counts.items()
                if count.partition == mark.partition and count.of_actions == mark.of_actions
            }
        rows += [
            (*common, model, hour * _HOUR_S, event_class, -1, 0, n) for (model, hour, event_class), n in own.items()
        ]
    (
        topics, topic_ids, partitions, first, last, max_ts, watermarks, live, models, buckets, classes,
        origin_partitions, origin_offsets, n,
    ) = zip(*rows, strict=True)  # fmt: skip
    return pa.table(
        {
            "_topic": topics,
            "_topic_id": topic_ids,
            "_partition": pa.array(partitions, pa.uint32()),
            "first_offset": pa.array(first, pa.uint64()),
            "last_offset": pa.array(last, pa.uint64()),
            "max_ts": arrow.micros(max_ts),
            "watermark": arrow.micros(watermarks),
            "live": pa.array(live, pa.bool_()),
            "model": models,
            "bucket": pa.array(buckets, pa.timestamp("s", "UTC")),
            "class": classes,
            "origin_partition": pa.array(origin_partitions, pa.int32()),
            "origin_offset": pa.array(origin_offsets, pa.uint64()),
            "n": pa.array(n, pa.uint64()),
            "worker": arrow.name(worker, len(rows)),
            "_ingested_at": arrow.constant(source.ingested_ms, len(rows), _MILLIS),
        }
    )


def _source(source: Source, topic: TopicInfo, count: int) -> dict[str, pa.Array]:
    return {
        "_topic": arrow.name(topic.name, count),
        "_topic_id": arrow.name(topic.topic_id, count),
        "_ingested_at": arrow.constant(source.ingested_ms, count, _MILLIS),
    }


def _since_1970(instant_us: int) -> int:
    return 0 if instant_us == NEVER else max(instant_us, 0)
