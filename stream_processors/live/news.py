"""What came since the last look: for each model the stretches of event time that changed."""

from collections.abc import Collection
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


def find_news(
    clickhouse: ClickHouse,
    since: datetime,
    bucket_s: int,
    models: Collection[str] = (),
    with_actions: Collection[str] = (),
) -> dict[str, News]:
    """By model (all, unless some are named): what was written at `since` or later; of some models the actions too."""
    database = clickhouse.database
    written = written_at = f"_ingested_at >= {instant(micros_of(since))}"
    if models:
        written += f" AND model IN ({quoted(sorted(models))})"
    # A label that was another one before may have left the window of any action of its prediction.
    changed = f"SELECT model, outcome, prediction_id FROM {database}.feedback WHERE {written} AND revision > 2"
    of_predictions = (
        f"SELECT model, {_LATEST}, groupUniqArray({bucket('ts', bucket_s)}) "
        f"FROM {database}.predictions WHERE {written} GROUP BY model"
    )
    of_moved_labels = (
        f"SELECT f.model, f.outcome, groupUniqArray({bucket('a.ts', bucket_s)}) FROM {database}.actions AS a "
        f"INNER JOIN ({changed}) AS f ON a.prediction_id = f.prediction_id "
        f"WHERE a.prediction_id IN (SELECT prediction_id FROM ({changed})) GROUP BY f.model, f.outcome"
    )
    of_labels = (
        f"SELECT model, outcome, {_LATEST}, groupUniqArray({bucket('prediction_ts', bucket_s)}), "
        f"groupUniqArrayIf({bucket('assumeNotNull(action_ts)', bucket_s)}, action_ts IS NOT NULL) "
        f"FROM {database}.feedback WHERE {written} GROUP BY model, outcome"
    )
    of_actions = [_acted_on(database, written_at, bucket_s, with_actions)] if with_actions else []
    predicted, moved, labelled, *acted_on = at_once(
        partial(clickhouse.rows, sql) for sql in (of_predictions, of_moved_labels, of_labels, *of_actions)
    )
    found = {model: News(from_micros(latest), frozenset(buckets)) for model, latest, buckets in predicted}
    left = {(model, outcome): frozenset(buckets) for model, outcome, buckets in moved}
    for model, outcome, latest, made, came in labelled:
        at = from_micros(latest)
        before = found.get(model, News(at))
        labels = {outcome: (frozenset(made), frozenset(came) | left.get((model, outcome), frozenset()))}
        found[model] = replace(before, latest=max(before.latest, at), labels=before.labels | labels)
    for model, latest, made, came in chain(*acted_on):
        at = from_micros(latest)
        before = found.get(model, News(at))
        found[model] = replace(before, latest=max(before.latest, at), actions=(frozenset(made), frozenset(came)))
    return found


def _acted_on(database: str, written_at: str, bucket_s: int, models: Collection[str]) -> str:
    """SQL of (model, last written, buckets of predictions, of actions) where an action is new, or was placed."""
    concerned = " UNION ALL ".join(
        f"SELECT prediction_id FROM {database}.{table} WHERE {written_at}" for table in ("actions", "action_status")
    )
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
