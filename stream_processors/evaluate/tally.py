"""Values of rows, batch by batch, counted as panes count them: what training data comes to."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from ...detectors.drift.numbers import counts_of
from ...detectors.histogram import Bin, Histogram
from ...infra.clickhouse import ClickHouse, quoted
from .panes import Distribution, Series

MOST_CATEGORIES = 65_536
"""As many as panes have bins for; what comes beyond them counts as other."""


class Column(Struct, frozen=True):
    """Values of one feature or output in a batch of rows: numbers (NaN and infinities are null), and texts."""

    numbers: NDArray[np.float64] = np.empty(0)
    texts: Mapping[str, int] = {}
    """How many of each; true and false are texts."""


class Tally:
    """Rows that were added, and the values of their columns. A row without a value is null."""

    def __init__(self) -> None:
        self.rows = 0
        self._columns: dict[Series, _Counted] = {}

    def __len__(self) -> int:
        return len(self._columns)

    def add(self, rows: int, columns: Mapping[Series, Column]) -> None:
        """Count a batch of so many rows."""
        self.rows += rows
        for series, column in columns.items():
            self._columns.setdefault(series, _Counted()).add(column)

    def distributions(self, clickhouse: ClickHouse) -> dict[Series, Distribution]:
        """What it comes to. Categories whose bin in panes is the same (ClickHouse hashes them) count as other."""
        found: dict[Series, Distribution] = {}
        for series, each in self._columns.items():
            numbers = Histogram(tuple(Bin(bin_, *sums) for bin_, sums in sorted(each.bins.items())))
            alone = _alone(clickhouse, each.texts)
            other = each.other + sum(each.texts.values()) - sum(alone.values())
            null = self.rows - numbers.n - sum(alone.values()) - other
            found[series] = Distribution(self.rows, numbers, alone, other, null)
        return found


class _Counted(Struct):
    bins: dict[int, list[int]] = field(default_factory=dict)
    texts: Counter[str] = field(default_factory=Counter)
    other: int = 0

    def add(self, column: Column) -> None:
        counts = counts_of(column.numbers)
        for bin_, *sums in zip(*(each.astype(np.int64).tolist() for each in counts), strict=True):
            known = self.bins.setdefault(bin_, [0, 0, 0])
            for at, each in enumerate(sums):
                known[at] += each
        for text, n in column.texts.items():
            if text in self.texts or len(self.texts) < MOST_CATEGORIES:
                self.texts[text] += n
            else:
                self.other += n


def _alone(clickhouse: ClickHouse, texts: Counter[str]) -> dict[str, int]:
    """Those that share their bin with none of the others, the most frequent first."""
    if not texts:
        return {}
    rows = clickhouse.rows(
        f"SELECT any(text) FROM (SELECT arrayJoin([{quoted(list(texts))}]) AS text) "
        "GROUP BY bitAnd(cityHash64(text), 65535) HAVING count() = 1"
    )
    alone = {text for (text,) in rows}
    return {text: n for text, n in sorted(texts.items(), key=lambda each: (-each[1], each[0])) if text in alone}
