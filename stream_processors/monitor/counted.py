"""Panes of a stretch as columns of counts: arrays, so that a window of a wide model takes milliseconds."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from ...detectors.drift.column import Column, Kind
from ...detectors.drift.numbers import Numbers, of_bins, of_histogram
from ...infra.clickhouse import ClickHouse
from ..evaluate.panes import NULL, PREDICTIONS, TEXT, Distribution, PaneNames, Series, Stretch, bins_of

_NO_NUMBERS = of_histogram(Distribution(0).numbers)
OTHER = "(other)"
"""Categories that share a bin with another one."""


class Counted(Struct, frozen=True):
    """Values of one series in `predictions` predictions."""

    predictions: int
    numbers: Numbers = _NO_NUMBERS
    categories: Mapping[str, int] = {}

    @property
    def kind(self) -> Kind:
        """What most of the values are."""
        if self.numbers.total >= sum(self.categories.values()):
            return Kind.NUMERIC
        return Kind.BOOLEAN if self.categories.keys() <= {"true", "false"} else Kind.CATEGORICAL

    def column(self, kind: Kind) -> Column:
        """As a column of that kind: values of another type are invalid."""
        texts, n = sum(self.categories.values()), self.numbers.total
        missing = self.predictions - n - texts
        if kind is Kind.NUMERIC:
            return Column(kind, self.numbers, missing=missing, invalid=texts)
        return Column(kind, categories=self.categories, missing=missing, invalid=n)


Side = Mapping[Series, Counted]


def of_distribution(distribution: Distribution) -> Counted:
    """The same of a distribution."""
    other = {OTHER: distribution.other} if distribution.other else {}
    return Counted(distribution.predictions, of_histogram(distribution.numbers), dict(distribution.categories) | other)


class PaneReader:
    """Reads stretches of one model, and remembers its names."""

    def __init__(self, clickhouse: ClickHouse, model: str) -> None:
        self._clickhouse = clickhouse
        self._model = model
        self._names = PaneNames({}, {})

    def read(self, stretch: Stretch) -> tuple[int, Side]:
        """How many predictions there are, and the values of each series."""
        rows = bins_of(self._clickhouse, stretch)
        if not rows.num_rows:
            return 0, {}
        series = np.asarray(rows.column("series").to_numpy(), np.uint64)
        bins, n = (np.asarray(rows.column(name).to_numpy(), np.int64) for name in ("bin", "n"))
        steps, squares = (np.asarray(rows.column(name).to_numpy(), np.float64) for name in ("steps", "squares"))
        starts = np.flatnonzero(np.append(True, series[1:] != series[:-1]))
        ends = np.append(starts[1:], series.size)
        made = int(n[series == PREDICTIONS].sum())
        found: dict[Series, Counted] = {}
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            id_ = int(series[start])
            if id_ == PREDICTIONS:
                continue
            part = slice(start, end)
            numbers = start + int(np.searchsorted(bins[part], NULL))
            texts = start + int(np.searchsorted(bins[part], TEXT))
            counted = slice(start, numbers)
            found[self._series(id_)] = Counted(
                made,
                of_bins(bins[counted], n[counted], steps[counted], squares[counted]),
                self._categories(id_, bins[texts:end].tolist(), n[texts:end].tolist()),
            )
        return made, found

    def _series(self, id_: int) -> Series:
        if id_ not in self._names.series:
            self._names = PaneNames.of(self._clickhouse, self._model)
        return self._names.series.get(id_, Series(f"feature {id_}"))

    def _categories(self, id_: int, bins: list[int], n: list[int]) -> dict[str, int]:
        counts: dict[str, int] = {}
        if any((id_, bin_) not in self._names.categories for bin_ in bins):
            self._names = PaneNames.of(self._clickhouse, self._model)
        texts = self._names.categories
        for bin_, count in zip(bins, n, strict=True):
            name = texts.get((id_, bin_))
            # Not `or`: an empty text is a category.
            name = OTHER if name is None else name
            counts[name] = counts.get(name, 0) + count
        return counts
