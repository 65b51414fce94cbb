"""Volumes and distributions of predictions over time and slices, from panes: no row is read."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
from msgspec import Struct

from ...detectors.histogram import Bin, Histogram
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.errors import LoopwatchError
from ..records import micros_of
from .slices import OF_VARIANTS, VERSION

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PREDICTIONS = 1
"""The series that counts predictions."""
NULL, TEXT = 1_048_576, 2_097_152
"""The bin of null, and the first one of text."""
OUTPUTS = {2: "score", 3: "prediction", 4: "latency_ms", 5: "cost_usd"}
# Of numbers, as panes_of_predictions has it.
_BIN = "if(x < 0, -1, 1) * toInt32(bitShiftRight(reinterpretAsUInt64(abs(x)), 46))"
_STEP = "bitShiftRight(bitAnd(reinterpretAsUInt64(abs(x)), 70368744177663) + 536870912, 30)"


class Slice(NamedTuple):
    """Which predictions of a model: all, or those whose `key` has the value.

    `key` is ``version``, the name of a segment, or ``variants.`` and that of an experiment.
    """

    key: str = ""
    value: str = ""


ALL = Slice()


class Series(NamedTuple):
    """What is distributed: a feature by its name, or an output (`OUTPUTS`) of the model."""

    name: str
    is_feature: bool = True


class Stretch(Struct, frozen=True):
    """Time from `since` to before `until`, cut into windows of `size` that are aligned to 1970; without, one window.

    All of them are whole minutes. Whole hours are read from panes of hours. Minutes are there for two weeks, of
    predictions that were stored within two days of their event time.
    """

    model: str
    since: datetime
    until: datetime
    size: timedelta | None = None
    slice: Slice = ALL


class Distribution(Struct, frozen=True):
    """Values of one series in a window of `predictions` predictions.

    `categories` have a name of their own, the most frequent first; `other` values are of those beyond the ones asked
    for, or share a bin of 65,536 with another one.
    """

    predictions: int
    numbers: Histogram = Histogram()
    categories: dict[str, int] = {}
    other: int = 0
    null: int = 0

    @property
    def texts(self) -> int:
        """Values that are text, true or false."""
        return sum(self.categories.values()) + self.other

    @property
    def missing(self) -> int:
        """Predictions that have no value: none was sent, or null."""
        return self.predictions - self.numbers.n - self.texts

    @property
    def invalid(self) -> int:
        """Values that are not of the type that most of them have: text among numbers, or numbers among text."""
        return min(self.numbers.n, self.texts)


def volumes(clickhouse: ClickHouse, stretch: Stretch) -> dict[datetime, int]:
    """Predictions of each window that has any, oldest first."""
    rows = _counts(clickhouse, stretch, f"series = {PREDICTIONS}")
    return {_instant(start): int(n) for start, _, _, n, *_ in rows}


def slices(clickhouse: ClickHouse, stretch: Stretch, key: str, top: int = 20) -> tuple[dict[str, int], int]:
    """Predictions of the values of a key (see `Slice`) that have most of them.

    The second number is what the others have, or have no such key.
    """
    rows = clickhouse.rows(
        f"SELECT least, sum(n) AS predictions FROM {clickhouse.database}.panes INNER JOIN "
        f"(SELECT DISTINCT id, least FROM {clickhouse.database}.pane_names "
        f"WHERE model = {quote(stretch.model)} AND kind = 'slice' AND key = {quote(key)}) AS named ON slice = id "
        f"WHERE {_time(stretch)} AND series = {PREDICTIONS} "
        f"GROUP BY least ORDER BY predictions DESC, least LIMIT {int(top)}"
    )
    largest = {value: int(n) for value, n in rows}
    whole = volumes(clickhouse, Stretch(stretch.model, stretch.since, stretch.until, stretch.size))
    return largest, sum(whole.values()) - sum(largest.values())


def distributions(
    clickhouse: ClickHouse, stretch: Stretch, series: Sequence[Series] | None = None, top: int = 50
) -> dict[tuple[datetime, Series], Distribution]:
    """Distributions of the series (without: of all there are) in each window, with their `top` categories."""
    wanted = "1" if series is None else f"series IN ({','.join(map(_series_id, series)) or 'NULL'})"
    names = _feature_names(clickhouse, stretch.model)
    texts = _category_names(clickhouse, stretch.model)
    made = volumes(clickhouse, stretch)
    found: dict[tuple[datetime, Series], _Parts] = {}
    for start, id_, bin_, n, steps, squares in _counts(clickhouse, stretch, f"series != {PREDICTIONS} AND {wanted}"):
        window = _instant(start), names.get(id_, Series(f"feature {id_}"))
        parts = found.setdefault(window, _Parts([], {}))
        if bin_ < NULL:
            parts.bins.append(Bin(bin_, n, steps, squares))
        else:
            text = texts.get((id_, bin_)) if bin_ >= TEXT else None
            parts.counts[bin_] = (text, n)
    return {window: _distribution(made[window[0]], parts, top) for window, parts in found.items()}


def bins_of(clickhouse: ClickHouse, stretch: Stretch) -> pa.Table:
    """All of a stretch as one window: series, bin, n, steps, squares, in order of series and bin; by `PaneNames`."""
    return clickhouse.arrow(
        f"SELECT series, bin, sum(n) AS n, sum(steps) AS steps, sum(squares) AS squares "
        f"FROM {clickhouse.database}.panes WHERE slice = {_slice_id(stretch)} AND {_time(stretch)} "
        "GROUP BY series, bin ORDER BY series, bin"
    )


class PaneNames(NamedTuple):
    """What ids of series, and bins of text, stand for; a bin of several categories for None."""

    series: dict[int, Series]
    categories: dict[tuple[int, int], str | None]

    @classmethod
    def of(cls, clickhouse: ClickHouse, model: str) -> "PaneNames":
        """Those of a model."""
        return cls(_feature_names(clickhouse, model), _category_names(clickhouse, model))


def label_delays(clickhouse: ClickHouse, stretch: Stretch, outcome: str) -> dict[datetime, Histogram]:
    """How long labels took, in milliseconds, for predictions of each window; from `feedback_current`.

    A view over revisions of feedback would count a prediction more than once, so this reads rows.
    """
    conditions = f"model = {quote(stretch.model)} AND outcome = {quote(outcome)} AND delay_ms IS NOT NULL"
    conditions += f" AND {_of_feedback(stretch.slice)} AND {_within(stretch, 'prediction_ts')}"
    window = _window(stretch, "intDiv(toUnixTimestamp64Micro(prediction_ts), 1000000)")
    rows = clickhouse.rows(
        "SELECT window, bin, count(), sum(step), sum(step * step) FROM "
        f"(SELECT {window} AS window, assumeNotNull(delay_ms) AS x, {_BIN} AS bin, {_STEP} AS step "
        f"FROM {clickhouse.database}.feedback_current WHERE {conditions}) GROUP BY window, bin ORDER BY window, bin"
    )
    found: dict[datetime, list[Bin]] = {}
    for window, bin_, n, steps, squares in rows:
        found.setdefault(_instant(window), []).append(Bin(int(bin_), int(n), int(steps), int(squares)))
    return {window: Histogram(tuple(bins)) for window, bins in found.items()}


class _Parts(NamedTuple):
    bins: list[Bin]
    counts: dict[int, tuple[str | None, int]]
    """By bin: the category, where it has a name of its own, and how many."""


def _distribution(predictions: int, parts: _Parts, top: int) -> Distribution:
    null = sum(n for bin_, (_, n) in parts.counts.items() if bin_ == NULL)
    texts = sum(n for bin_, (_, n) in parts.counts.items() if bin_ >= TEXT)
    named = sorted(((-n, text) for text, n in parts.counts.values() if text is not None))[:top]
    categories = {text: -negative for negative, text in named}
    return Distribution(predictions, Histogram(tuple(parts.bins)), categories, texts - sum(categories.values()), null)


def _counts(clickhouse: ClickHouse, stretch: Stretch, condition: str) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Window, series, bin, number, and sums of steps and of their squares; in this order."""
    rows = clickhouse.rows(
        f"SELECT {_window(stretch, 'toUnixTimestamp64Second(start)')} AS window, series, bin, sum(n), sum(steps), "
        f"sum(squares) FROM {clickhouse.database}.panes "
        f"WHERE slice = {_slice_id(stretch)} AND {_time(stretch)} AND {condition} "
        "GROUP BY window, series, bin ORDER BY window, series, bin"
    )
    for row in rows:
        window, series, bin_, n, steps, squares = map(int, row)
        yield window, series, bin_, n, steps, squares


def _time(stretch: Stretch) -> str:
    """Condition on the panes to read: hours where that is possible.

    Raises:
        LoopwatchError: the time does not consist of whole minutes.
    """
    resolution = next((each for each in (HOUR, MINUTE) if _aligned(stretch, each)), None)
    if resolution is None:
        raise LoopwatchError(
            f"panes are whole minutes: {stretch.since} to {stretch.until} by {stretch.size or 'one window'} is not"
        )
    return f"seconds = {int(resolution.total_seconds())} AND {_within(stretch, 'start')}"


def _aligned(stretch: Stretch, resolution: timedelta) -> bool:
    unit = int(resolution.total_seconds()) * 1_000_000
    size = stretch.size if stretch.size is not None else resolution
    instants = (micros_of(stretch.since), micros_of(stretch.until), size // timedelta(microseconds=1))
    return size >= resolution and all(each % unit == 0 for each in instants)


def _within(stretch: Stretch, clock: str) -> str:
    since, until = (f"fromUnixTimestamp64Micro({micros_of(each)}, 'UTC')" for each in (stretch.since, stretch.until))
    return f"{clock} >= {since} AND {clock} < {until}"


def _window(stretch: Stretch, seconds: str) -> str:
    """SQL of the second since 1970 at which the window starts."""
    if stretch.size is None:
        return f"toInt64({micros_of(stretch.since) // 1_000_000})"
    size = int(stretch.size.total_seconds())
    return f"toInt64(floor({seconds} / {size})) * {size}"


def _slice_id(stretch: Stretch) -> str:
    key, value = stretch.slice
    if not key:
        return f"bitOr(cityHash64({quote(stretch.model)}), 1)"
    parts = [quote(stretch.model), *map(quote, _kind_of(key)), quote(value)]
    return f"bitAnd(cityHash64({', '.join(parts)}), 18446744073709551614)"


def _of_feedback(slice_: Slice) -> str:
    match _kind_of(slice_.key):
        case ("segment", name):
            return f"mapContains(segments, {quote(name)}) AND segments[{quote(name)}] = {quote(slice_.value)}"
        case ("variant", name):
            return f"mapContains(variants, {quote(name)}) AND variants[{quote(name)}] = {quote(slice_.value)}"
        case _:
            return "1" if slice_ == ALL else f"version = {quote(slice_.value)}"


def _kind_of(key: str) -> tuple[str, ...]:
    """How the id of a slice begins, behind the model."""
    if key in ("", VERSION):
        return (VERSION,)
    if key.startswith(OF_VARIANTS):
        return "variant", key.removeprefix(OF_VARIANTS)
    return "segment", key


def _series_id(series: Series) -> str:
    if series.is_feature:
        return f"cityHash64({quote(series.name)})"
    return next(str(id_) for id_, name in OUTPUTS.items() if name == series.name)


def _feature_names(clickhouse: ClickHouse, model: str) -> dict[int, Series]:
    rows = clickhouse.rows(
        f"SELECT DISTINCT id, key FROM {clickhouse.database}.pane_names "
        f"WHERE model = {quote(model)} AND kind = 'feature'"
    )
    outputs = {id_: Series(name, False) for id_, name in OUTPUTS.items()}
    return outputs | {int(id_): Series(name) for id_, name in rows}


def _category_names(clickhouse: ClickHouse, model: str) -> dict[tuple[int, int], str | None]:
    """Texts of the bins that belong to one category alone, by series and bin; None of the others."""
    rows: Sequence[Any] = clickhouse.rows(
        f"SELECT id, bin, min(least) AS first, max(most) FROM {clickhouse.database}.pane_names "
        f"WHERE model = {quote(model)} AND kind = 'category' GROUP BY id, bin"
    )
    return {(int(id_), int(bin_)): first if first == last else None for id_, bin_, first, last in rows}


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
