"""What of a window is compared with what: series of all predictions and of segments, then what takes rows."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ...detectors.drift.compare import compare, compare_rates
from ...detectors.drift.result import Drift, Question
from ...infra.clickhouse import ClickHouse
from ...schemas.monitoring import Drift as DriftConfig
from ...schemas.windows import Window
from ..evaluate.panes import ALL, Series, Slice, Stretch, slices
from ..evaluate.training import training_of
from .answers import Answer, Key, Sides, key_of
from .counted import Counted, PaneReader, Side, of_distribution
from .sampled import SampleReader

ENOUGH = 200
"""Predictions of an hour, or of a segment's value, from which on it is compared by itself."""
PLENTY = 1000
"""Predictions of an hour from which on a day shows nothing that its hours don't, and rows are as many as wanted."""
MOST_SLICES = 10
_HOUR = timedelta(hours=1)


class _Before(NamedTuple):
    """The reference, how many predictions it has, and the stretch it is of; None: training data."""

    made: int
    side: Side
    stretch: tuple[datetime, datetime] | None


class Comparer:
    """Compares windows of one model, one answer after the other."""

    def __init__(
        self, clickhouse: ClickHouse, model: str, config: DriftConfig, window: Window, segments: Sequence[str]
    ) -> None:
        self._clickhouse = clickhouse
        self._model = model
        self._config = config
        self._window = window
        self._segments = segments
        self._panes = PaneReader(clickhouse, model)
        self._samples = SampleReader(clickhouse, model, config.ignore)

    def compare(self, since: datetime, until: datetime, usual: Callable[[Key], float]) -> Iterator[Answer]:
        """Every answer about a window; `usual` says up to which size a change comes and goes, 0 if that isn't known."""
        for slice_ in self._slices(since, until):
            made, now = self._panes.read(Stretch(self._model, since, until, slice=slice_))
            before = self._reference(slice_, since)
            unchanged: dict[Series, Counted] = {}
            for series in sorted(before.side, key=lambda each: (each.is_feature, each.name)):
                if series.is_feature and series.name in self._config.ignore:
                    continue
                of, of_now = before.side[series], now.get(series, Counted(made))
                rough_below = usual(key_of(slice_, series, Question.VALUES))
                answers = _answers(slice_, series, of, of_now, rough_below)
                yield from (Answer(slice_, series, drift, before.stretch, of, of_now) for drift in answers)
                if not any(drift.drifted_alone for drift in answers):
                    unchanged[series] = of
            # Training data are distributions, without rows; and of a segment, or of a small hour, rows are few.
            if slice_ == ALL and before.stretch is not None and before.made and self._has_rows(made):
                sides = Sides((since, until), before.stretch, made, before.made)
                yield from self._samples.compare(sides, unchanged)

    def _has_rows(self, made: int) -> bool:
        if self._config.windows or self._window.size > _HOUR:
            return made > 0
        return made >= PLENTY

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
            return _Before(0, {series: of_distribution(each) for series, each in of.items()}, None)
        stretch = reference.period or (start - (reference.sliding or self._window.size), start)
        return _Before(*self._panes.read(Stretch(self._model, *stretch, slice=slice_)), stretch)


def _answers(slice_: Slice, series: Series, before: Counted, now: Counted, rough_below: float) -> Sequence[Drift]:
    kind = before.kind
    reference, current = before.column(kind), now.column(kind)
    segment = "" if slice_ == ALL else f"{slice_.key}={slice_.value}"
    values = compare(reference, current, name=series.name, segment=segment, rough_below=rough_below)
    return values, *compare_rates(reference, current, name=series.name, segment=segment)
