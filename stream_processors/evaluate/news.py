"""What came since the last look: for each model the stretches of event time that changed."""

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct

from ...infra.clickhouse import ClickHouse, quoted
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

    @property
    def newest_s(self) -> float:
        """The latest second of event time in it."""
        return max([0, *self.predictions, *(each for of in self.labels.values() for bs in of for each in bs)])


def find_news(clickhouse: ClickHouse, since: datetime, bucket_s: int, models: Collection[str] = ()) -> dict[str, News]:
    """By model (all, unless some are named): what was written at `since` or later."""
    database = clickhouse.database
    written = f"_ingested_at >= {instant(micros_of(since))}"
    if models:
        written += f" AND model IN ({quoted(sorted(models))})"
    found = {
        model: News(from_micros(latest), frozenset(buckets))
        for model, latest, buckets in clickhouse.rows(
            f"SELECT model, {_LATEST}, groupUniqArray({bucket('ts', bucket_s)}) "
            f"FROM {database}.predictions WHERE {written} GROUP BY model"
        )
    }
    # A label that was another one before may have left the window of any action of its prediction.
    changed = f"SELECT model, outcome, prediction_id FROM {database}.feedback WHERE {written} AND revision > 2"
    left = {
        (model, outcome): frozenset(buckets)
        for model, outcome, buckets in clickhouse.rows(
            f"SELECT f.model, f.outcome, groupUniqArray({bucket('a.ts', bucket_s)}) FROM {database}.actions AS a "
            f"INNER JOIN ({changed}) AS f ON a.prediction_id = f.prediction_id "
            f"WHERE a.prediction_id IN (SELECT prediction_id FROM ({changed})) GROUP BY f.model, f.outcome"
        )
    }
    for model, outcome, latest, made, came in clickhouse.rows(
        f"SELECT model, outcome, {_LATEST}, groupUniqArray({bucket('prediction_ts', bucket_s)}), "
        f"groupUniqArrayIf({bucket('assumeNotNull(action_ts)', bucket_s)}, action_ts IS NOT NULL) "
        f"FROM {database}.feedback WHERE {written} GROUP BY model, outcome"
    ):
        at = from_micros(latest)
        before = found.get(model, News(at))
        labels = {outcome: (frozenset(made), frozenset(came) | left.get((model, outcome), frozenset()))}
        found[model] = News(max(before.latest, at), before.predictions, before.labels | labels)
    return found


def bucket(clock: str, bucket_s: int) -> str:
    """SQL of the second at which the bucket of `clock` starts."""
    return f"intDiv(toUnixTimestamp64Micro({clock}), {bucket_s * 1_000_000}) * {bucket_s}"
