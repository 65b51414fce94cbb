"""Join output as Arrow columns, one function a table. Everything is built from flat lists: a Python dict a row costs ten times more."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ...schemas.dead_letters import DeadLetter
from ...schemas.events import Scalar
from ...schemas.labels import number_text
from ..join.output import HOUR_US, AcceptedPrediction, ClassifiedAction, Count, OutcomeRow, SettledAction
from ..join.watermark import NEVER
from ..output import Checkpoint, Refused
from .source import Source

_MICROS = pa.timestamp("us", "UTC")
_MILLIS = pa.timestamp("ms", "UTC")
_TEXT_MAP = pa.map_(pa.string(), pa.string())
_NUMBER_MAP = pa.map_(pa.string(), pa.float64())
_KIND = {float: 0, int: 0, type(None): 0, str: 1, bool: 1}

_encode = msgspec.json.Encoder().encode


def predictions(rows: Sequence[AcceptedPrediction], source: Source) -> pa.Table:
    """Rows of table `predictions`."""
    events, ts_us, partitions, offsets = zip(*rows, strict=True)
    values = [event.prediction for event in events]
    numeric, categorical = _features([event.features for event in events])
    return pa.table(
        {
            "prediction_id": [event.prediction_id for event in events],
            "model": [event.model for event in events],
            "version": [event.version for event in events],
            "ts": _micros(ts_us),
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
            **_origin(source, source.predictions, partitions, offsets),
        }
    )


def actions(rows: Sequence[ClassifiedAction], source: Source) -> pa.Table:
    """Rows of table `actions`."""
    events, ts_us, models, classes, reasons, partitions, offsets = zip(*rows, strict=True)
    values = [event.value for event in events]
    return pa.table(
        {
            "prediction_id": [event.prediction_id for event in events],
            "action_id": [event.action_id for event in events],
            "name": [event.name for event in events],
            "ts": _micros(ts_us),
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
            "model": models,
            "class": classes,
            "reason": [reason or "" for reason in reasons],
            **_origin(source, source.actions, partitions, offsets),
        }
    )


def action_status(rows: Sequence[SettledAction], source: Source) -> pa.Table:
    """Rows of table `action_status`."""
    _, prediction_ids, action_ids, models, classes, reasons = zip(*rows, strict=True)
    return pa.table(
        {
            "prediction_id": prediction_ids,
            "action_id": action_ids,
            "model": models,
            "class": classes,
            "reason": [reason or "" for reason in reasons],
            "rank": pa.array([1 if each == "orphan" else 2 for each in classes], pa.uint8()),
            "_ingested_at": _constant(source.ingested_ms, len(rows), _MILLIS),
        }
    )


def feedback(rows: Sequence[OutcomeRow], source: Source) -> pa.Table:
    """Rows of table `feedback`."""
    (
        prediction_ids, entries, outcomes, statuses, labels, label_values, action_ids, action_ts, n_actions, revisions,
        partitions, from_action, offsets,
    ) = zip(*rows, strict=True)  # fmt: skip
    values = [entry.prediction for entry in entries]
    return pa.table(
        {
            "model": [entry.rules.model for entry in entries],
            "outcome": outcomes,
            "prediction_id": prediction_ids,
            "status": statuses,
            "label": pa.array(labels, pa.string()),
            "label_value": pa.array(label_values, pa.float64()),
            "action_id": pa.array(action_ids, pa.string()),
            "n_actions": pa.array(n_actions, pa.uint32()),
            "prediction": _texts(values),
            "prediction_value": _numbers(values),
            "score": pa.array([entry.score for entry in entries], pa.float64()),
            "version": [entry.version for entry in entries],
            "segments": _map([entry.segments for entry in entries], _TEXT_MAP),
            "variants": _map([entry.variants for entry in entries], _TEXT_MAP),
            "prediction_ts": _micros([entry.ts_us for entry in entries]),
            "action_ts": _micros(action_ts),
            "delay_ms": pa.array(
                [
                    None if ts is None else (ts - entry.ts_us) / 1000
                    for ts, entry in zip(action_ts, entries, strict=True)
                ],
                pa.float64(),
            ),
            "revision": pa.array(revisions, pa.uint32()),
            "_topic": [source.actions.name if each else source.predictions.name for each in from_action],
            "_partition": pa.array(partitions, pa.uint32()),
            "_offset": pa.array(offsets, pa.uint64()),
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
        rows += [
            (*common, count.model, count.hour * (HOUR_US // 1_000_000), str(count.event_class), -1, 0, n)
            for count, n in counts.items()
            if count.partition == mark.partition and count.of_actions == mark.of_actions
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
