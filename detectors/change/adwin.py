"""ADWIN: a window that drops its older part when the means of its two parts differ (Bifet and Gavaldà, SDM 2007)."""

import struct
from typing import Any

from msgspec import Struct
from river import drift

from ..interface import Finding
from .numbers import NumberDetector, require, strength

_HEAD = struct.Struct("<diQdd dddd iiii Q")
_ROW = struct.Struct("<QQ")
_LENGTH = struct.Struct("<Q")
_TAIL = struct.Struct("<diQii")
_CHANGED = ("total", "variance", "width", "total_width", "n_buckets", "max_n_buckets", "tick", "n_detections")


class Buckets(Struct):
    """One level of the exponential histogram: sums and squared deviations of its buckets, the oldest first."""

    totals: list[float]
    variances: list[float]


class Memory(Struct):
    """The window as River's ADWIN holds it, and the sum and number of values since it began."""

    total: float
    variance: float
    width: float
    total_width: float
    n_buckets: int
    max_n_buckets: int
    tick: int
    n_detections: int
    levels: list[Buckets]
    sum: float
    count: int
    drifted: bool


class Adwin(NumberDetector):
    """River's ADWIN. For errors and for losses between about 0 and 1, which its bound assumes.

    Rises and falls of the mean are both found. As in River, it begins anew behind each finding. `since` is where the
    window begins that is left: with values in it that are no numbers, it is that much too late.

    Parameters: `delta`, the chance of a false cut at each test; `clock`, values between tests; `max_buckets` of each
    size; `min_window_length` of both parts; `grace_period`, values before the first test.

    >>> adwin = Adwin()
    >>> [finding.at for finding in adwin.update([0.0] * 500 + [1.0] * 100)]
    [511]
    """

    name = "adwin"
    Memory = Memory

    def __init__(
        self,
        *,
        delta: float = 0.002,
        clock: int = 32,
        max_buckets: int = 5,
        min_window_length: int = 5,
        grace_period: int = 10,
    ) -> None:
        require("delta", 0 < delta < 1, "between 0 and 1")
        require("clock", clock >= 1, "at least 1")
        require("max_buckets", 2 <= max_buckets <= 100, "from 2 to 100")
        require("min_window_length", min_window_length >= 1, "at least 1")
        require("grace_period", grace_period >= 0, "at least 0")
        super().__init__(
            delta=delta,
            clock=clock,
            max_buckets=max_buckets,
            min_window_length=min_window_length,
            grace_period=grace_period,
        )
        self._river = drift.ADWIN(**self.parameters)
        self._sum, self._count = 0.0, 0

    def _take_number(self, value: float) -> Finding | None:
        if self._river.drift_detected:
            self._sum, self._count = 0.0, 0
        self._sum += value
        self._count += 1
        self._river.update(value)
        self.score = 0.0
        if not self._river.drift_detected:
            return None
        width, total = int(self._river.width), self._river.total
        dropped = self._count - width
        expected, seen = (self._sum - total) / dropped, total / width
        # How far beyond its bound the difference was is known to River alone.
        self.score = strength(1, 1)
        return Finding(self.n, max(0, self.n - width + 1), self.score, expected, seen)

    def _memory(self) -> Memory:
        fields, levels = _unpacked(self._river._helper.__getstate__())
        return Memory(**fields, levels=levels, sum=self._sum, count=self._count, drifted=self._river.drift_detected)

    def _remember(self, memory: Memory) -> None:
        capacity = self.parameters["max_buckets"] + 1
        sizes = [len(level.totals) for level in memory.levels]
        require("levels", 1 <= len(sizes) <= 62, "from 1 to 62")
        require(
            "a level", all(size < capacity for size in sizes) and (sizes[-1] > 0 or len(sizes) == 1), "of few buckets"
        )
        require("a level", all(len(level.variances) == len(level.totals) for level in memory.levels), "complete")
        require("width", memory.width == sum(size << at for at, size in enumerate(sizes)), "that of the buckets")
        require("n_buckets", memory.n_buckets >= 0 and memory.tick >= 0, "at least 0")
        require("count", memory.count >= memory.width, "at least the width")
        self._river._helper.__setstate__(_packed(memory, self.parameters))
        self._river._drift_detected = memory.drifted
        self._sum, self._count = memory.sum, memory.count


def _unpacked(state: bytes) -> tuple[dict[str, Any], list[Buckets]]:
    """Fields and levels from the bytes that River's ADWIN gives of itself."""
    *_, total, variance, width, total_width, n, most, tick, detections, n_levels = _HEAD.unpack_from(state)
    fields: dict[str, Any] = dict(
        zip(_CHANGED, (total, variance, width, total_width, n, most, tick, detections), strict=True)
    )
    at, levels = _HEAD.size, []
    for _ in range(n_levels):
        _, used = _ROW.unpack_from(state, at)
        at += _ROW.size
        columns = []
        for _ in range(2):
            (capacity,) = _LENGTH.unpack_from(state, at)
            at += _LENGTH.size
            columns.append(list(struct.unpack_from(f"<{capacity}d", state, at)[:used]))
            at += 8 * capacity
        levels.append(Buckets(*columns))
    return fields, levels


def _packed(memory: Memory, parameters: dict[str, Any]) -> bytes:
    """The same bytes again."""
    delta, clock, buckets, least, grace = parameters.values()
    changed = [getattr(memory, name) for name in _CHANGED]
    parts = [_HEAD.pack(delta, clock, buckets, least, grace, *changed, len(memory.levels))]
    capacity = buckets + 1
    for level in memory.levels:
        parts.append(_ROW.pack(buckets, len(level.totals)))
        for column in (level.totals, level.variances):
            padded = [*column, *[0.0] * (capacity - len(column))]
            parts += [_LENGTH.pack(capacity), struct.pack(f"<{capacity}d", *padded)]
    return b"".join([*parts, _TAIL.pack(delta, clock, buckets, least, grace)])
