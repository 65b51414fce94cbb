"""What a partition starts from, as ClickHouse knows it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from .former_lives import Unfinished
from .join.state import Acted
from .join.watermark import NEVER


class StoredAction(NamedTuple):
    """Class of an action whose row was stored by a flush that did not end."""

    action_class: str
    reason: str


class TopicPosition(Struct):
    """What ClickHouse knows of one input topic of the partition.

    Offsets are those of the current life of the topic. `next_offset` is None where nothing was ever stored.
    """

    topic: str
    topic_id: str
    next_offset: int | None = None
    rows_until: int = -1
    """Rows of events are stored up to this offset: beyond `next_offset` by a flush that did not end."""
    refused_until: int = -1
    """Dead letters are stored up to this offset."""
    max_ts_us: int = NEVER
    live: bool = False
    origins: dict[int, int] = {}


class Recovered(Struct):
    """All that a partition starts from. A partition never seen before starts from positions alone."""

    predictions: TopicPosition
    actions: TopicPosition
    watermark_us: int = NEVER
    unfinished_actions: dict[int, StoredAction] = {}
    """By offset: actions beyond the position whose rows are stored already."""
    known_ids: Iterable[Sequence[str]] = ()
    """In portions, read as they are taken: there may be more than fit into memory."""
    held: dict[str, list[Acted]] = {}
    pending_minutes: Sequence[tuple[str, int]] = ()
    """Model and minute (µs) of stored predictions that may wait for an outcome."""
    unpublished: Sequence[tuple[str, str, int]] = ()
    """Prediction id, outcome and revision of rows that no event caused and that may not have been published."""
    unfinished: Sequence[Unfinished] = ()
    """What former lives of the topics left behind."""
