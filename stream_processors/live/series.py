"""Series of windows that table `metrics` holds, and a fingerprint of how they are evaluated."""

import hashlib
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from ...schemas.kpis import Kpi
from ...schemas.outcomes import Kind, ModelConfig, Outcome
from ...schemas.windows import TimeOf, Window

# What is computed of the same rows: grows when that changes, so that everything is evaluated again.
_METHOD = 1


KPIS = ""
"""Stands for the outcome of a model's business indicators: they belong to none."""


class Series(Struct, frozen=True, order=True):
    """Windows of one length and step, of one outcome of a model or of its `KPIS`, by one of the two times."""

    model: str
    outcome: str
    window: Window
    time_of: TimeOf


class Due(Struct, frozen=True, order=True):
    """One window of a series, by the second at which it starts."""

    series: Series
    start: int

    @property
    def end(self) -> int:
        """The second at which it ends."""
        return self.start + self.series.window.size_s


def series_of(model: ModelConfig) -> Iterator[Series]:
    """All series of a model."""
    for outcome in (*(each.name for each in model.outcomes), *([KPIS] if model.kpis else [])):
        for window in model.windows:
            for time_of in TimeOf:
                yield Series(model.name, outcome, window, time_of)


def starts_of(window: Window, bucket: int, bucket_s: int) -> range:
    """Starts of the windows that hold anything of the stretch of `bucket_s` seconds from `bucket` on.

    Steps are whole multiples of `bucket_s`, or whole parts of it.

    >>> hours = Window.parse("3h/1h")
    >>> [start // 3600 for start in starts_of(hours, 36_000, 3600)]
    [8, 9, 10]
    """
    step = window.step_s
    last = (bucket + bucket_s - 1) // step * step
    first = (bucket - window.size_s) // step * step + step
    return range(first, last + 1, step)


def definition_of(model: ModelConfig, what: Outcome | tuple[Kpi, ...], kind: Kind | None = None) -> int:
    """A fingerprint of what the metrics of an outcome, or the indicators are, but for the rows they are made of."""
    parts = (_METHOD, msgspec.to_builtins(what), kind, model.segments, [str(window) for window in model.windows])
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(parts)).digest()[:8])
