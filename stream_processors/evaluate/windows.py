"""Which rows a metric is about: one outcome of one model, cut into windows of time and into slices."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

from ...infra.clickhouse import quote, quoted
from ...schemas.outcomes import Outcome
from ...schemas.windows import TimeOf, Window
from ..lookups import instant as sql_instant
from ..records import micros_of
from .slices import MOST_VALUES, OTHER, Slicing


class Cell(NamedTuple):
    """A window by its start, and one slice of it; no slice has key and value "". Of several models at once, whose."""

    start: datetime
    key: str = ""
    value: str = ""
    model: str = ""

    @classmethod
    def of(cls, start: int, slice_: Sequence[str]) -> "Cell":
        """From what ClickHouse says: seconds since 1970, and (key, value) or (key, value, model)."""
        return cls(datetime.fromtimestamp(start, UTC), *slice_)


class Windows(Struct, frozen=True):
    """`since` is inclusive, `until` is not; both cut the rows. `starts` are the windows that are asked for, or all.

    `models` are several models at once, in place of `model`: queries then give cells of each.
    Without `folds` every value of a slice is kept, as it comes out anyway where no key has more than `MOST_VALUES`.
    """

    model: str
    outcome: Outcome
    window: Window = Window.tumbling(timedelta(days=1))
    time_of: TimeOf = TimeOf.PREDICTION
    since: datetime | None = None
    until: datetime | None = None
    slicing: Slicing = Slicing()
    starts: tuple[int, ...] | None = None
    models: tuple[str, ...] = ()
    folds: bool = True

    @property
    def of_model(self) -> str:
        """Condition on rows that have a model."""
        return f"model IN ({quoted(self.models)})" if self.models else f"model = {quote(self.model)}"

    @property
    def feedback(self) -> str:
        """Conditions on rows of `feedback_current`, but for their time."""
        return f"{self.of_model} AND outcome = {quote(self.outcome.name)}"

    @property
    def clock(self) -> str:
        """Column of `feedback_current` that puts a row into its window."""
        return "prediction_ts" if self.time_of is TimeOf.PREDICTION else "assumeNotNull(action_ts)"

    def cells(self, database: str, select: str, source: str, clock: str, counted: tuple[str, str] | None = None) -> str:
        """SQL of rows (start, slice, …): what `select` says of each row of `source`, once for every cell it is in.

        `source` is a table with its conditions, `clock` its column of time. Rare values of a slice are `OTHER`: those
        with few predictions (by time of label, few labels), or few rows of `counted`, a source and clock.
        """
        conditions = f"{source} AND {self.within(clock)}"
        rows = f"SELECT {self._start(clock)} AS start, {self._slice} AS slice, {select} FROM {conditions}"
        rows = f"SELECT * FROM ({rows}) WHERE {self._asked_for}"
        if not (self.slicing.is_sliced and self.folds):
            return f"({rows})"
        common = self._common(*(counted or self._counted(database)))
        rare = f"(slice.1, {quote(OTHER)}{', slice.3' if self.models else ''})"
        fold = f"if((start, slice) IN ({common}), slice, {rare})"
        return f"(SELECT * REPLACE ({fold} AS slice) FROM ({rows}))"

    def counts(self, database: str) -> str:
        """SQL of (start, slice, rows) that decide which values of a slice are rare: of each key the most frequent.

        One more than `MOST_VALUES` of a key where nothing is folded: so it shows whether something should be.
        """
        source, clock = self._counted(database)
        return self.few(
            f"SELECT start, slice, count() FROM {self.cells(database, '1 AS one', source, clock)} "
            "GROUP BY start, slice ORDER BY count() DESC, slice"
        )

    def few(self, cells: str) -> str:
        """The same rows of (start, slice, …), of each key one more than `MOST_VALUES` at most."""
        return f"{cells} LIMIT {MOST_VALUES + 1} BY {self._key}"

    def predictions(self, database: str) -> str:
        """The predictions of the model as a `source` of cells."""
        return f"{database}.predictions WHERE {self.of_model}"

    def labels(self, database: str) -> str:
        """The feedback of the outcome as a `source` of cells; by time of label that which has one."""
        rows = f"{database}.feedback_current WHERE {self.feedback}"
        if self.time_of is TimeOf.PREDICTION:
            return rows
        # The order of the table is that of predictions. An index knows where labels of the time are, and says from
        # which prediction on they are; all revisions of that and of later ones are then read.
        first = (
            f"SELECT minOrNull(prediction_ts) FROM {database}.feedback "
            f"WHERE {self.feedback} AND {self.within(self.clock)}"
        )
        return f"{rows} AND prediction_ts >= ({first}) AND action_ts IS NOT NULL"

    def within(self, clock: str) -> str:
        """SQL condition that `clock` lies in the time asked for."""
        conditions = ["1"]
        for comparison, instant in ((">=", self.since), ("<", self.until)):
            if instant is not None:
                conditions.append(f"{clock} {comparison} {sql_instant(micros_of(instant))}")
        return " AND ".join(conditions)

    def _start(self, clock: str) -> str:
        """SQL of the second since 1970 at which the window of `clock` starts, a row for each of sliding ones."""
        step = self.window.step_s
        last = f"intDiv(toUnixTimestamp64Micro({clock}), {step * 1_000_000}) * {step}"
        overlap = self.window.size_s // step
        return last if overlap == 1 else f"arrayJoin(arrayMap(back -> {last} - back * {step}, range({overlap})))"

    @property
    def _asked_for(self) -> str:
        return "1" if self.starts is None else f"start IN ({','.join(map(str, self.starts))})"

    def _counted(self, database: str) -> tuple[str, str]:
        if self.time_of is TimeOf.PREDICTION:
            return self.predictions(database), "ts"
        return self.labels(database), self.clock

    def _common(self, source: str, clock: str) -> str:
        """SQL of the (start, slice) that are kept by their value: the most frequent ones of each key."""
        return (
            f"SELECT {self._start(clock)} AS start, {self._slice} AS slice FROM {source} "
            f"AND {self.within(clock)} GROUP BY start, slice "
            f"ORDER BY count() DESC, slice LIMIT {MOST_VALUES} BY {self._key}"
        )

    @property
    def _key(self) -> str:
        """SQL of what the values of a slice are values of."""
        return f"start, slice.1{', slice.3' if self.models else ''}"

    @property
    def _slice(self) -> str:
        of_row = self.slicing.of_row
        return f"tupleConcat({of_row}, tuple(toString(model)))" if self.models else of_row
