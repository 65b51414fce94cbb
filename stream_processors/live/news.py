"""What came since the last look: for each model the stretches of event time that changed.

A row may become visible some minutes after it was stamped, so that the same minutes of writing are looked at again and
again. Of each it is remembered which rows it had.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from ...infra.clickhouse import ClickHouse, quoted
from ..at_once import at_once
from ..lookups import instant
from ..records import from_micros, micros_of

Buckets = frozenset[int]
Portion = tuple[str, str, str, int]
"""Rows of a table, of a model and of an outcome if it has any, that were written in the minute from a second on."""
_LATEST = "toUnixTimestamp64Milli(max(_ingested_at)) * 1000"


class News(Struct, frozen=True):
    """Buckets of a model in which rows changed, by the second they start at, and when the last row was written."""

    latest: datetime
    predictions: Buckets = frozenset()
    labels: dict[str, tuple[Buckets, Buckets]] = {}
    """By outcome: buckets of the predictions, and of the labels that came or went."""
    actions: tuple[Buckets, Buckets] = (frozenset(), frozenset())
    """Of models with indicators: buckets of the predictions that were acted on, and of all actions on those."""

    @property
    def newest_s(self) -> float:
        """The latest second of event time in it."""
        return max([0, *self.predictions, *(each for of in self.labels.values() for bs in of for each in bs)])


class Heard:
    """Which rows were taken note of, by what they add up to. As many portions as the last look saw."""

    def __init__(self) -> None:
        self._known: dict[Portion, int] = {}
        self._seen: dict[Portion, int] = {}

    def is_news(self, portion: Portion, rows: int) -> bool:
        """Whether it is not what it was when last kept."""
        self._seen[portion] = rows
        return self._known.get(portion) != rows

    def keep(self) -> None:
        """All that was seen since the last time is noted; what was not seen is over."""
        self._known, self._seen = self._seen, {}

    def forget(self) -> None:
        """Everything is news again."""
        self._known, self._seen = {}, {}


def find_news(
    clickhouse: ClickHouse,
    since: datetime,
    bucket_s: int,
    models: Collection[str] = (),
    with_actions: Collection[str] = (),
    heard: Heard | None = None,
) -> dict[str, News]:
    """By model (all, unless some are named): what was written at `since` or later; of some models the actions too.

    Minutes of which the predictions or labels of a model are `heard` are left out. What moved, and actions, are few.
    """
    database = clickhouse.database
    minute = "0"
    if heard is not None:
        since, minute = since.replace(second=0, microsecond=0), "toUnixTimestamp(toStartOfMinute(_ingested_at))"
    written = written_at = f"_ingested_at >= {instant(micros_of(since))}"
    if models:
        written += f" AND model IN ({quoted(sorted(models))})"
    # A label that was another one before may have left the window of any action of its prediction.
    changed = (
        f"SELECT model, outcome, prediction_id, _ingested_at FROM {database}.feedback WHERE {written} AND revision > 2"
    )
    of_predictions = (
        f"SELECT model, {minute} AS minute, count(), {_LATEST}, groupUniqArray({bucket('ts', bucket_s)}) "
        f"FROM {database}.predictions WHERE {written} GROUP BY model, minute"
    )
    of_moved_labels = (
        f"SELECT f.model, f.outcome, toUnixTimestamp64Milli(max(f._ingested_at)) * 1000, "
        f"groupUniqArray({bucket('a.ts', bucket_s)}) FROM {database}.actions AS a "
        f"INNER JOIN ({changed}) AS f ON a.prediction_id = f.prediction_id "
        f"WHERE a.prediction_id IN (SELECT prediction_id FROM ({changed})) GROUP BY f.model, f.outcome"
    )
    of_labels = (
        f"SELECT model, outcome, {minute} AS minute, sum(cityHash64(prediction_id, revision)), {_LATEST}, "
        f"groupUniqArray({bucket('prediction_ts', bucket_s)}), "
        f"groupUniqArrayIf({bucket('assumeNotNull(action_ts)', bucket_s)}, action_ts IS NOT NULL) "
        f"FROM {database}.feedback WHERE {written} GROUP BY model, outcome, minute"
    )
    of_actions = [_acted_on(database, written_at, bucket_s, with_actions)] if with_actions else []
    predicted, moved, labelled, *acted_on = at_once(
        partial(clickhouse.rows, sql) for sql in (of_predictions, of_moved_labels, of_labels, *of_actions)
    )
    found: dict[str, News] = {}
    for model, since_s, rows, latest, buckets in predicted:
        if heard is None or heard.is_news(("predictions", model, "", since_s), rows):
            before = _seen_by(found, model, latest)
            found[model] = replace(before, predictions=before.predictions | frozenset(buckets))
    for model, outcome, since_s, rows, latest, made, came in labelled:
        if heard is None or heard.is_news(("feedback", model, outcome, since_s), rows):
            _add_labels(found, model, outcome, latest, made, came)
    for model, outcome, latest, buckets in moved:
        _add_labels(found, model, outcome, latest, (), buckets)
    for model, latest, made, came in chain(*acted_on):
        found[model] = replace(_seen_by(found, model, latest), actions=(frozenset(made), frozenset(came)))
    return found


def _seen_by(found: Mapping[str, News], model: str, latest_us: int) -> News:
    """What is known of the model, with a row that was written then."""
    at = from_micros(latest_us)
    before = found.get(model, News(at))
    return replace(before, latest=max(before.latest, at))


def _add_labels(
    found: dict[str, News], model: str, outcome: str, latest_us: int, made: Iterable[int], came: Iterable[int]
) -> None:
    news = _seen_by(found, model, latest_us)
    of_made, of_came = news.labels.get(outcome, (frozenset(), frozenset()))
    labels = {outcome: (of_made | frozenset(made), of_came | frozenset(came))}
    found[model] = replace(news, labels=news.labels | labels)


def _acted_on(database: str, written_at: str, bucket_s: int, models: Collection[str]) -> str:
    """SQL of (model, last written, buckets of predictions, of actions) where an action is new, or was placed."""
    # An action that came before its prediction gets its model with its status.
    of_models = f"model IN ({quoted(sorted(models))})"
    concerned = " UNION ALL ".join(
        f"SELECT prediction_id FROM {database}.{table} WHERE {written_at} AND {of_models}"
        for table in ("actions", "action_status")
    )
    return (
        f"SELECT p.model, toUnixTimestamp64Milli(max(a._ingested_at)) * 1000, "
        f"groupUniqArray({bucket('p.ts', bucket_s)}), groupUniqArray({bucket('a.ts', bucket_s)}) "
        f"FROM {database}.predictions AS p INNER JOIN "
        f"(SELECT prediction_id, ts, _ingested_at FROM {database}.actions WHERE prediction_id IN ({concerned})) AS a "
        f"ON p.prediction_id = a.prediction_id "
        f"WHERE p.{of_models} AND p.prediction_id IN ({concerned}) GROUP BY p.model"
    )


def bucket(clock: str, bucket_s: int) -> str:
    """SQL of the second at which the bucket of `clock` starts."""
    return f"intDiv(toUnixTimestamp64Micro({clock}), {bucket_s * 1_000_000}) * {bucket_s}"
