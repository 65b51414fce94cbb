"""What is compared: the counts of one feature or output, in a stretch of time or in the reference."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum

import numpy as np
from msgspec import Struct

from ..histogram import Histogram
from .numbers import Numbers, of_histogram, of_values

_NOTHING = of_values(np.empty(0))


class Kind(Enum):
    """What the values of a column are."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    """Categories ``true`` and ``false``."""


class Column(Struct, frozen=True):
    """Counts of one column: `numbers` if it is numeric, else `categories`.

    `missing` are rows without a value, `invalid` values of another type than the column's; neither is among the counts.
    """

    kind: Kind
    numbers: Numbers = _NOTHING
    categories: Mapping[str, int] = {}
    missing: int = 0
    invalid: int = 0

    @classmethod
    def of_histogram(cls, histogram: Histogram, missing: int = 0, invalid: int = 0) -> "Column":
        """Numbers as panes have them."""
        return cls(Kind.NUMERIC, of_histogram(histogram), missing=missing, invalid=invalid)

    @classmethod
    def of_numbers(cls, values: np.ndarray) -> "Column":
        """Numbers as rows have them: NaN is missing, an infinity invalid."""
        values = np.asarray(values, np.float64)
        counted = of_values(values)
        if counted.total == values.size:
            return cls(Kind.NUMERIC, counted)
        missing = int(np.isnan(values).sum())
        return cls(Kind.NUMERIC, counted, missing=missing, invalid=values.size - counted.total - missing)

    @classmethod
    def of_categories(cls, values: Iterable[str | bool | None]) -> "Column":
        """Texts, or true and false, as rows have them; None is missing.

        >>> Column.of_categories([True, False, None, True]).categories
        {'false': 1, 'true': 2}
        """
        counts = Counter(values)
        missing = counts.pop(None, 0)
        kind = Kind.BOOLEAN if counts and all(isinstance(each, bool) for each in counts) else Kind.CATEGORICAL
        names = {str(each).lower() if isinstance(each, bool) else str(each): n for each, n in counts.items()}
        return cls(kind, categories=dict(sorted(names.items())), missing=missing)

    @property
    def n(self) -> int:
        """Values that are counted."""
        return self.numbers.total if self.kind is Kind.NUMERIC else sum(self.categories.values())

    @property
    def rows(self) -> int:
        """Values, and rows that have none that counts."""
        return self.n + self.missing + self.invalid
