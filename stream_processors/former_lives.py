"""What a flush left behind of a topic that no longer exists: rows stored, and no ledger row that ends the flush.

The embedded broker forgets everything when it is killed, and ClickHouse does not. Nobody will read those events again,
so the next owner of the partition finishes the flush: ledger rows for what is stored, and outcomes for its actions.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..infra.clickhouse import ClickHouse, quote
from ..infra.kafka_admin import TopicInfo

# How far the clocks of two workers may be apart.
CLOCKS_APART_S = 5


class Unfinished(NamedTuple):
    """Rows of one former life of an input topic, beyond its ledger. `counts` is by model, event-time hour and class."""

    topic: str
    topic_id: str
    of_actions: bool
    first_offset: int
    last_offset: int
    ids: list[str]
    counts: dict[tuple[str, int, str], int]


class _Rows(NamedTuple):
    """Which rows of a table count as what."""

    table: str
    of_model: str
    hour_of: str
    ids: str
    classes: tuple[str, ...]


_PREDICTIONS = _Rows("predictions", "model", "ts", "groupArray(prediction_id)", ("received", "accepted"))
_ACTIONS = _Rows("actions", "''", "ts", "groupArray(prediction_id)", ("received",))
_DEAD_LETTERS = _Rows("dead_letters", "''", "_ingested_at", "[]", ("received", "invalid"))


def find_unfinished(
    clickhouse: ClickHouse, predictions: TopicInfo, actions: TopicInfo, partition: int
) -> list[Unfinished]:
    """What former lives of the two topics left behind on a partition. Blocks on ClickHouse."""
    found: list[Unfinished] = []
    for topic, table, of_actions in ((predictions, _PREDICTIONS, False), (actions, _ACTIONS, True)):
        left: dict[str, Unfinished] = {}
        for rows in (table, _DEAD_LETTERS):
            for topic_id, model, hour, n, first, last, ids in _beyond_ledger(clickhouse, topic, partition, rows):
                so_far = left.get(topic_id) or Unfinished(topic.name, topic_id, of_actions, first, last, [], {})
                counts = dict(so_far.counts)
                for event_class in rows.classes:
                    counts[model, hour, event_class] = counts.get((model, hour, event_class), 0) + n
                left[topic_id] = so_far._replace(
                    first_offset=min(so_far.first_offset, first),
                    last_offset=max(so_far.last_offset, last),
                    ids=[*so_far.ids, *ids],
                    counts=counts,
                )
        found += left.values()
    return found


def _beyond_ledger(
    clickhouse: ClickHouse, topic: TopicInfo, partition: int, rows: _Rows
) -> Sequence[tuple[str, str, int, int, int, int, list[str]]]:
    """Topic id, model, hour, number, first and last offset, and ids of the rows that no ledger row covers."""
    here = f"_topic = {quote(topic.name)} AND _partition = {partition} AND _topic_id != {quote(topic.topic_id)}"
    database = clickhouse.database
    ended = (
        "SELECT _topic_id, max(last_offset) AS last, max(_ingested_at) AS at, 1 AS known "
        f"FROM {database}.ledger WHERE {here} GROUP BY _topic_id"
    )
    found = clickhouse.rows(
        f"SELECT r._topic_id, r.of_model, r.hour, count(), min(r._offset), max(r._offset), {rows.ids} FROM "
        f"(SELECT *, {rows.of_model} AS of_model, intDiv(toUnixTimestamp({rows.hour_of}), 3600) AS hour "
        f"FROM {database}.{rows.table} WHERE {here} "
        f"AND _ingested_at >= (SELECT max(at) FROM ({ended})) - INTERVAL {CLOCKS_APART_S} SECOND) AS r "
        f"LEFT JOIN ({ended}) AS l ON r._topic_id = l._topic_id "
        "WHERE l.known = 0 OR r._offset > l.last GROUP BY r._topic_id, r.of_model, r.hour"
    )
    return [
        (topic_id, model, int(hour), int(n), int(first), int(last), list(ids))
        for topic_id, model, hour, n, first, last, ids in found
    ]
