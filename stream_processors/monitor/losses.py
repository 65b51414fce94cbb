"""The losses of a model, one a label, each once, in the order of event time in which they became known.

Where silence is an answer (`on_timeout: negative`), a label counts from the end of its window on, when those that say
no are known as well: before that, there are only those that say yes. Else it counts from its action on.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, OnTimeout, Outcome
from ..evaluate.classes import has_label, is_positive, predicted
from ..lookups import instant
from .reached import Reached

MOST_AT_ONCE = 20_000
"""About: labels of one instant are never parted."""


class Loss(NamedTuple):
    """What one label says: `at_us` of event time it was known, and the loss; `segments` are the values of the keys."""

    at_us: int
    prediction_id: str
    loss: float
    segments: tuple[str, ...]


class Cursor(NamedTuple):
    """What was taken: labels known by `known_us` of event time, of what each partition had written by then (ms)."""

    known_us: int = 0
    written_ms: Mapping[int, int] = {}


def new_losses(
    clickhouse: ClickHouse,
    model: str,
    outcome: Outcome,
    kind: Kind,
    segments: Sequence[str],
    cursor: Cursor,
    reached: Reached,
) -> tuple[list[Loss], Cursor]:
    """What is behind the cursor, and where that ends; call again as long as the cursor moves.

    First what came late: it was written since, and known before. Then what is new, in order; all of it lies before what
    every partition has settled.
    """
    rows = _Rows(clickhouse, model, outcome, kind, segments)
    written = {p: ms for p, ms in reached.written_ms.items() if ms > cursor.written_ms.get(p, 0)}
    late: list[Loss] = []
    if written and cursor.known_us:
        late, end_ms = rows.late(cursor, written)
        written = {p: min(ms, max(end_ms, cursor.written_ms.get(p, 0))) for p, ms in written.items()}
    written_ms = {**cursor.written_ms, **written}
    new, known_us = rows.new(cursor.known_us, reached.everywhere_us, written_ms)
    return late + new, Cursor(known_us, written_ms)


class _Rows:
    """Queries of the losses of one outcome."""

    def __init__(
        self, clickhouse: ClickHouse, model: str, outcome: Outcome, kind: Kind, segments: Sequence[str]
    ) -> None:
        self._clickhouse = clickhouse
        self._window_us = outcome.window // timedelta(microseconds=1)
        waits = outcome.on_timeout is OnTimeout.NEGATIVE
        self._table = f"{clickhouse.database}.feedback"
        self._of = f"model = {quote(model)} AND outcome = {quote(outcome.name)}"
        # What makes two rows of one label: of a prediction that waits for its window, and else of a deciding action.
        self._label = "prediction_id" if waits else "prediction_id, action_id"
        # What is recomputed stands for what was taken, or will be; so does what revises a provisional answer.
        self._stands_in = ["_topic = ''", *(["status = 'revised'"] if waits else [])]
        self._predictions = f"{clickhouse.database}.predictions WHERE model = {quote(model)}"
        self._condition, loss = loss_of(kind, outcome)
        if not waits:
            self._condition = f"action_ts IS NOT NULL AND {self._condition}"
        of_row = ", ".join(f"segments[{quote(key)}]" for key in segments)
        self._known = f"toUnixTimestamp64Micro({_known(outcome)})"
        self._columns = f"prediction_id, {self._known} AS known_us, toFloat64({loss}) AS loss, "
        self._columns += f"CAST([{of_row}], 'Array(String)') AS of_row"

    def new(self, from_us: int, until_us: int, written_ms: Mapping[int, int]) -> tuple[list[Loss], int]:
        """Known after one instant and by another; and until when that is: the order holds, at most some are taken."""
        if until_us <= from_us or not written_ms:
            return [], from_us
        visible = (
            f"SELECT * FROM {self._table} WHERE {self._of} "
            f"AND prediction_ts >= {instant(max(0, from_us - self._window_us))} "
            f"AND ({' OR '.join(self._stands_in)} OR {_written(written_ms)}) "
            f"ORDER BY revision DESC LIMIT 1 BY {self._label}"
        )
        rows = self._clickhouse.rows(
            f"SELECT * FROM (SELECT {self._columns} FROM ({visible}) WHERE status != 'pending' AND {self._condition} "
            f"AND {self._known} > {from_us} AND {self._known} <= {until_us} "
            f"ORDER BY known_us LIMIT {MOST_AT_ONCE} WITH TIES) ORDER BY known_us, prediction_id, loss"
        )
        end_us = rows[-1][1] if len(rows) >= MOST_AT_ONCE else until_us
        return [Loss(known_us, id_, loss, tuple(of)) for id_, known_us, loss, of in rows], end_us

    def late(self, cursor: Cursor, written_ms: Mapping[int, int]) -> tuple[list[Loss], int]:
        """Written since the cursor and known before it; and until when (ms) that was written.

        A label that was written before, by a flush that was torn, in an earlier revision or by a worker that repeats
        what may not be published, was taken then. Of a prediction that came since, nothing was.
        """
        since_ms = {p: cursor.written_ms.get(p, 0) for p in written_ms}
        since = f"_ingested_at > {instant(min(since_ms.values()) * 1000)} AND NOT {_written(since_ms)}"
        late = (
            f"SELECT *, toUnixTimestamp64Milli(_ingested_at) AS ms FROM {self._table} WHERE {self._of} "
            f"AND {since} AND {_written(written_ms)} AND (NOT ({' OR '.join(self._stands_in)}) "
            f"OR _topic != '' AND prediction_id IN (SELECT prediction_id FROM {self._predictions} AND {since})) "
            f"AND status != 'pending' AND {self._condition} "
            f"AND {self._known} <= {cursor.known_us}"
        )
        taken = (
            f"SELECT {self._label} FROM {self._table} WHERE {self._of} AND {_written(since_ms)} "
            f"AND prediction_id IN (SELECT prediction_id FROM ({late})) AND status != 'pending' AND {self._condition}"
        )
        rows = self._clickhouse.rows(
            f"SELECT * FROM (SELECT {self._columns}, ms FROM ({late}) WHERE ({self._label}) NOT IN ({taken}) "
            f"ORDER BY ms, revision DESC LIMIT 1 BY {self._label}) "
            f"ORDER BY ms LIMIT {MOST_AT_ONCE} WITH TIES"
        )
        rows = sorted(rows, key=lambda row: (row[4], *row[1::-1], row[2]))
        end_ms = rows[-1][4] if len(rows) >= MOST_AT_ONCE else max(written_ms.values())
        return [Loss(known_us, id_, loss, tuple(of)) for id_, known_us, loss, of, _ in rows], end_ms


def _written(written_ms: Mapping[int, int]) -> str:
    """SQL condition that the flush of a row was committed by then."""
    within = " OR ".join(
        f"_partition = {p} AND _ingested_at <= {instant(ms * 1000)}" for p, ms in sorted(written_ms.items())
    )
    return f"({within})"


def _known(outcome: Outcome) -> str:
    """SQL of the instant from which on a label counts."""
    if outcome.on_timeout is OnTimeout.NEGATIVE:
        return f"prediction_ts + toIntervalMicrosecond({outcome.window // timedelta(microseconds=1)})"
    return "assumeNotNull(action_ts)"


def losses_as_rows(database: str, model: str, outcome: Outcome, kind: Kind, since_us: int) -> str:
    """SQL of a table of the losses since an instant, as they are now.

    Columns: prediction_id, at (when it was known), loss, label, version, segments. `label` is 1 for the positive class
    and 0 for the other, or a number; NULL of several classes.
    """
    condition, loss = loss_of(kind, outcome)
    label = {Kind.REGRESSION: "label_value", Kind.MULTICLASS: "NULL"}.get(kind, is_positive(outcome.positive))
    window_us = outcome.window // timedelta(microseconds=1)
    at = _known(outcome)
    if outcome.on_timeout is not OnTimeout.NEGATIVE:
        condition = f"action_ts IS NOT NULL AND {condition}"
    # Not by its name where the condition means the label as text.
    return (
        f"(SELECT prediction_id, at, loss, number AS label, version, segments FROM (SELECT prediction_id, {at} AS at, "
        f"toFloat64({loss}) AS loss, toFloat64({label}) AS number, version, segments "
        f"FROM {database}.feedback_current WHERE model = {quote(model)} AND outcome = {quote(outcome.name)} "
        f"AND prediction_ts >= {instant(since_us - window_us)} AND at >= {instant(since_us)} AND {condition}))"
    )


def loss_of(kind: Kind, outcome: Outcome) -> tuple[str, str]:
    """SQL of the rows of feedback that say how good the model was, and of what one of them says.

    An error counts 1, and a score without a decision (y - p)²; a regression |y - ŷ|; a ranking what is not relevant.
    """
    positive = outcome.positive
    match kind:
        case Kind.REGRESSION:
            return "label_value IS NOT NULL AND prediction_value IS NOT NULL", "abs(label_value - prediction_value)"
        case Kind.MULTICLASS:
            return "label IS NOT NULL AND prediction IS NOT NULL", "label != prediction"
        case Kind.RANKING:
            return has_label(positive), f"NOT ({is_positive(positive)})"
        case _:
            happened, said = is_positive(positive), predicted(positive)
            square = f"pow(assumeNotNull(score) - ({happened}), 2)"
            loss = f"if(prediction IS NULL, {square}, assumeNotNull({said}) != ({happened}))"
            return f"{has_label(positive)} AND isNotNull({said})", loss
