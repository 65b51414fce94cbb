"""Predictions and actions that left memory, found again in ClickHouse: a batch of ids, a few queries."""

from collections.abc import Iterable, Iterator, Sequence

from ..infra.clickhouse import ClickHouse, quote, quoted
from ..schemas.events import Scalar
from ..schemas.feedback import FeedbackStatus
from ..schemas.ledger import IgnoreReason
from .join.epochs import Epochs, revision_of
from .join.state import Acted, Stored, StoredPrediction
from .join.sweeps import Sweep

# ClickHouse takes statements of 256 KiB unless told otherwise.
_SQL_BYTES = 200_000


class NotYet:
    """SQL that leaves out rows from an offset on: stored by a flush that did not end, to be read again."""

    def __init__(self, topic_id: str, partition: int, next_offset: int) -> None:
        self.sql = f"NOT (_topic_id = {quote(topic_id)} AND _partition = {partition} AND _offset >= {next_offset})"


class Lookups:
    """Cold lookups. Each call blocks on ClickHouse; the caller runs it in a thread.

    `epochs` say which rows of feedback answer the present rules.
    """

    def __init__(self, clickhouse: ClickHouse, epochs: Epochs) -> None:
        self._clickhouse = clickhouse
        self._epochs = epochs
        self._database = clickhouse.database

    def find(self, ids: Sequence[str], not_yet: Sequence[tuple[NotYet, NotYet]]) -> dict[str, Stored]:
        """What is stored of each prediction id; ids of which nothing is stored are left out.

        `not_yet` leaves out rows of predictions and of actions, for each partition that the ids belong to.
        """
        found: dict[str, Stored] = {}
        of_predictions = " AND ".join(["1", *(prediction.sql for prediction, _ in not_yet)])
        of_actions = " AND ".join(["1", *(action.sql for _, action in not_yet)])
        for some in in_portions(ids):
            self._find_predictions(some, of_predictions, found)
            self._find_actions(some, of_actions, found)
        return found

    def waiting(self, sweep: Sweep, partition: int, partitions: int, after: str, limit: int) -> list[str]:
        """Ids, in order and behind `after`, of the sweep's predictions that have no answer for its outcome."""
        # No row is ever taken back under the first rule of an outcome, and a view with FINAL costs more.
        feedback = "feedback_current" if self._epochs.of(sweep.model, sweep.outcome) else "feedback"
        rows = self._clickhouse.rows(
            f"SELECT prediction_id FROM {self._database}.predictions "
            f"WHERE model = {quote(sweep.model)} AND ts >= {instant(sweep.from_us)} AND ts < {instant(sweep.to_us)} "
            f"AND {in_partition('prediction_id', partition, partitions)} AND prediction_id > {quote(after)} "
            f"AND prediction_id NOT IN (SELECT prediction_id FROM {self._database}.{feedback} "
            f"WHERE model = {quote(sweep.model)} AND outcome = {quote(sweep.outcome)} "
            f"AND prediction_ts >= {instant(sweep.from_us)} AND prediction_ts < {instant(sweep.to_us)} "
            f"AND revision >= {sweep.answered_from}) "
            f"ORDER BY prediction_id LIMIT {limit}"
        )
        return [row[0] for row in rows]

    def _find_predictions(self, ids: Sequence[str], not_yet: str, found: dict[str, Stored]) -> None:
        table = self._clickhouse.arrow(
            "SELECT prediction_id, toUnixTimestamp64Micro(ts) AS ts_us, model, version, prediction, prediction_value, "
            "score, segments, variants, toUnixTimestamp64Micro(_watermark) AS accepted_us "
            f"FROM {self._database}.predictions WHERE prediction_id IN ({quoted(ids)}) AND {not_yet}"
        )
        if not table.num_rows:
            return
        names = table.column_names
        rows = list(zip(*(table.column(name).to_pylist() for name in names), strict=True))
        expired, outdated = self._answers({row[2] for row in rows}, [row[1] for row in rows], [row[0] for row in rows])
        for prediction_id, ts_us, model, version, text, number, score, segments, variants, accepted_us in rows:
            found.setdefault(prediction_id, Stored(actions=[])).prediction = StoredPrediction(
                ts_us,
                accepted_us,
                model,
                version,
                scalar_of(text, number),
                score,
                dict(segments) or None,
                dict(variants) or None,
                frozenset(expired.get(prediction_id, ())),
                frozenset(outdated.get(prediction_id, ())),
            )

    def _answers(
        self, models: Iterable[str], ts_us: Sequence[int], ids: Sequence[str]
    ) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """Outcomes by prediction: those that ever had a provisional row, and those that a former rule answered.

        The last row says so, before ClickHouse merged the others away and after.
        """
        # Without a rule that changed, only provisional rows say anything.
        telling = "" if self._epochs.any_changed else "HAVING status != 'matched'"
        rows = self._clickhouse.rows(
            "SELECT prediction_id, model, outcome, argMax(feedback.status, feedback.revision) AS status, max(revision) "
            f"FROM {self._database}.feedback "
            f"WHERE model IN ({quoted(sorted(models))}) AND prediction_ts >= {instant(min(ts_us))} "
            f"AND prediction_ts <= {instant(max(ts_us))} AND prediction_id IN ({quoted(ids)}) "
            f"GROUP BY prediction_id, model, outcome {telling}"
        )
        expired: dict[str, set[str]] = {}
        outdated: dict[str, set[str]] = {}
        for prediction_id, model, outcome, status, revision in rows:
            if revision < revision_of(self._epochs.of(model, outcome), 0, False):
                outdated.setdefault(prediction_id, set()).add(outcome)
            elif status in (FeedbackStatus.EXPIRED, FeedbackStatus.REVISED):
                expired.setdefault(prediction_id, set()).add(outcome)
        return expired, outdated

    def _find_actions(self, ids: Sequence[str], not_yet: str, found: dict[str, Stored]) -> None:
        for prediction_id, acted in stored_actions(self._clickhouse, f"prediction_id IN ({quoted(ids)}) AND {not_yet}"):
            found.setdefault(prediction_id, Stored(actions=[])).actions.append(acted)


def stored_actions(clickhouse: ClickHouse, where: str) -> Iterator[tuple[str, Acted]]:
    """Actions by prediction id, as the join keeps them, that meet a condition on table `actions`."""
    table = clickhouse.arrow(
        "SELECT prediction_id, action_id, name, toUnixTimestamp64Micro(ts) AS ts_us, value, value_num, _offset, "
        "class, reason "
        f"FROM {clickhouse.database}.actions WHERE {where}"
    )
    rows = list(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))
    waited = sorted({row[0] for row in rows if row[7] == "held"})
    retired: set[tuple[str, str]] = set()
    for some in in_portions(waited):
        retired |= {
            (prediction_id, action_id)
            for prediction_id, action_id in clickhouse.rows(
                f"SELECT DISTINCT prediction_id, action_id FROM {clickhouse.database}.action_status "
                f"WHERE prediction_id IN ({quoted(some)}) AND reason = '{IgnoreReason.AFTER_RETENTION}'"
            )
        }
    for prediction_id, action_id, name, ts_us, text, number, offset, _, reason in rows:
        is_retired = reason == IgnoreReason.AFTER_RETENTION or (prediction_id, action_id) in retired
        yield prediction_id, Acted(action_id, name, ts_us, scalar_of(text, number), offset, is_retired)


def in_portions(ids: Sequence[str]) -> Iterator[list[str]]:
    """Ids in portions that fit into a statement.

    >>> [len(some) for some in in_portions(["x" * 97] * 4500)]
    [2000, 2000, 500]
    """
    portion: list[str] = []
    size = 0
    for each in ids:
        # Quotes, comma, and room for escapes and characters of several bytes.
        cost = len(each.encode()) + 3 + each.count("\\") + each.count("'")
        if size + cost > _SQL_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += cost
    if portion:
        yield portion


def scalar_of(text: str | None, number: float | None) -> Scalar:
    """The value of an event again, from its text and its number.

    >>> scalar_of("true", 1.0), scalar_of("true", None), scalar_of("12", 12.0), scalar_of("1e300", 1e300)
    (True, 'true', 12, 1e+300)
    """
    if text is None or number is None:
        return text
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return number


def instant(ts_us: int) -> str:
    """An instant in µs as a ClickHouse literal."""
    return f"fromUnixTimestamp64Micro({ts_us}, 'UTC')"


def in_partition(column: str, partition: int, partitions: int) -> str:
    """SQL that is true for ids that belong to a partition, wherever they were read."""
    return f"kafkaMurmurHash({column}) % {partitions} = {partition}"
