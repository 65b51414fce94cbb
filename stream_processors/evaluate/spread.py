"""Few rows from all of a stretch, by a hash: the same ones come each time, and what is read for them is bounded."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError
from msgspec import Struct

from ...infra.clickhouse import TIMEOUT_CODE, ClickHouse, quote
from ...infra.logs import logger
from ..lookups import instant
from ..records import micros_of

log = logger(__name__)

_LONGEST_S = 15
_FEWEST_SLOTS = 50
_SECOND_US = 1_000_000
# A slot has more or fewer predictions than expected: of twice as many as wanted, enough are there nearly always.
_SPARE = 2


class Spread(Struct, frozen=True):
    """At most `most` of the `predictions` that were made in a stretch; another `seed` chooses others.

    Of a stretch of more than `scanned` predictions, only `most_slots` slots of time are read, one in each of as many
    equal parts of it, that have about so many together; of a second at the least, and no fewer than 50.
    """

    model: str
    stretch: tuple[datetime, datetime]
    predictions: int
    most: int
    scanned: int
    seed: int
    most_slots: int = 100

    @property
    def slots(self) -> tuple[int, list[int]] | None:
        """How many seconds each slot has, and their numbers since 1970; None: all of the stretch is read.

        >>> from datetime import timedelta, UTC
        >>> day = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
        >>> size, slots = Spread("fraud", day, 8_640_000, 1_000, 200_000, seed=1).slots
        >>> size, len(slots)
        (20, 100)
        """
        if self.predictions <= self.scanned:
            return None
        begin, end = (micros_of(each) // _SECOND_US for each in self.stretch)
        seconds = (end - begin) * self.scanned / self.predictions
        n = int(np.clip(seconds, _FEWEST_SLOTS, self.most_slots))
        size = max(1, int(seconds / n))
        parts = np.linspace(-(-begin // size), end // size, n + 1)
        at = parts[:-1] + np.random.default_rng(self.seed).random(n) * np.diff(parts)
        return size, sorted(set(at.astype(int).tolist()))

    @property
    def condition(self) -> str:
        """SQL of the rows to read, some more than wanted."""
        begin, end = (micros_of(each) for each in self.stretch)
        said = [f"model = {quote(self.model)}", f"ts >= {instant(begin)}", f"ts < {instant(end)}"]
        expected, slots = self.predictions, self.slots
        if slots is not None:
            size, numbers = slots
            said.append(f"intDiv(toUnixTimestamp64Second(ts), {size}) IN ({','.join(map(str, numbers))})")
            expected = int(self.predictions * size * len(numbers) * _SECOND_US / (end - begin))
        if expected > _SPARE * self.most:
            said.append(f"{self.hash} < {int(2**64 * (_SPARE * self.most / expected))}")
        return " AND ".join(said)

    @property
    def hash(self) -> str:
        """SQL of what they are chosen by: the least ones are."""
        return f"cityHash64(prediction_id, {self.seed})"


def read_spread(clickhouse: ClickHouse, spread: Spread, columns: Mapping[str, str]) -> pa.Table | None:
    """Columns by name, from their SQL. None if it took longer than 15 s: where ids don't follow time, all is read."""
    named = [f"{sql} AS c{at}" for at, sql in enumerate(columns.values())]
    try:
        rows = clickhouse.arrow(
            f"SELECT {', '.join(named)} FROM (SELECT * FROM {clickhouse.database}.predictions "
            f"WHERE {spread.condition} ORDER BY {spread.hash}, prediction_id LIMIT {spread.most}) "
            f"SETTINGS max_execution_time = {_LONGEST_S}, timeout_overflow_mode = 'throw'"
        )
    except DatabaseError as exc:
        if getattr(exc, "code", None) != TIMEOUT_CODE:
            raise
        log.warning("sampling took too long, and is left out", model=spread.model, since=spread.stretch[0])
        return None
    return rows.rename_columns(list(columns))
