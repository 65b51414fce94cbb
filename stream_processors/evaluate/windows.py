"""Which rows a metric is about: one outcome of one model, cut into windows of time and into slices."""

from datetime import datetime, timedelta

from msgspec import Struct

from ...infra.clickhouse import quote
from ...schemas.outcomes import Outcome
from ...schemas.windows import TimeOf
from ..lookups import instant as sql_instant
from ..records import micros_of


class Windows(Struct, frozen=True):
    """Tumbling windows of `size`, whole seconds, aligned to 1970. `since` is inclusive, `until` is not.

    `segment` names a key of the predictions' segments; each of its values has windows of its own, "" being none.
    """

    model: str
    outcome: Outcome
    size: timedelta = timedelta(days=1)
    time_of: TimeOf = TimeOf.PREDICTION
    since: datetime | None = None
    until: datetime | None = None
    segment: str | None = None

    @property
    def feedback(self) -> str:
        """Conditions on rows of `feedback_current`, but for their time."""
        return f"model = {quote(self.model)} AND outcome = {quote(self.outcome.name)}"

    @property
    def clock(self) -> str:
        """Column of `feedback_current` that puts a row into its window."""
        return "prediction_ts" if self.time_of is TimeOf.PREDICTION else "assumeNotNull(action_ts)"

    def start(self, clock: str) -> str:
        """SQL of the second since 1970 at which the window of `clock` starts."""
        seconds = int(self.size.total_seconds())
        return f"intDiv(toUnixTimestamp64Micro({clock}), {seconds * 1_000_000}) * {seconds}"

    @property
    def slice(self) -> str:
        """SQL of the slice of a row."""
        return "''" if self.segment is None else f"segments[{quote(self.segment)}]"

    def within(self, clock: str) -> str:
        """SQL condition that `clock` lies in the time asked for."""
        conditions = ["1"]
        for comparison, instant in ((">=", self.since), ("<", self.until)):
            if instant is not None:
                conditions.append(f"{clock} {comparison} {sql_instant(micros_of(instant))}")
        return " AND ".join(conditions)
