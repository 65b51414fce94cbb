"""Fingerprints of the rows that windows are made of: equal ones mean that there is nothing to evaluate again."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from ...infra.clickhouse import ClickHouse, quote, quoted
from ...schemas.windows import TimeOf
from ..at_once import at_once
from ..lookups import instant
from .news import bucket
from .series import KPIS, Due, starts_of
from .stretches import in_windows, stretches

_MODULO = 1 << 64


class Content(Struct):
    """Rows of a window: a hash of which they are, and their number plus their revisions."""

    hash: int = 0
    revision: int = 0

    def defined_as(self, definition: int) -> "Content":
        """Windows of another definition have other contents, though their rows be the same."""
        return Content((self.hash + definition) % _MODULO, self.revision)

    def add(self, hash_: int, revision: int) -> None:
        """Count further rows in."""
        self.hash = (self.hash + hash_) % _MODULO
        self.revision += revision


_Asked = dict[tuple[str, str], set[Due]]

_ONCE = "LIMIT 1 BY prediction_id, action_id"


def contents_of(clickhouse: ClickHouse, dues: Collection[Due], bucket_s: int) -> dict[Due, Content]:
    """The content of each window; one without rows has hash and revision 0."""
    contents = {due: Content() for due in dues}
    cohorts = [due for due in dues if due.series.time_of is TimeOf.PREDICTION]
    labels = [due for due in dues if due.series.time_of is TimeOf.LABEL]
    wanted: list[tuple[_Asked, str]] = []
    for query, which, is_of_all in (
        (_predictions, cohorts, True),
        (_feedback, [due for due in cohorts if due.series.outcome != KPIS], False),
        (_labels, [due for due in labels if due.series.outcome != KPIS], False),
        (_acted_on, [due for due in cohorts if due.series.outcome == KPIS], True),
        (_actions, [due for due in labels if due.series.outcome == KPIS], True),
    ):
        asked: _Asked = defaultdict(set)
        for due in which:
            asked[due.series.model, "" if is_of_all else due.series.outcome].add(due)
        if asked:
            wanted.append((asked, query(clickhouse.database, asked, bucket_s)))
    answers = at_once(partial(clickhouse.rows, sql) for _, sql in wanted)
    for (asked, _), rows in zip(wanted, answers, strict=True):
        _add(contents, rows, asked, bucket_s)
    return contents


def _add(contents: dict[Due, Content], rows: Sequence[Any], asked: _Asked, bucket_s: int) -> None:
    """Count rows of (model, outcome, bucket, revisions, hashes) into the windows that they are in."""
    series_of = {key: {due.series for due in dues} for key, dues in asked.items()}
    for model, outcome, at, revisions, hashes in rows:
        for series in series_of[model, outcome]:
            for start in starts_of(series.window, at, bucket_s):
                if (due := Due(series, start)) in asked[model, outcome]:
                    contents[due].add(hashes, revisions)


def _predictions(database: str, asked: _Asked, bucket_s: int) -> str:
    return (
        f"SELECT model, '' AS outcome, {bucket('ts', bucket_s)} AS bucket, count(), sum(cityHash64(prediction_id)) "
        f"FROM {database}.predictions WHERE {_within(asked, 'ts')} GROUP BY model, bucket"
    )


def _feedback(database: str, asked: _Asked, bucket_s: int, clock: str = "prediction_ts") -> str:
    return (
        f"SELECT model, outcome, {bucket(clock, bucket_s)} AS bucket, sum(toUInt64(revision)), "
        f"sum(cityHash64(prediction_id, revision)) FROM {database}.feedback_current "
        f"WHERE {_within(asked, clock)} GROUP BY model, outcome, bucket"
    )


def _labels(database: str, asked: _Asked, bucket_s: int) -> str:
    return _feedback(database, asked, bucket_s, "assumeNotNull(action_ts)")


def _acted_on(database: str, asked: _Asked, bucket_s: int) -> str:
    """Actions by the time of their prediction."""
    predictions = f"FROM {database}.predictions WHERE {_within(asked, 'ts')}"
    actions = (
        f"SELECT prediction_id, action_id FROM {database}.actions_current WHERE model IN ({_models(asked)}) "
        f"AND prediction_id IN (SELECT prediction_id {predictions}) {_ONCE}"
    )
    return (
        f"SELECT model, '' AS outcome, {bucket('ts', bucket_s)} AS bucket, count(), "
        f"sum(cityHash64(a.prediction_id, a.action_id)) FROM (SELECT prediction_id, model, ts {predictions}) AS p "
        f"INNER JOIN ({actions}) AS a ON p.prediction_id = a.prediction_id GROUP BY model, bucket"
    )


def _actions(database: str, asked: _Asked, bucket_s: int) -> str:
    """Actions by their own time, with how many others their prediction has: indicators may need those too."""
    spans = stretches({due for dues in asked.values() for due in dues})
    acted = " OR ".join(
        f"ts >= {instant(begin * 1_000_000)} AND ts < {instant(end * 1_000_000)}" for begin, end in spans
    )
    actions = (
        f"SELECT model, prediction_id, action_id, ts FROM {database}.actions_current WHERE model IN ({_models(asked)}) "
        f"AND prediction_id IN (SELECT prediction_id FROM {database}.actions WHERE model IN ({_models(asked)}, '') "
        f"AND ({acted})) {_ONCE}"
    )
    counted = f"SELECT *, count() OVER (PARTITION BY prediction_id) AS of_prediction FROM ({actions})"
    return (
        f"SELECT model, '' AS outcome, {bucket('ts', bucket_s)} AS bucket, sum(of_prediction), "
        f"sum(cityHash64(prediction_id, action_id, of_prediction)) FROM ({counted}) "
        f"WHERE {_within(asked, 'ts')} GROUP BY model, bucket"
    )


def _models(asked: _Asked) -> str:
    return quoted(sorted({model for model, _ in asked}))


def _within(asked: _Asked, clock: str) -> str:
    """SQL condition that a row is in one of the windows asked for, by (model, outcome)."""
    known = " AND action_ts IS NOT NULL" if "action_ts" in clock else ""
    return in_windows(
        (
            (model, (f"outcome = {quote(outcome)}" if outcome else "1") + known, dues)
            for (model, outcome), dues in asked.items()
        ),
        partial(_between, clock),
    )


def _between(clock: str, begin: int, end: int) -> str:
    return f"{clock} >= {instant(begin * 1_000_000)} AND {clock} < {instant(end * 1_000_000)}"
