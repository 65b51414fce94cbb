"""What came since the last look: for each model the stretches of event time that changed.

A row may become visible some minutes after it was stamped, so that the same minutes of writing are looked at again and
again. What the rows of each add up to is asked in one cheap query; only minutes in which that changed are read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ...infra.clickhouse import ClickHouse, quoted
from ..at_once import at_once
from ..lookups import instant
from ..records import from_micros, micros_of

EVER = datetime(1970, 1, 1, tzinfo=UTC)
Buckets = frozenset[int]
Source = Literal["predictions", "feedback", "revised", "actions", "awaited"]
"""What rows are about. `revised` is feedback on predictions that had a label before; `awaited` are predictions of
models with indicators: actions on them may have been there before they were."""
Portion = tuple[Source, str, str, int]
"""Rows of a model, and of an outcome if they have any, that were written in the minute from a second on."""
_NOTHING: tuple[Buckets, Buckets] = (frozenset(), frozenset())
_LATEST = "toUnixTimestamp64Milli(max(_ingested_at)) * 1000"


class News(Struct, frozen=True):
    """Buckets of a model in which rows changed, by the second they start at, and when the last row was written."""

    latest: datetime
    since: datetime = EVER
    """All of these rows were written at it or later."""
    predictions: Buckets = frozenset()
    labels: dict[str, tuple[Buckets, Buckets]] = {}
    """By outcome: buckets of the predictions, and of the labels that came or went."""
    actions: tuple[Buckets, Buckets] = _NOTHING
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

    def is_news(self, portion: Portion, sum_: int) -> bool:
        """Whether it is not what it was when last kept."""
        self._seen[portion] = sum_
        return self._known.get(portion) != sum_

    def keep(self) -> None:
        """All that was seen since the last time is noted; what was not seen is over."""
        self._known, self._seen = self._seen, {}

    def forget(self) -> None:
        """Everything is news again."""
        self._known, self._seen = {}, {}


def find_news(
    clickhouse: ClickHouse, since: datetime, bucket_s: int, heard: Heard, with_actions: Collection[str] = ()
) -> dict[str, News]:
    """By model: what was written at `since` or later, but for minutes that are `heard`; of some models actions too.

    What comes between counting and reading is in it already, and once more in the next.
    """
    begin = since.replace(second=0, microsecond=0)
    minutes: dict[Source, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for source, model, outcome, minute_s, sum_ in clickhouse.rows(_sums(clickhouse.database, begin, with_actions)):
        if sum_ and heard.is_news((source, model, outcome, minute_s), sum_):
            minutes[source][model].add(minute_s)
            if source == "predictions" and model in with_actions:
                minutes["awaited"][model].add(minute_s)
    written: dict[Source, str] = {source: _in_minutes(of_model) for source, of_model in minutes.items()}

    def first(model: str) -> datetime:
        changed = (minute_s for of_model in minutes.values() for minute_s in of_model.get(model, ()))
        return datetime.fromtimestamp(min(changed, default=int(begin.timestamp())), UTC)

    found = _read(clickhouse, written, bucket_s, with_actions)
    return {model: replace(news, since=first(model)) for model, news in found.items()}


def all_news(
    clickhouse: ClickHouse, bucket_s: int, models: Collection[str], with_actions: Collection[str] = ()
) -> dict[str, News]:
    """By model: everything that was ever written of these; of some of them the actions too."""
    sources: list[Source] = ["predictions", "feedback", "revised", *(["actions"] if with_actions else [])]
    return _read(clickhouse, dict.fromkeys(sources, f"model IN ({quoted(sorted(models))})"), bucket_s, with_actions)


def _sums(database: str, since: datetime, with_actions: Collection[str]) -> str:
    """SQL of (source, model, outcome, minute of writing, what its rows add up to, 0 if there are none)."""
    written = f"_ingested_at >= {instant(micros_of(since))}"
    minute = "toInt64(toUnixTimestamp(toStartOfMinute(_ingested_at))) AS minute"
    # Feedback and status are folded by merges: another number of rows is not what makes news, and the same may be.
    revisions = "cityHash64(prediction_id, revision)"
    of_predictions = (
        f"SELECT 'predictions' AS source, model, '' AS outcome, {minute}, count() AS sum "
        f"FROM {database}.predictions WHERE {written} GROUP BY model, minute"
    )
    of_labels = (
        f"SELECT arrayJoin(['feedback', 'revised']) AS source, model, outcome, {minute}, "
        f"if(source = 'feedback', sum({revisions}), sumIf({revisions}, revision > 2)) AS sum "
        f"FROM {database}.feedback WHERE {written} GROUP BY model, outcome, minute"
    )
    # An action that came before its prediction gets its model with its status.
    of_actions = [
        f"SELECT 'actions' AS source, model, '{table}' AS outcome, {minute}, sum({number}) AS sum "
        f"FROM {database}.{table} WHERE {written} AND model IN ({quoted(sorted(with_actions))}) GROUP BY model, minute"
        for table, number in (("actions", "1"), ("action_status", "cityHash64(prediction_id, action_id, rank)"))
        if with_actions
    ]
    return " UNION ALL ".join((of_predictions, of_labels, *of_actions))


def _in_minutes(minutes: Mapping[str, Collection[int]]) -> str:
    """SQL condition that a row of a model was written in one of its minutes."""
    models: dict[frozenset[int], list[str]] = defaultdict(list)
    for model, of_model in minutes.items():
        models[frozenset(of_model)].append(model)
    conditions = [
        f"(model IN ({quoted(sorted(of))}) AND ({' OR '.join(map(_in_minute, sorted(changed)))}))"
        for changed, of in models.items()
    ]
    return f"({' OR '.join(conditions)})"


def _in_minute(begin_s: int) -> str:
    begin, end = (instant(second * 1_000_000) for second in (begin_s, begin_s + 60))
    return f"(_ingested_at >= {begin} AND _ingested_at < {end})"


def _read(
    clickhouse: ClickHouse, written: Mapping[Source, str], bucket_s: int, with_actions: Collection[str]
) -> dict[str, News]:
    """By model: the news of rows that fulfil a condition, by what they are about."""
    queries = {
        "predictions": _of_predictions, "feedback": _of_labels, "revised": _of_moved_labels,
        "actions": partial(_of_actions, with_actions, ("actions", "action_status")),
        "awaited": partial(_of_actions, with_actions, ("predictions",)),
    }  # fmt: skip
    answers = at_once(
        partial(clickhouse.rows, queries[source](clickhouse.database, which, bucket_s))
        for source, which in written.items()
    )
    found: dict[str, News] = {}
    for source, rows in zip(written, answers, strict=True):
        for model, latest_us, *buckets in rows:
            before = _seen_by(found, model, latest_us)
            match source:
                case "predictions":
                    found[model] = replace(before, predictions=frozenset(*buckets))
                case "actions" | "awaited":
                    found[model] = replace(before, actions=_joined(before.actions, *buckets))
                case _:
                    outcome, *buckets = buckets
                    joined = _joined(before.labels.get(outcome, _NOTHING), *buckets)
                    found[model] = replace(before, labels=before.labels | {outcome: joined})
    return found


def _seen_by(found: Mapping[str, News], model: str, latest_us: int) -> News:
    """What is known of the model, with a row that was written then."""
    at = from_micros(latest_us)
    before = found.get(model, News(at))
    return replace(before, latest=max(before.latest, at))


def _joined(known: tuple[Buckets, Buckets], made: Iterable[int], came: Iterable[int]) -> tuple[Buckets, Buckets]:
    return known[0].union(made), known[1].union(came)


def _of_predictions(database: str, written: str, bucket_s: int) -> str:
    """SQL of (model, last written, buckets)."""
    return (
        f"SELECT model, {_LATEST}, groupUniqArray({bucket('ts', bucket_s)}) "
        f"FROM {database}.predictions WHERE {written} GROUP BY model"
    )


def _of_labels(database: str, written: str, bucket_s: int) -> str:
    """SQL of (model, last written, outcome, buckets of predictions, of labels)."""
    return (
        f"SELECT model, {_LATEST}, outcome, groupUniqArray({bucket('prediction_ts', bucket_s)}), "
        f"groupUniqArrayIf({bucket('assumeNotNull(action_ts)', bucket_s)}, action_ts IS NOT NULL) "
        f"FROM {database}.feedback WHERE {written} GROUP BY model, outcome"
    )


def _of_moved_labels(database: str, written: str, bucket_s: int) -> str:
    """SQL of the same where a label was another one before: it may have left the window of any other action."""
    changed = (
        f"SELECT model, outcome, prediction_id, _ingested_at FROM {database}.feedback WHERE {written} AND revision > 2"
    )
    return (
        f"SELECT f.model, toUnixTimestamp64Milli(max(f._ingested_at)) * 1000, f.outcome, emptyArrayInt64(), "
        f"groupUniqArray({bucket('a.ts', bucket_s)}) FROM {database}.actions AS a "
        f"INNER JOIN ({changed}) AS f ON a.prediction_id = f.prediction_id "
        f"WHERE a.prediction_id IN (SELECT prediction_id FROM ({changed})) GROUP BY f.model, f.outcome"
    )


def _of_actions(models: Collection[str], tables: Sequence[str], database: str, written: str, bucket_s: int) -> str:
    """SQL of (model, last written, buckets of predictions, of actions) of predictions with such rows in the tables."""
    concerned = " UNION ALL ".join(f"SELECT prediction_id FROM {database}.{table} WHERE {written}" for table in tables)
    return (
        f"SELECT p.model, toUnixTimestamp64Milli(max(a._ingested_at)) * 1000, "
        f"groupUniqArray({bucket('p.ts', bucket_s)}), groupUniqArray({bucket('a.ts', bucket_s)}) "
        f"FROM {database}.predictions AS p INNER JOIN "
        f"(SELECT prediction_id, ts, _ingested_at FROM {database}.actions WHERE prediction_id IN ({concerned})) AS a "
        f"ON p.prediction_id = a.prediction_id "
        f"WHERE p.model IN ({quoted(sorted(models))}) AND p.prediction_id IN ({concerned}) GROUP BY p.model"
    )


def bucket(clock: str, bucket_s: int) -> str:
    """SQL of the second at which the bucket of `clock` starts."""
    return f"intDiv(toUnixTimestamp64Micro({clock}), {bucket_s * 1_000_000}) * {bucket_s}"
