"""A point of a series."""

from msgspec import Struct


class Point(Struct, frozen=True):
    """What a series was at a time, in microseconds since 1970, UTC. Steps may be uneven, and some may be missing."""

    ts_us: int
    value: float
    n: int | None = None
    """How many observations the value was made of, where that is known."""
