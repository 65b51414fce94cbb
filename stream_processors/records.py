"""A fetched batch of one input topic, decoded and sorted out: what is ours, what to forward, what is no event."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar, cast

from msgspec import Struct

from ..schemas.decode import EventDecoder, Rejected
from ..schemas.events import Action, Prediction
from ..schemas.headers import FORWARDED, REPLAY, WATERMARK, Origin, decode_origin, decode_watermark
from ..schemas.partitioner import partitions_of

E = TypeVar("E", Prediction, Action)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Misrouted(NamedTuple):
    """A raw record whose id belongs to another partition, to be forwarded there."""

    record: Any
    partition: int
    key: str


class SortedOut(Struct, Generic[E]):
    """A batch after decoding. Every record is in exactly one of the lists, or is a control or a repeated record."""

    offsets: list[int]
    """Of the events that belong here; `ts_us` is their event time in µs."""
    ts_us: list[int]
    events: list[E]
    ids: list[str]
    rejected: list[tuple[Any, Rejected]] = []
    misrouted: list[Misrouted] = []
    repeated: int = 0
    """Forwarded a second time after a crash: seen before, and counted nowhere."""
    control: int = 0
    closed_us: int | None = None
    """Explicit watermark of a control record, µs."""
    replayed: bool = False


class Origins:
    """Up to where each other partition has forwarded to this one: a crash may make it forward a stretch twice."""

    def __init__(self, last: dict[int, int] | None = None) -> None:
        self.last: dict[int, int] = dict(last or {})
        self.moved: dict[int, int] = {}

    def is_new(self, origin: Origin) -> bool:
        """Whether the record was not forwarded before. Records of one origin come in order."""
        if origin.offset <= self.last.get(origin.partition, -1):
            return False
        self.last[origin.partition] = self.moved[origin.partition] = origin.offset
        return True


def sort_out(
    decoder: EventDecoder[E], records: Sequence[Any], partition: int, partitions: int, origins: Origins, topic_id: str
) -> SortedOut[E]:
    """Decode the records of `partition` and sort them out. Never raises for what a record holds."""
    batch: SortedOut[E] = SortedOut([], [], [], [])
    if any(record.headers for record in records):
        records = _without_control(batch, records, origins, topic_id)
    decoded = decoder.decode_batch([record.value for record in records])
    events = cast("list[E]", decoded.events)
    if decoded.rejected:
        batch.rejected = [(records[rejected.index], rejected) for rejected in decoded.rejected]
        kept = [index for index, event in enumerate(events) if event is not None]
        records, events = [records[index] for index in kept], [events[index] for index in kept]
    ids = [event.prediction_id for event in events]
    homes = partitions_of(ids, partitions)
    if (homes != partition).any():
        for record, home, prediction_id in zip(records, homes.tolist(), ids, strict=True):
            if home != partition:
                batch.misrouted.append(Misrouted(record, home, prediction_id))
        kept = (homes == partition).nonzero()[0].tolist()
        records, events = [records[index] for index in kept], [events[index] for index in kept]
        ids = [ids[index] for index in kept]
    batch.offsets = [record.offset for record in records]
    batch.ts_us = [micros_of(event.ts) for event in events]
    batch.events, batch.ids = events, ids
    return batch


def micros_of(instant: datetime) -> int:
    """µs since 1970, exactly.

    >>> micros_of(datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    7258118399999999
    """
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(us: int) -> datetime:
    """The instant so many µs after 1970.

    >>> micros_of(from_micros(7258118399999999))
    7258118399999999
    """
    return _EPOCH + us * _MICROSECOND


def _without_control(batch: SortedOut[E], records: Sequence[Any], origins: Origins, topic_id: str) -> list[Any]:
    kept: list[Any] = []
    for record in records:
        headers = dict(record.headers)
        if WATERMARK in headers and not record.value:
            batch.control += 1
            instant = decode_watermark(headers[WATERMARK])
            if instant is not None:
                batch.closed_us = max(micros_of(instant), batch.closed_us or 0)
            continue
        if REPLAY in headers:
            batch.replayed = True
        origin = decode_origin(headers.get(FORWARDED), topic_id) if FORWARDED in headers else None
        if origin is not None and not origins.is_new(origin):
            batch.repeated += 1
        else:
            kept.append(record)
    return kept
