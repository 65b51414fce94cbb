"""Data and prediction drift: what a window of predictions looks like, held against the reference."""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from ...detectors.drift.column import Kind
from ...detectors.drift.compare import compare, compare_rates
from ...detectors.drift.decide import decide
from ...detectors.drift.result import Drift, Question
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.monitoring import Drift as DriftConfig
from ...schemas.signals import Shift, Signal, SignalKind
from ...schemas.windows import Window
from ..evaluate.panes import ALL, Series, Slice, Stretch, slices, volumes
from ..evaluate.training import training_of
from ..lookups import instant
from ..records import from_micros, micros_of
from .counted import Counted, PaneReader, Side, of_distribution
from .points import first_step
from .reached import Reached
from .signals import signal_id_of
from .states import DAMAGED
from .usual import Usual

AUTOMATIC = (Window.tumbling(timedelta(hours=1)), Window.tumbling(timedelta(days=1)))
ENOUGH = 200
"""Predictions of an hour, or of a segment's value, from which on it is compared by itself."""
LEVEL = 0.05
MOST_SLICES = 10
_AT_ONCE_S = 2.0
_WINDOWS_AHEAD = 1000
_MOST_USUAL = 20_000
_EXAMPLES = 5
_IS_TEXT = "prediction_value IS NULL OR prediction IN ('true', 'false')"
_SECOND_US = 1_000_000
_HOUR_S = 3600

Key = tuple[str, str, bool, str, str]


class Compared(Struct, frozen=True):
    """One row of table `drift`: an answer, where and when."""

    window_start: datetime
    reference: tuple[datetime, datetime] | None
    slice: Slice
    series: Series
    drift: Drift
    usual: float | None
    drifted: bool

    @property
    def reason(self) -> str:
        """Why it drifted, or why not."""
        return "usual" if self.drift.drifted and not self.drifted else self.drift.reason.value


class _Episode(Struct):
    """What drifted in windows that follow each other, but for single ones between them that did not."""

    signal_id: str
    since_us: int
    found_us: int
    until_us: int


class _Before(NamedTuple):
    """The reference, and the stretch it is of; None: training data."""

    side: Side
    stretch: tuple[datetime, datetime] | None


class DriftMonitor:
    """Compares the windows that are over, one after the other, each once. One thread at a time."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        model: str,
        config: DriftConfig,
        window: Window,
        segments: Sequence[str],
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Goes on from a `state`, unless what is compared was another thing then."""
        self._clickhouse = clickhouse
        self._model = model
        self._config = config
        self._window = window
        self._segments = tuple(segments)
        self._next: int | None = None
        self._usual: dict[Key, Usual] = {}
        self._episodes: dict[Key, _Episode] = {}
        self._panes = PaneReader(clickhouse, model)
        self.compared: list[Compared] = []
        self.rebuilt = "from its first window"
        if state is not None:
            self._resume(state)

    @property
    def name(self) -> str:
        """What table `monitors` calls it."""
        return f"drift/{self._window}"

    def is_behind(self, reached: Reached) -> bool:
        """Whether there are windows to compare."""
        return self._next is not None and (self._next + self._window.size_s) * _SECOND_US <= reached.everywhere_us

    @property
    def window(self) -> Window:
        """Of its windows."""
        return self._window

    @property
    def reached_us(self) -> int:
        """Event time (µs) up to which it compared everything."""
        return (self._next or 0) * _SECOND_US

    def advance(self, reached: Reached) -> list[Signal]:
        """Compare a bounded number of windows that are over; returns what drifted, `compared` being all."""
        self.compared = []
        size = self._window.size_s
        if self._next is None:
            first = first_step(self._clickhouse, self._model, _HOUR_S)
            if first is None:
                return []
            self._next = -(-first // size) * size
        end = min(reached.everywhere_us // _SECOND_US, self._next + _WINDOWS_AHEAD * size) // size * size
        signals: list[Signal] = []
        began = time.monotonic()
        for start in self._asked_for(self._next, end):
            if time.monotonic() - began > _AT_ONCE_S:
                break
            signals += self._compare(start)
            self._next = start + size
        else:
            self._next = max(self._next, end)
        return signals

    def state(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {
            "watched": self._watched,
            "next": self._next,
            "usual": [[list(key), usual.snapshot()] for key, usual in self._usual.items()],
            "episodes": [[list(key), msgspec.to_builtins(episode)] for key, episode in self._episodes.items()],
        }

    @property
    def _watched(self) -> list[Any]:
        return [str(self._config.reference), list(self._config.ignore), str(self._window), list(self._segments)]

    def _resume(self, state: Mapping[str, Any]) -> None:
        try:
            if state["watched"] != self._watched:
                self.rebuilt = "from its first window: its reference, its windows or its segments changed"
                return
            usual = {msgspec.convert(key, Key): Usual.restore(each) for key, each in state["usual"]}
            episodes = {msgspec.convert(key, Key): msgspec.convert(each, _Episode) for key, each in state["episodes"]}
            first = None if state["next"] is None else int(state["next"])
            reached = from_micros((first or 0) * _SECOND_US)
        except DAMAGED as exc:
            self.rebuilt = f"from its first window: its state can't be read ({exc!r})"
            return
        self._usual, self._episodes, self._next = usual, episodes, first
        self.rebuilt = f"from its state of {reached:%Y-%m-%d %H:%M} and the panes since"

    def _compare(self, start: int) -> list[Signal]:
        since, until = from_micros(start * _SECOND_US), from_micros((start + self._window.size_s) * _SECOND_US)
        made, whole = self._panes.read(Stretch(self._model, since, until))
        found: list[tuple[Slice, Series, Drift, _Before, Side]] = []
        for slice_ in self._slices(since, until):
            now = whole
            if slice_ != ALL:
                made, now = self._panes.read(Stretch(self._model, since, until, slice=slice_))
            before = self._reference(slice_, since)
            for series in sorted(before.side, key=lambda each: (each.is_feature, each.name)):
                if not (series.is_feature and series.name in self._config.ignore):
                    answers = self._answers(slice_, series, before.side[series], now.get(series, Counted(made)))
                    found += [(slice_, series, drift, before, now) for drift in answers]
        decided = decide([drift for _, _, drift, _, _ in found], LEVEL)
        signals: list[Signal] = []
        for (slice_, series, _, before, now), drift in zip(found, decided, strict=True):
            key = _key(slice_, series, drift.question)
            drifted, size = drift.drifted, None
            if self._config.reference.moves and not math.isnan(drift.effect):
                # Those that are compared go to the end: what is not any more is forgotten first.
                usual = self._usual[key] = self._usual.pop(key, None) or Usual(self._window.size_s)
                size = usual.size
                drifted = drifted and usual.is_unusual(drift.effect)
                usual.add(drift.effect, drifted=drifted)
            row = Compared(since, before.stretch, slice_, series, drift, size, drifted)
            self.compared.append(row)
            if drifted:
                signals.append(self._signal(key, row, before.side[series], now.get(series), until))
        self._forget(start)
        return signals

    def _forget(self, start: int) -> None:
        """Episodes that neither the window nor the one before it belongs to, and series beyond what is kept."""
        self._episodes = {key: each for key, each in self._episodes.items() if each.until_us >= start * _SECOND_US}
        for key in list(islice(self._usual, max(0, len(self._usual) - _MOST_USUAL))):
            del self._usual[key]

    def _asked_for(self, begin: int, end: int) -> list[int]:
        """Starts of the windows to compare; if nobody chose any, hours with enough predictions, and other days."""
        size = self._window.size_s
        if end <= begin:
            return []
        stretch = Stretch(
            self._model, from_micros(begin * _SECOND_US), from_micros(end * _SECOND_US), self._window.size
        )
        made = {micros_of(at) // _SECOND_US: n for at, n in volumes(self._clickhouse, stretch).items()}
        if self._config.windows:
            return sorted(made)
        hours = size // _HOUR_S
        return sorted(at for at, n in made.items() if (n >= ENOUGH if hours == 1 else n < hours * ENOUGH))

    def _slices(self, since: datetime, until: datetime) -> list[Slice]:
        found = [ALL]
        for key in self._segments:
            largest, _ = slices(self._clickhouse, Stretch(self._model, since, until), key, MOST_SLICES)
            found += [Slice(key, value) for value, n in sorted(largest.items()) if n >= ENOUGH]
        return found

    def _reference(self, slice_: Slice, start: datetime) -> _Before:
        reference = self._config.reference
        if reference.training:
            of = training_of(self._clickhouse, self._model) if slice_ == ALL else {}
            return _Before({series: of_distribution(each) for series, each in of.items()}, None)
        stretch = reference.period or (start - (reference.sliding or self._window.size), start)
        _, side = self._panes.read(Stretch(self._model, *stretch, slice=slice_))
        return _Before(side, stretch)

    def _answers(self, slice_: Slice, series: Series, before: Counted, now: Counted) -> Sequence[Drift]:
        kind = before.kind
        reference, current = before.column(kind), now.column(kind)
        segment = "" if slice_ == ALL else f"{slice_.key}={slice_.value}"
        usual = self._usual.get(_key(slice_, series, Question.VALUES))
        values = compare(
            reference, current, name=series.name, segment=segment, rough_below=(usual and usual.size) or 0.0
        )
        return values, *compare_rates(reference, current, name=series.name, segment=segment)

    def _signal(self, key: Key, row: Compared, before: Counted, now: Counted | None, until: datetime) -> Signal:
        start_us, until_us = micros_of(row.window_start), micros_of(until)
        episode = self._episodes.get(key)
        if episode is None:
            id_ = signal_id_of(self._model, SignalKind.DATA_DRIFT, *key, str(self._window), start_us)
            episode = self._episodes[key] = _Episode(id_, start_us, until_us, until_us)
        episode.until_us = until_us
        drift, series, since = row.drift, row.series, from_micros(episode.since_us)
        expected, seen = _typical(drift, before, now)
        where = f" where {row.slice.key} is {row.slice.value}" if row.slice.key else ""
        what = series.name if drift.question is Question.VALUES else f"{drift.question.value} share of {series.name}"
        moved = "" if expected is None or seen is None else f" from {expected:.4g} to {seen:.4g}"
        largest = "" if moved or not drift.evidence else f": {_said(drift.evidence[0].name)} most of all"
        return Signal(
            signal_id=episode.signal_id,
            model=self._model,
            kind=SignalKind.DATA_DRIFT if series.is_feature else SignalKind.PREDICTION_DRIFT,
            subject=series.name,
            detector=drift.method,
            since=since,
            found_at=from_micros(episode.found_us),
            until=until,
            score=1 - math.exp(-drift.effect / drift.threshold / 4),
            message=f"{what} of {self._model}{where} drifted{moved}{largest}, since {since:%Y-%m-%d %H:%M}: "
            f"{drift.effect / drift.threshold:.1f} times what matters",
            expected=expected,
            seen=seen,
            n=drift.n_current,
            segment_key=row.slice.key,
            segment=row.slice.value,
            evidence=tuple(Shift(_said(each.name), each.expected, each.seen) for each in drift.evidence),
            examples=self._examples(row, until),
            query=self._query(row),
        )

    def _examples(self, row: Compared, until: datetime) -> tuple[str, ...]:
        """Ids of predictions of the window whose value is one of those that became more."""
        grown = max(row.drift.evidence, key=lambda each: each.seen - each.expected, default=None)
        if grown is None or grown.seen <= grown.expected:
            return ()
        column, text = _column_of(row.series), _category_of(row.series)
        match row.drift.question:
            case Question.MISSING:
                condition = f"isNull({column}) AND isNull({text})"
            case Question.INVALID:
                condition = f"isNotNull({text if row.drift.kind == Kind.NUMERIC.value else column})"
            case _ if math.isnan(grown.low):
                condition = f"{text} = {quote(grown.name)}"
            case _:
                condition = f"{column} >= {grown.low!r} AND {column} < {grown.high!r}"
        of_slice = _of_slice(row.slice)
        rows = self._clickhouse.rows(
            f"SELECT prediction_id FROM {self._clickhouse.database}.predictions WHERE model = {quote(self._model)} "
            f"AND ts >= {instant(micros_of(row.window_start))} AND ts < {instant(micros_of(until))} "
            f"AND {of_slice} AND {condition} ORDER BY prediction_id LIMIT {_EXAMPLES}"
        )
        return tuple(prediction_id for (prediction_id,) in rows)

    def _query(self, row: Compared) -> str:
        begin = row.reference[0] if row.reference else row.window_start - timedelta(days=7)
        name = f"feature = {quote(row.series.name)}" if row.series.is_feature else f"output = {quote(row.series.name)}"
        return (
            "SELECT hour, present, nulls, mean, p1_p25_p50_p75_p99, categories "
            f"FROM {self._clickhouse.database}.panes_hourly WHERE model = {quote(self._model)} "
            f"AND segment_key = {quote(row.slice.key)} AND segment = {quote(row.slice.value)} AND {name} "
            f"AND hour >= {instant(micros_of(begin))} ORDER BY hour"
        )


def _key(slice_: Slice, series: Series, question: Question) -> Key:
    return slice_.key, slice_.value, series.is_feature, series.name, question.value


def _typical(drift: Drift, before: Counted, now: Counted | None) -> tuple[float | None, float | None]:
    """Means of numbers, shares of what is true, missing or invalid; nothing of categories."""
    if drift.question is not Question.VALUES or drift.kind == Kind.BOOLEAN.value:
        shift = next((each for each in drift.evidence if each.name in ("true", drift.question.value)), None)
        return (None, None) if shift is None else (shift.expected, shift.seen)
    if drift.kind != Kind.NUMERIC.value or now is None or not now.numbers.total:
        return None, None
    return before.numbers.average, now.numbers.average


def _said(name: str) -> str:
    return name if len(name) <= 80 else name[:79] + "…"


def _column_of(series: Series) -> str:
    """SQL of the series as a number; NULL where it is none."""
    if series.is_feature:
        return f"features_num[{quote(series.name)}]"
    return f"if({_IS_TEXT}, NULL, prediction_value)" if series.name == "prediction" else series.name


def _category_of(series: Series) -> str:
    """SQL of the series as text; NULL where it is none."""
    if series.is_feature:
        name = quote(series.name)
        return f"if(mapContains(features_cat, {name}), features_cat[{name}], NULL)"
    return f"if({_IS_TEXT}, prediction, NULL)" if series.name == "prediction" else "NULL"


def _of_slice(slice_: Slice) -> str:
    return f"segments[{quote(slice_.key)}] = {quote(slice_.value)}" if slice_.key else "1"
