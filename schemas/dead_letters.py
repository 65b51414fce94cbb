"""A record that was refused: the value of topic ``loopwatch.dead-letters``."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from .errors import RejectReason
from .events import Instant
from .redaction import redact, redact_key


class DeadLetter(Struct, gc=False):
    """Where the record was, why it was refused, and its shape without its values."""

    topic: Annotated[str, Meta(description="Topic it was read from.")]
    partition: Annotated[int, Meta(ge=0, description="Partition it was read from.")]
    offset: Annotated[int, Meta(ge=0, description="Its offset there: the whole record is still in Kafka.")]
    reason: Annotated[RejectReason, Meta(description="Why it is no valid event.")]
    detail: Annotated[str, Meta(description="Which field, and what was expected; never its value.")]
    key: Annotated[str, Meta(description="The record's key where it looks like an id, else masked.")]
    value: Annotated[str, Meta(description="The record's structure with values masked.")]
    ts: Annotated[Instant, Meta(description="When it was read (wall clock).")]

    @classmethod
    def of(
        cls,
        topic: str,
        partition: int,
        offset: int,
        reason: RejectReason,
        detail: str,
        key: bytes | None,
        value: bytes | None,
        now: datetime,
    ) -> "DeadLetter":
        """The dead letter of a raw record, redacted; `now` is aware."""
        return cls(topic, partition, offset, reason, detail, redact_key(key), redact(value).decode(), now)
