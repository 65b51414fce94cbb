"""Comparisons that counts can't answer: columns together, texts and embeddings, by rows of a window and before it.

At most 1,000 rows of a side, others in each window: what a reference has by chance is not there in the next one.
"""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from ...infra.clickhouse import ClickHouse
from ..evaluate.panes import Series
from ..evaluate.spread import Spread, read_spread
from ..records import micros_of
from .answers import Answer, Sides
from .counted import Counted
from .hourly import ID, Hourly
from .sampled_embeddings import EMBEDDING, compare_sampled_embeddings, embedding_columns
from .sampled_rows import MOST_COLUMNS, ROWS, compare_sampled_rows, row_columns
from .sampled_texts import PROMPT, RESPONSE, compare_sampled_texts, text_columns

_MOST = 1_000
_GENERATES = "(generates)"
# Of a generating model a row is some ten thousand bytes, and what is read for a slot ten million.
_SCANNED, _SCANNED_TEXTS = (200_000, 100), (20_000, 50)


class SampleReader:
    """Compares rows of one model."""

    def __init__(self, clickhouse: ClickHouse, model: str, ignored: tuple[str, ...]) -> None:
        self._clickhouse = clickhouse
        self._model = model
        self._ignored = frozenset(ignored)

    def compare(self, sides: Sides, columns: Mapping[Series, Counted]) -> Iterator[Answer]:
        """`columns` are what the reference has and shows no change by itself: those of rows."""
        hourly = Hourly(self._clickhouse.database, self._model, sides)
        chosen = dict(list(columns.items())[:MOST_COLUMNS])
        if ROWS not in self._ignored and len(chosen) > 1:
            read = self._read(sides, row_columns(chosen), _SCANNED)
            if read is not None:
                yield compare_sampled_rows(hourly, chosen, *read)
        texts = [name for name in (PROMPT, RESPONSE) if name not in self._ignored]
        of_embeddings = {} if EMBEDDING in self._ignored else embedding_columns()
        wanted = {column: sql for name in texts for column, sql in text_columns(name).items()} | of_embeddings
        read = self._read(sides, {_GENERATES: "generation != ''"} | wanted, _SCANNED_TEXTS) if wanted else None
        if read is not None:
            for name in texts:
                yield from compare_sampled_texts(hourly, name, *read)
            if of_embeddings:
                yield from compare_sampled_embeddings(hourly, *read)

    def _read(
        self, sides: Sides, columns: Mapping[str, str], scanned: tuple[int, int]
    ) -> tuple[pa.Table, pa.Table] | None:
        """Rows of before and of now; None if they can't be had, or those of before are of no generating model."""
        seed = micros_of(sides.window[0]) // 1_000_000
        found: list[pa.Table] = []
        for stretch, made in ((sides.reference, sides.made_before), (sides.window, sides.made)):
            spread = Spread(self._model, stretch, made, _MOST, scanned[0], seed, scanned[1])
            rows = read_spread(self._clickhouse, spread, {ID: "prediction_id", **columns})
            if rows is None or (_GENERATES in columns and not (found or any(rows.column(_GENERATES).to_pylist()))):
                return None
            found.append(rows)
        return found[0], found[1]
