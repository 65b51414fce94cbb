"""Join output as Arrow columns, one function a table, built from flat lists: a dict a row costs ten times more."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ...schemas.dead_letters import DeadLetter
from ...schemas.events import Scalar
from ...schemas.labels import number_text
from ...schemas.ledger import ActionClass
from ..join.output import HOUR_US, ActionRow, Count, OutcomeRow, PredictionRows, SettledAction
from ..join.watermark import NEVER
from ..output import Checkpoint, Refused
from .source import Source

_MICROS = pa.timestamp("us", "UTC")
_MILLIS = pa.timestamp("ms", "UTC")
_TEXT_MAP = pa.map_(pa.string(), pa.string())
_NUMBER_MAP = pa.map_(pa.string(), pa.float64())
_HOUR_S = HOUR_US // 1_000_000
_KIND = {float: 0, int: 0, type(None): 0, str: 1, bool: 1}

_encode = msgspec.json.Encoder().encode


def predictions(rows: PredictionRows, source: Source) -> pa.Table:
    """Rows of table `predictions`."""
    events = rows.events
    values = [event.prediction for event in events]
    numeric, categorical = _features([event.features for event in events])
    return pa.table(
        {
            "prediction_id": [event.prediction_id for event in events],
            "model": [event.model for event in events],
            "version": [event.version for event in events],
            "ts": _micros(rows.ts_us),
            "entity_id": [event.entity_id for event in events],
            "prediction": _texts(values),
            "prediction_value": _numbers(values),
            "score": pa.array([event.score for event in events], pa.float64()),
            "scores": _map([event.scores for event in events], _NUMBER_MAP),
            "features_num": numeric,
            "features_cat": categorical,
            "segments": _map([event.segments for event in events], _TEXT_MAP),
            "variants": _map([event.variants for event in events], _TEXT_MAP),
            "latency_ms": pa.array([event.latency_ms for event in events], pa.float64()),
            "cost_usd": pa.array([event.cost_usd for event in events], pa.float64()),
            "generation": ["" if event.generation is None else _encode(event.generation) for event in events],
            "trace_id": [event.trace_id for event in events],
            "_watermark": _micros([max(each, 0) for each in rows.watermarks_us]),
            **_origin(source, source.predictions, rows.partitions, rows.offsets),
        }
    )


def actions(rows: Sequence[ActionRow], source: Source) -> pa.Table:
    """Rows of table `actions`."""
    events = [row.event for row in rows]
    values = [event.value for event in events]
    return pa.table(
        {
            "prediction_id": [event.prediction_id for event in events],
            "action_id": [event.action_id for event in events],
            "name": [event.name for event in events],
            "ts": _micros([row.ts_us for row in rows]),
            "value": _texts(values),
            "value_num": _numbers(values),
            "actor": [event.actor for event in events],
            "attributes": _map(
                [
                    event.attributes and {name: _text(value) or "" for name, value in event.attributes.items()}
                    for event in events
                ],
                _TEXT_MAP,
            ),
            "model": [row.model for row in rows],
            "class": [row.action_class for row in rows],
            "reason": [row.reason or "" for row in rows],
            **_origin(source, source.actions, [row.partition for row in rows], [row.offset for row in rows]),
        }
    )


def action_status(rows: Sequence[SettledAction], source: Source) -> pa.Table:
    """Rows of table `action_status`."""
    return pa.table(
        {
            "prediction_id": [row.prediction_id for row in rows],
            "action_id": [row.action_id for row in rows],
            "model": [row.model for row in rows],
            "class": [row.action_class for row in rows],
            "reason": [row.reason or "" for row in rows],
            "rank": pa.array([1 if row.action_class is ActionClass.ORPHAN else 2 for row in rows], pa.uint8()),
            "_ingested_at": _constant(source.ingested_ms, len(rows), _MILLIS),
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
            "model": [entry.common.rules.model for entry in entries],
            "outcome": [row.outcome for row in rows],
            "prediction_id": [row.prediction_id for row in rows],
            "status": [row.status for row in rows],
            "label": pa.array([row.label for row in rows], pa.string()),
            "label_value": pa.array([row.label_value for row in rows], pa.float64()),
            "action_id": pa.array([row.action_id for row in rows], pa.string()),
            "n_actions": pa.array([row.n_actions for row in rows], pa.uint32()),
            "prediction": _texts(values),
            "prediction_value": _numbers(values),
            "score": pa.array([entry.score for entry in entries], pa.float64()),
            "version": [entry.common.version for entry in entries],
            "segments": _map([entry.common.segments for entry in entries], _TEXT_MAP),
            "variants": _map([entry.common.variants for entry in entries], _TEXT_MAP),
            "prediction_ts": prediction_us.cast(_MICROS),
            "action_ts": action_us.cast(_MICROS),
            "delay_ms": pa.array(
                [None if row.action_ts_us is None else (row.action_ts_us - row.entry.ts_us) / 1000 for row in rows],
                pa.float64(),
            ),
            "revision": pa.array([row.revision for row in rows], pa.uint32()),
            "_topic": [source.actions.name if row.from_action else source.predictions.name for row in rows],
            "_partition": pa.array([row.partition for row in rows], pa.uint32()),
            "_offset": pa.array([row.offset for row in rows], pa.uint64()),
            "_ingested_at": _constant(source.ingested_ms, len(rows), _MILLIS),
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
            "_ingested_at": _constant(source.ingested_ms, len(rows), _MILLIS),
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
        rows.append((*common, "", 0, "checkpoint", -1, 0, 0))
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
            "max_ts": _micros(max_ts),
            "watermark": _micros(watermarks),
            "live": pa.array(live, pa.bool_()),
            "model": models,
            "bucket": pa.array(buckets, pa.timestamp("s", "UTC")),
            "class": classes,
            "origin_partition": pa.array(origin_partitions, pa.int32()),
            "origin_offset": pa.array(origin_offsets, pa.uint64()),
            "n": pa.array(n, pa.uint64()),
            "worker": _constant(worker, len(rows), pa.string()),
            "_ingested_at": _constant(source.ingested_ms, len(rows), _MILLIS),
        }
    )


def _origin(source: Source, topic: Any, partitions: Sequence[int], offsets: Sequence[int]) -> dict[str, Any]:
    count = len(offsets)
    return {
        "_topic": _constant(topic.name, count, pa.string()),
        "_topic_id": _constant(topic.topic_id, count, pa.string()),
        "_partition": pa.array(partitions, pa.uint32()),
        "_offset": pa.array(offsets, pa.uint64()),
        "_ingested_at": _constant(source.ingested_ms, count, _MILLIS),
    }


def _constant(value: Any, count: int, type_: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, type_), count)


def _micros(instants: Iterable[int | None]) -> pa.Array:
    return pa.array(instants, pa.int64()).cast(_MICROS)


def _since_1970(instant_us: int) -> int:
    return 0 if instant_us == NEVER else max(instant_us, 0)


def _text(value: Scalar) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case _:
            return number_text(value)


def _texts(values: Sequence[Scalar]) -> pa.Array:
    """The text of each value: ``true``, ``12.5``, text as it is, null for none."""
    return pa.array([_text(value) for value in values], pa.string())


def _numbers(values: Sequence[Scalar]) -> pa.Array:
    """The number of each value: booleans are 1 and 0, text has none."""
    return pa.array(
        [None if value is None or isinstance(value, str) else float(value) for value in values], pa.float64()
    )


def _map(rows: Sequence[Mapping[str, Any] | None], type_: pa.MapType) -> pa.Array:
    """A map column from mappings, None meaning empty."""
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    if not any(rows):
        return pa.MapArray.from_arrays(pa.array(offsets), pa.array([], pa.string()), pa.array([], type_.item_type))
    np.cumsum([len(row) if row else 0 for row in rows], out=offsets[1:])
    filled = [row for row in rows if row]
    keys = list(chain.from_iterable(filled))
    items = list(chain.from_iterable([row.values() for row in filled]))
    return pa.MapArray.from_arrays(pa.array(offsets), pa.array(keys, pa.string()), pa.array(items, type_.item_type))


def _features(rows: Sequence[Mapping[str, Any] | None]) -> tuple[pa.Array, pa.Array]:
    """Features as a numeric map (numbers and nulls) and a categorical one (text and booleans)."""
    filled = [row for row in rows if row]
    keys = list(chain.from_iterable(filled))
    values = list(chain.from_iterable([row.values() for row in filled]))
    row_ends = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) if row else 0 for row in rows], out=row_ends[1:])
    categorical = np.fromiter(map(_KIND.__getitem__, map(type, values)), dtype=bool, count=len(values))
    before = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(categorical, out=before[1:])
    cat_offsets = before[row_ends].astype(np.int32)
    num_offsets = (row_ends - before[row_ends]).astype(np.int32)
    numeric = ~categorical
    texts = [_text(value) for value in compress(values, categorical)]
    return (
        pa.MapArray.from_arrays(
            pa.array(num_offsets),
            pa.array(list(compress(keys, numeric)), pa.string()),
            pa.array(list(compress(values, numeric)), pa.float64()),
        ),
        pa.MapArray.from_arrays(
            pa.array(cat_offsets),
            pa.array(list(compress(keys, categorical)), pa.string()),
            pa.array(texts, pa.string()),
        ),
    )
