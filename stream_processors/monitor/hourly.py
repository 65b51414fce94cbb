"""Answers by rows, with predictions for examples and the SQL that shows them hour by hour."""

from collections.abc import Sequence
from typing import NamedTuple

from ...detectors.drift.result import Drift
from ...infra.clickhouse import quote
from ..evaluate.panes import ALL, Series
from ..lookups import instant
from ..records import micros_of
from .answers import Answer, Shown, Sides
from .counted import Counted

ID = "(id)"
"""The column of sampled rows that says which prediction each is."""
_EXAMPLES = 5


class Hourly(NamedTuple):
    """Makes answers about all predictions of a model, in a window and before it."""

    database: str
    model: str
    sides: Sides

    def answer(self, drift: Drift, examples: Sequence[str], shown: str, *of: Counted) -> Answer:
        """One whose subject is the name of the comparison; `shown` is SQL of an aggregate, `of` what was counted."""
        since, until = self.sides.reference[0], self.sides.window[1]
        query = (
            f"SELECT toStartOfHour(ts) AS hour, count() AS predictions, {shown} "
            f"FROM {self.made(micros_of(since), micros_of(until))} GROUP BY hour ORDER BY hour"
        )
        before, now = of or (None, None)
        shows = Shown(tuple(examples[:_EXAMPLES]), query)
        return Answer(ALL, Series(drift.name, False), drift, self.sides.reference, before, now, shows)

    def made(self, since_us: int, until_us: int) -> str:
        """SQL of the predictions that were made from an instant to before another."""
        return (
            f"{self.database}.predictions WHERE model = {quote(self.model)} "
            f"AND ts >= {instant(since_us)} AND ts < {instant(until_us)}"
        )
