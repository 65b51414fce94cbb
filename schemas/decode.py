"""Bytes to events, a batch at a time, without raising.

The good path is msgspec's decoder driven by ``list.extend(map(…))``: no Python bytecode per record. `list.extend` keeps
what it took before an exception, so a bad record costs one exception and the batch goes on behind it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

import msgspec

from .errors import InvalidEvent, RejectReason
from .events import MAX_NAME_LENGTH, Action, Prediction

DEFAULT_MAX_EVENT_BYTES = 1 << 20
MAX_DETAIL_LENGTH = 300
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
# Confluent's schema-registry framing: a zero byte, then the schema's id in four.
_MAGIC = 0
_FRAME_BYTES = 5

# Fields whose keys are names that services choose.
_MAPS: dict[type, tuple[str, ...]] = {
    Prediction: ("features", "segments", "variants", "scores", "attributes"),
    Action: ("attributes",),
}

E = TypeVar("E", Prediction, Action)


class Rejected(msgspec.Struct, frozen=True, order=True):
    """One record of a batch that is no event: its position there, why, and where in it (never with its values)."""

    index: int
    reason: RejectReason
    detail: str


class DecodedBatch(NamedTuple, Generic[E]):
    """One entry of `events` for each value, in order, None where `rejected` says why. `rejected` is sorted by index."""

    events: list[E | None]
    rejected: list[Rejected]


class EventDecoder(Generic[E]):
    """Decodes one type of event; keep one and use it for every batch (its construction compiles the type).

    >>> batch = EventDecoder(Action).decode_batch([b'{"action_id": ""}'])
    >>> batch.events, batch.rejected[0].detail
    ([None], 'Expected `str` of length >= 1 - at `$.action_id`')
    """

    def __init__(self, event_type: type[E], *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.event_type = event_type
        self.max_event_bytes = max_event_bytes
        self._decode = msgspec.json.Decoder(event_type).decode

    def decode(self, value: bytes | None) -> E:
        """Decode one value.

        Raises:
            InvalidEvent: with the reason, for anything that is no event.
        """
        batch = self.decode_batch((value,))
        event = batch.events[0]
        if event is None:
            raise InvalidEvent(batch.rejected[0].reason, batch.rejected[0].detail)
        return event

    def decode_batch(self, values: Sequence[bytes | None]) -> DecodedBatch[E]:
        """Decode every value. Never raises for what a value holds, and doesn't block."""
        events: list[E | None] = []
        rejected: list[Rejected] = []
        source: Iterator[bytes | None] = iter(self._without_too_large(values))
        unframing = False
        while True:
            try:
                events.extend(map(self._decode, source))  # pyright: ignore[reportArgumentType]
                break
            except Exception as exc:
                value = values[len(events)]
                if not unframing and _is_framed(value):
                    # Framed records come in streams: unframe the rest on the way, without an exception for each.
                    source, unframing = map(_unframed, source), True
                event, why = self._second_chance(value, exc)
                if why is not None:
                    rejected.append(Rejected(len(events), *why))
                events.append(event)
        if events:
            _reject_odd_times(events, rejected)
            _reject_odd_names(events, _MAPS[self.event_type], rejected)
        return DecodedBatch(events, rejected)

    def _without_too_large(self, values: Sequence[bytes | None]) -> Sequence[bytes | None]:
        try:
            if max(map(len, values), default=0) <= self.max_event_bytes:  # pyright: ignore[reportArgumentType]
                return values
        except TypeError:  # a null value among them
            pass
        return [None if value is None or len(value) > self.max_event_bytes else value for value in values]

    def _second_chance(self, value: bytes | None, exc: Exception) -> tuple[E | None, tuple[RejectReason, str] | None]:
        """What stopped the fast path may still be an event: framed, or with null for a text left out."""
        if not value:
            return None, (RejectReason.EMPTY, "the record has no value")
        if len(value) > self.max_event_bytes:
            detail = f"{len(value):,} bytes, at most {self.max_event_bytes:,} are taken (max_event_bytes)"
            return None, (RejectReason.TOO_LARGE, detail)
        try:
            if _is_framed(value):
                body = value[_FRAME_BYTES:]
                if body[:64].lstrip()[:1] != b"{":
                    return None, (RejectReason.FRAMING, _framing_detail(value))
                try:
                    return self._decode(body), None
                except msgspec.ValidationError as framed_exc:
                    exc, value = framed_exc, body
            if isinstance(exc, msgspec.ValidationError) and "got `null`" in str(exc):
                return self._decode(_without_nulls(value)), None
        except Exception as later:
            exc = later
        return None, _reason_for(exc)


def prediction_decoder(max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> EventDecoder[Prediction]:
    """A decoder of predictions."""
    return EventDecoder(Prediction, max_event_bytes=max_event_bytes)


def action_decoder(max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> EventDecoder[Action]:
    """A decoder of actions."""
    return EventDecoder(Action, max_event_bytes=max_event_bytes)


def _is_framed(value: bytes | None) -> bool:
    return bool(value) and value[0] == _MAGIC


def _unframed(value: bytes | None) -> bytes | None:
    # An odd frame goes through whole, and is refused with its reason.
    if value and value[0] == _MAGIC and value[_FRAME_BYTES : _FRAME_BYTES + 1] == b"{":
        return value[_FRAME_BYTES:]
    return value


def _framing_detail(value: bytes) -> str:
    if len(value) <= _FRAME_BYTES:
        return f"starts with a zero byte, but has {len(value)} bytes: a frame is a zero byte, 4 bytes of id, and JSON"
    schema_id = int.from_bytes(value[1:_FRAME_BYTES], "big")
    return f"framed with schema id {schema_id}, but no JSON object follows: Avro and Protobuf are not read"


def _without_nulls(value: bytes) -> bytes:
    """The event with null fields left out: serializers of many languages write null for an absent text."""
    document = msgspec.json.decode(value)
    if not isinstance(document, dict):
        return value
    kept = {name: field for name, field in document.items() if field is not None}
    generation = kept.get("generation")
    if isinstance(generation, dict):
        kept["generation"] = {name: field for name, field in generation.items() if field is not None}
    return msgspec.json.encode(kept)


def _reason_for(exc: Exception) -> tuple[RejectReason, str]:
    # msgspec names types and paths, with `[...]` for keys of a map: no values of the event.
    detail = str(exc)[:MAX_DETAIL_LENGTH]
    match exc:
        case msgspec.ValidationError():
            return RejectReason.SCHEMA, detail
        case UnicodeDecodeError():
            return RejectReason.NOT_UTF8, "text that is not UTF-8"
        case RecursionError():
            return RejectReason.TOO_DEEP, "nested too deep to be parsed"
        case msgspec.DecodeError():
            return RejectReason.NOT_JSON, detail
        case _:
            return RejectReason.NOT_JSON, f"cannot be parsed ({type(exc).__name__})"


def _reject_odd_times(events: list[E | None], rejected: list[Rejected]) -> None:
    times = [event.ts for event in events if event is not None]
    if not times or (min(times) >= EARLIEST and max(times) < LATEST):
        return
    for index, event in enumerate(events):
        if event is None or EARLIEST <= event.ts < LATEST:
            continue
        events[index] = None
        side = "before 1971" if event.ts < EARLIEST else "after 2199"
        rejected.append(Rejected(index, RejectReason.TIMESTAMP_RANGE, f"Expected `ts` in 1971–2199, got one {side}"))
    rejected.sort()


def _reject_odd_names(events: list[E | None], fields: tuple[str, ...], rejected: list[Rejected]) -> None:
    # The names of a batch are few and mostly the same objects: one union in C, then a look at each distinct one.
    present = [event for event in events if event is not None] if rejected else events
    for field in fields:
        names = set[str]().union(*filter(None, map(attrgetter(field), present)))
        if all(0 < len(name) <= MAX_NAME_LENGTH for name in names):
            continue
        for index, event in enumerate(events):
            if event is None or all(0 < len(name) <= MAX_NAME_LENGTH for name in getattr(event, field) or ()):
                continue
            events[index] = None
            detail = f"Expected names of 1 to {MAX_NAME_LENGTH} characters - at `key` in `$.{field}`"
            rejected.append(Rejected(index, RejectReason.SCHEMA, detail))
        present = [event for event in events if event is not None]
    rejected.sort()
