"""The losses of a model, one a prediction, each once, in the order of event time in which they became known.

Where silence is an answer (`on_timeout: negative`), a label counts from the end of its window on, when those that say
no are known as well: before that, there are only those that say yes. So it does where several actions make it
(`combine: sum` or `max`): before that, there is only a part of it. Else it counts from the first of its actions on, and
what later ones change is not heard.

Feedback has the last revision of a label, once ClickHouse has merged those before it. What was heard when is told by
the actions, whose rows stay.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from ...infra.clickhouse import ClickHouse, quote, quoted
from ...schemas.outcomes import Combine, Kind, OnTimeout, Outcome
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
        self._database = clickhouse.database
        self._outcome = outcome
        self._window_us = outcome.window // timedelta(microseconds=1)
        self._silent = outcome.on_timeout is OnTimeout.NEGATIVE
        self._table = f"{clickhouse.database}.feedback"
        self._of = f"model = {quote(model)} AND outcome = {quote(outcome.name)}"
        # What is recomputed stands for what was taken, or will be; so does what revises a provisional answer.
        self._stands_in = ["_topic = ''", *(["status = 'revised'"] if self._silent else [])]
        self._predictions = f"{clickhouse.database}.predictions WHERE model = {quote(model)}"
        condition, loss = loss_of(kind, outcome)
        self._condition = condition if self._silent else f"action_ts IS NOT NULL AND {condition}"
        of_row = ", ".join(f"segments[{quote(key)}]" for key in segments)
        # When a label counts, but for one that counts from the first of several actions on.
        self._clock, self._behind_us = (
            ("prediction_ts", self._window_us) if _waits(outcome) else ("assumeNotNull(action_ts)", 0)
        )
        self._columns = f"prediction_id, toUnixTimestamp64Micro(at) AS known_us, toFloat64({loss}) AS loss, "
        self._columns += f"CAST([{of_row}], 'Array(String)') AS of_row"

    def new(self, from_us: int, until_us: int, written_ms: Mapping[int, int]) -> tuple[list[Loss], int]:
        """Known after one instant and by another; and until when that is: the order holds, at most some are taken."""
        if until_us <= from_us or not written_ms:
            return [], from_us
        until_us = self._far_enough(from_us, until_us)
        visible = (
            f"SELECT * FROM {self._table} WHERE {self._of} AND {self._may_be_known(from_us, until_us)} "
            f"AND ({' OR '.join(self._stands_in)} OR {_written(written_ms)}) "
            "ORDER BY revision DESC LIMIT 1 BY prediction_id"
        )
        known = _when_known(self._database, self._outcome, visible, _written(written_ms))
        rows = self._clickhouse.rows(
            f"SELECT * FROM (SELECT {self._columns} FROM {known} WHERE status != 'pending' "
            f"AND {self._condition} AND known_us > {from_us} AND known_us <= {until_us} "
            f"ORDER BY known_us LIMIT {MOST_AT_ONCE} WITH TIES) ORDER BY known_us, prediction_id, loss"
        )
        end_us = rows[-1][1] if len(rows) >= MOST_AT_ONCE else until_us
        return [Loss(known_us, id_, loss, tuple(of)) for id_, known_us, loss, of in rows], end_us

    def _far_enough(self, from_us: int, until_us: int) -> int:
        """An instant by which some are known: nothing behind it is read, be there months of it."""
        ((end_us, n),) = self._clickhouse.rows(
            f"SELECT max(us), count() FROM (SELECT toUnixTimestamp64Micro({self._clock}) AS us FROM {self._table} "
            f"WHERE {self._of} AND {self._after(from_us)} AND {self._by(until_us)} ORDER BY us LIMIT {MOST_AT_ONCE})"
        )
        return end_us + self._behind_us if n >= MOST_AT_ONCE else until_us

    def _may_be_known(self, from_us: int, until_us: int) -> str:
        """SQL condition that holds for all revisions of what is known between, and for little else: by indexes."""
        if _waits(self._outcome):
            return f"{self._after(from_us)} AND {self._by(until_us)}"
        # The first of several actions may be long before the one that decides.
        acted = f"{self._after(from_us)} AND (n_actions > 1 OR {self._by(until_us)})"
        key = "model, outcome, prediction_ts, prediction_id"
        return f"({key}) IN (SELECT {key} FROM {self._table} WHERE {self._of} AND {acted})"

    def _after(self, us: int) -> str:
        return f"{self._clock} > {instant(max(0, us - self._behind_us))}"

    def _by(self, us: int) -> str:
        return f"{self._clock} <= {instant(max(0, us - self._behind_us))}"

    def late(self, cursor: Cursor, written_ms: Mapping[int, int]) -> tuple[list[Loss], int]:
        """Written since the cursor and known before it; and until when (ms) that was written.

        A label of which there was an action before was taken then, and one that was written before, by a flush that was
        torn, in an earlier revision or by a worker that repeats what may not be published. Of a prediction that came
        since, nothing was.
        """
        since_ms = {p: cursor.written_ms.get(p, 0) for p in written_ms}
        since = f"_ingested_at > {instant(min(since_ms.values()) * 1000)} AND NOT {_written(since_ms)}"
        written = (
            f"SELECT * FROM {self._table} WHERE {self._of} AND {since} AND {_written(written_ms)} "
            f"AND (NOT ({' OR '.join(self._stands_in)}) "
            f"OR _topic != '' AND prediction_id IN (SELECT prediction_id FROM {self._predictions} AND {since})) "
            f"AND status != 'pending' AND {self._condition}"
        )
        known = _when_known(self._database, self._outcome, written, _written(written_ms))
        rows = self._clickhouse.rows(
            f"SELECT * FROM (SELECT {self._columns}, toUnixTimestamp64Milli(_ingested_at) AS ms "
            f"FROM {known} WHERE known_us <= {cursor.known_us} ORDER BY ms, revision DESC LIMIT 1 BY prediction_id) "
            f"ORDER BY ms LIMIT {MOST_AT_ONCE} WITH TIES"
        )
        end_ms = rows[-1][4] if len(rows) >= MOST_AT_ONCE else max(written_ms.values())
        taken = self._taken(cursor.known_us, since_ms, [row[0] for row in rows]) if rows else set[str]()
        rows = sorted((row for row in rows if row[0] not in taken), key=lambda row: (row[4], *row[1::-1], row[2]))
        return [Loss(known_us, id_, loss, tuple(of)) for id_, known_us, loss, of, _ in rows], end_ms

    def _taken(self, known_us: int, written_ms: Mapping[int, int], ids: Sequence[str]) -> set[str]:
        """Those of the ids that had a label by then: by a row that is there still, or by an action."""
        among = f"{_written(written_ms)} AND prediction_id IN ({quoted(ids)})"
        last = f"p.ts + toIntervalMicrosecond({self._window_us})" if _waits(self._outcome) else instant(known_us)
        acted = (
            "SELECT a.prediction_id FROM "
            f"(SELECT * FROM {self._database}.actions WHERE {_counts(self._outcome)} AND {among}) AS a "
            f"INNER JOIN (SELECT * FROM {self._predictions} AND {among}) AS p ON a.prediction_id = p.prediction_id "
            f"WHERE a.ts <= {last}"
        )
        answered = (
            f"SELECT prediction_id FROM {self._table} WHERE {self._of} AND {among} AND status != 'pending' "
            f"AND {self._condition}"
        )
        rows = self._clickhouse.rows(f"{acted} UNION ALL {answered}" if self._silent else acted)
        return {prediction_id for (prediction_id,) in rows}


def _written(written_ms: Mapping[int, int]) -> str:
    """SQL condition that the flush of a row was committed by then."""
    within = " OR ".join(
        f"_partition = {p} AND _ingested_at <= {instant(ms * 1000)}" for p, ms in sorted(written_ms.items())
    )
    return f"({within})"


def _waits(outcome: Outcome) -> bool:
    """Whether a label counts from the end of its window on: it is a part, or of one kind, before."""
    return outcome.on_timeout is OnTimeout.NEGATIVE or outcome.combine in (Combine.SUM, Combine.MAX)


def _counts(outcome: Outcome) -> str:
    """SQL condition that an action may count."""
    named = f"name IN ({quoted(outcome.actions)})" if outcome.actions else "1"
    return f"{named} AND class != 'ignored'"


def _when_known(database: str, outcome: Outcome, rows: str, visible: str = "1") -> str:
    """SQL of these rows of feedback with `at`, the instant from which on their label counts, by `visible` actions."""
    if _waits(outcome):
        window_us = outcome.window // timedelta(microseconds=1)
        return f"(SELECT *, prediction_ts + toIntervalMicrosecond({window_us}) AS at FROM ({rows}))"
    firsts = (
        f"SELECT prediction_id AS acted_on, min(ts) AS first_ts FROM {database}.actions WHERE {_counts(outcome)} "
        f"AND {visible} AND prediction_id IN (SELECT prediction_id FROM ({rows}) WHERE n_actions > 1) GROUP BY acted_on"
    )
    return (
        "(SELECT f.*, if(f.n_actions > 1 AND a.acted_on != '', least(assumeNotNull(f.action_ts), a.first_ts), "
        "assumeNotNull(f.action_ts)) AS at "
        f"FROM ({rows}) AS f LEFT JOIN ({firsts}) AS a ON f.prediction_id = a.acted_on)"
    )


def losses_as_rows(database: str, model: str, outcome: Outcome, kind: Kind, since_us: int) -> str:
    """SQL of a table of the losses since an instant, as they are now.

    Columns: prediction_id, at (when it was known), loss, label, version, segments. `label` is 1 for the positive class
    and 0 for the other, or a number; NULL of several classes.
    """
    condition, loss = loss_of(kind, outcome)
    label = {Kind.REGRESSION: "label_value", Kind.MULTICLASS: "NULL"}.get(kind, is_positive(outcome.positive))
    window_us = outcome.window // timedelta(microseconds=1)
    if outcome.on_timeout is not OnTimeout.NEGATIVE:
        condition = f"action_ts IS NOT NULL AND {condition}"
    acted = "" if _waits(outcome) else f"AND assumeNotNull(action_ts) >= {instant(since_us)} "
    rows = (
        f"SELECT * FROM {database}.feedback_current WHERE model = {quote(model)} AND outcome = {quote(outcome.name)} "
        f"AND prediction_ts >= {instant(since_us - window_us)} {acted}AND {condition}"
    )
    # Not by its name where the condition means the label as text.
    return (
        f"(SELECT prediction_id, at, loss, number AS label, version, segments FROM (SELECT prediction_id, at, "
        f"toFloat64({loss}) AS loss, toFloat64({label}) AS number, version, segments "
        f"FROM {_when_known(database, outcome, rows)} WHERE at >= {instant(since_us)}))"
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
