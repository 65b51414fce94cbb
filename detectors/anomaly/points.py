"""A point of a series, and of several at a time."""

from collections.abc import Mapping

from msgspec import Struct


class Point(Struct, frozen=True):
    """What a series was at a time, in microseconds since 1970, UTC. Steps may be uneven, and some may be missing."""

    ts_us: int
    value: float
    n: int | None = None
    """How many observations the value was made of, where that is known."""


class Step(Struct, frozen=True):
    """What several series were at a time, by name; those that were nothing are left out."""

    ts_us: int
    values: Mapping[str, float]
