"""Join output as Arrow columns, one function a table, built from flat lists: a dict a row costs ten times more.

Names that repeat (keys of maps, topics, models) travel as codes into a dictionary, as ClickHouse's LowCardinality holds
them: a third fewer bytes, and a quarter less work for the server.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import methodcaller
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...schemas.dead_letters import DeadLetter
from ...schemas.events import FeatureValue, Scalar
from ...schemas.labels import number_text
from ...schemas.ledger import ActionClass
from ..join.output import HOUR_US, ActionRow, Count, OutcomeRow, PredictionRows, SettledAction
from ..join.watermark import NEVER
from ..output import Checkpoint, Refused
from .source import Source

_MICROS = pa.timestamp("us", "UTC")
_MILLIS = pa.timestamp("ms", "UTC")
_HOUR_S = HOUR_US // 1_000_000
_IS_TEXT = {float: False, int: False, type(None): False, str: True, bool: True}
_BOOLEAN = {True: "true", False: "false"}

_values_of = methodcaller("values")
_Integers = npt.NDArray[np.int64]

_encode = msgspec.json.Encoder().encode


def predictions(rows: PredictionRows, source: Source) -> pa.Table:
    """Rows of table `predictions`."""
    events = rows.events
    values = [event.prediction for event in events]
    numeric, categorical = _features([event.features for event in events])
    return pa.table(
        {
            "prediction_id": [event.prediction_id for event in events],
            "model": _names([event.model for event in events]),
            "version": _names([event.version for event in events]),
            "ts": _micros(rows.ts_us),
            "entity_id": [event.entity_id for event in events],
            "prediction": _texts(values),
            "prediction_value": _numbers(values),
            "score": pa.array([event.score for event in events], pa.float64()),
            "scores": _map([event.scores for event in events], pa.float64()),
            "features_num": numeric,
            "features_cat": categorical,
            "segments": _map([event.segments for event in events], pa.string()),
            "variants": _map([event.variants for event in events], pa.string()),
            "latency_ms": pa.array([event.latency_ms for event in events], pa.float64()),
            "cost_usd": pa.array([event.cost_usd for event in events], pa.float64()),
            "generation": ["" if event.generation is None else _encode(event.generation) for event in events],
            "trace_id": [event.trace_id for event in events],
            "attributes": _attributes([event.attributes for event in events]),
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
            "name": _names([event.name for event in events]),
            "ts": _micros([row.ts_us for row in rows]),
            "value": _texts(values),
            "value_num": _numbers(values),
            "actor": _names([event.actor for event in events]),
            "attributes": _attributes([event.attributes for event in events]),
            "model": _names([row.model for row in rows]),
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
            "model": _names([row.model for row in rows]),
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
            "model": _names([entry.common.rules.model for entry in entries]),
            "outcome": _names([row.outcome for row in rows]),
            "prediction_id": [row.prediction_id for row in rows],
            "status": [row.status for row in rows],
            "label": pa.array([row.label for row in rows], pa.string()),
            "label_value": pa.array([row.label_value for row in rows], pa.float64()),
            "action_id": pa.array([row.action_id for row in rows], pa.string()),
            "n_actions": pa.array([row.n_actions for row in rows], pa.uint32()),
            "prediction": _texts(values),
            "prediction_value": _numbers(values),
            "score": pa.array([entry.score for entry in entries], pa.float64()),
            "version": _names([entry.common.version for entry in entries]),
            "segments": _map([entry.common.segments for entry in entries], pa.string()),
            "variants": _map([entry.common.variants for entry in entries], pa.string()),
            "prediction_ts": prediction_us.cast(_MICROS),
            "action_ts": action_us.cast(_MICROS),
            "delay_ms": pa.array(
                [None if row.action_ts_us is None else (row.action_ts_us - row.entry.ts_us) / 1000 for row in rows],
                pa.float64(),
            ),
            "revision": pa.array([row.revision for row in rows], pa.uint32()),
            "_topic": _names([source.actions.name if row.from_action else source.predictions.name for row in rows]),
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
            "worker": _name(worker, len(rows)),
            "_ingested_at": _constant(source.ingested_ms, len(rows), _MILLIS),
        }
    )


def _origin(source: Source, topic: Any, partitions: Sequence[int], offsets: Sequence[int]) -> dict[str, Any]:
    count = len(offsets)
    return {
        "_topic": _name(topic.name, count),
        "_topic_id": _name(topic.topic_id, count),
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


def _names(names: Sequence[str]) -> pa.Array:
    """A column of few different texts."""
    return pa.array(names, pa.string()).dictionary_encode()


def _name(name: str, count: int) -> pa.Array:
    """A column of one text."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), [name])


def _map(rows: Sequence[Mapping[str, Any] | None], value_type: pa.DataType) -> pa.Array:
    """A map column from mappings, None meaning empty."""
    ends, codes, names, values = _flat(rows)
    return _map_of(ends, codes, names, pa.array(values, value_type))


def _attributes(rows: Sequence[Mapping[str, FeatureValue] | None]) -> pa.Array:
    """Attributes as text, null being empty."""
    return _map([row and {name: _text(value) or "" for name, value in row.items()} for row in rows], pa.string())


def _features(rows: Sequence[Mapping[str, FeatureValue] | None]) -> tuple[pa.Array, pa.Array]:
    """Features as a numeric map (numbers and nulls) and a categorical one (text and booleans)."""
    ends, codes, names, values = _flat(rows)
    textual = np.fromiter(map(_IS_TEXT.__getitem__, map(type, values)), bool, len(values))
    numeric = ~textual
    texts = [value if type(value) is str else _BOOLEAN[value] for value in values[textual].tolist()]
    texts_before = np.concatenate([[0], np.cumsum(textual)])[ends]
    return (
        _map_of(ends - texts_before, codes[numeric], names, pa.array(values[numeric], pa.float64())),
        _map_of(texts_before, codes[textual], names, pa.array(texts, pa.string())),
    )


def _flat(rows: Sequence[Mapping[str, Any] | None]) -> tuple[_Integers, _Integers, pa.Array, npt.NDArray[np.object_]]:
    """Mappings laid end to end: where each ends (after a 0), the code of each key, the keys, the values."""
    ends = np.zeros(len(rows) + 1, np.int64)
    filled = list(filter(None, rows))
    if filled:
        np.cumsum([len(row) if row else 0 for row in rows], out=ends[1:])
    names = _Codes()
    codes = np.fromiter(map(names.__getitem__, chain.from_iterable(filled)), np.int64, ends[-1])
    values = np.fromiter(chain.from_iterable(map(_values_of, filled)), object, ends[-1])
    return ends, codes, pa.array(list(names), pa.string()), values


def _map_of(ends: _Integers, codes: _Integers, names: pa.Array, values: pa.Array) -> pa.Array:
    keys = pa.DictionaryArray.from_arrays(codes.astype(np.int32), names)
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), keys, values)


class _Codes(dict[str, int]):
    """Numbers texts in the order they come."""

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self)
        return code
