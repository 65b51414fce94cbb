"""Names and values of the Kafka record headers that Loopwatch reads and writes."""

from datetime import UTC, datetime
from typing import NamedTuple

FORWARDED = "loopwatch-forwarded"
"""On an event that a worker moved to the partition of its id: where it was, ``<topic id>:<partition>:<offset>``."""

WATERMARK = "loopwatch-watermark"
"""On a record with an empty value: everything up to this instant (RFC 3339) has been sent on this partition."""

REPLAY = "loopwatch-replay"
"""``1`` on records of a history being replayed: its watermark does not follow the wall clock."""

REPLAY_VALUE = b"1"


class Origin(NamedTuple):
    """Where a forwarded event was first read."""

    partition: int
    offset: int


def encode_origin(topic_id: str, partition: int, offset: int) -> bytes:
    """The value of `FORWARDED`. `topic_id` names the present life of the topic.

    >>> encode_origin("AaH8", 3, 1045)
    b'AaH8:3:1045'
    """
    return f"{topic_id}:{partition}:{offset}".encode()


def decode_origin(value: bytes | None, topic_id: str) -> Origin | None:
    """What `FORWARDED` says; None for what `encode_origin` doesn't write, or of another topic (a mirrored record).

    >>> decode_origin(b"AaH8:3:1045", "AaH8")
    Origin(partition=3, offset=1045)
    >>> decode_origin(b"AaH8:3:-1", "AaH8"), decode_origin(b"AaH8:3:1", "Bx"), decode_origin(None, "AaH8")
    (None, None, None)
    """
    life, _, place = (value or b"")[:200].rpartition(b":")[0].rpartition(b":")
    offset = (value or b"")[:200].rpartition(b":")[2]
    # bytes.isdigit knows ASCII digits only, unlike str.isdigit.
    if life != topic_id.encode() or not (place.isdigit() and offset.isdigit()):
        return None
    return Origin(int(place), int(offset))


def encode_watermark(instant: datetime) -> bytes:
    """The value of `WATERMARK`. `instant` is aware; it is written in UTC, to the microsecond.

    >>> encode_watermark(datetime(2024, 7, 15, 12, tzinfo=UTC))
    b'2024-07-15T12:00:00+00:00'
    """
    if instant.tzinfo is None:
        raise ValueError(f"a watermark needs a time zone: {instant.isoformat()}")
    return instant.astimezone(UTC).isoformat().encode()


def decode_watermark(value: bytes | None) -> datetime | None:
    """What `WATERMARK` says, in UTC; None for what is no instant with an offset.

    >>> decode_watermark(b"2024-07-15T14:00:00+02:00")
    datetime.datetime(2024, 7, 15, 12, 0, tzinfo=datetime.timezone.utc)
    >>> decode_watermark(b"noon") is None
    True
    """
    try:
        instant = datetime.fromisoformat((value or b"")[:64].decode())
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
