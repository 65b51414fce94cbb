"""What table `ledger` says: counts by model and class, and the stretches of offsets that they stand for."""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct, field

from .clickhouse import ClickHouse

# A record that was read is in one of these; the other classes say what became of it.
_OF_A_RECORD = ("received", "forwarded", "repeated", "control")


class Stretch(Struct, frozen=True):
    """Offsets of one partition in one life of its topic, from the first to the last that the ledger covers."""

    topic: str
    topic_id: str
    partition: int
    first: int
    last: int


class Counts(Struct):
    """Of one kind of event: counts by model and class, and where they come from."""

    by_class: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    stretches: list[Stretch] = []

    def models_in(self, *classes: str) -> set[str]:
        """Models that events of these classes were counted for; "" where the model isn't known."""
        return {model for (model, event_class), n in self.by_class.items() if n and event_class in classes}

    def of(self, model: str, event_class: str) -> int:
        """Events of a model in a class."""
        return self.by_class.get((model, event_class), 0)

    def total(self, event_class: str) -> int:
        """Events of all models in a class."""
        return sum(n for (_, each), n in self.by_class.items() if each == event_class)


class Entries(Struct):
    """All of it, and what is wrong with the entries themselves."""

    predictions: Counts
    actions: Counts
    imbalances: list[str]
    some_are_too_old: bool


def read_entries(clickhouse: ClickHouse, ttl_days: int) -> Entries:
    """Read the ledger in one query, without entries from `ttl_days` ago or earlier."""
    # A day before rows can go: they go a part at a time, by the same column.
    since = f"_ingested_at >= now() - INTERVAL {max(1, ttl_days - 1)} DAY"
    rows = clickhouse.rows(
        "SELECT _topic, _topic_id, _partition, model, class, sum(n), min(first_offset), max(last_offset), "
        f"sumIf(last_offset - first_offset + 1, class = 'checkpoint') FROM {clickhouse.database}.ledger WHERE {since} "
        "GROUP BY _topic, _topic_id, _partition, model, class ORDER BY _topic, _topic_id, _partition"
    )
    entries = Entries(Counts(), Counts(), [], False)
    spans: dict[tuple[str, str, int], list[int]] = {}
    for topic, topic_id, partition, model, event_class, n, first, last, offsets in rows:
        counts = entries.actions if topic.endswith("actions") else entries.predictions
        counts.by_class[model, event_class] += int(n)
        span = spans.setdefault((topic, topic_id, int(partition)), [int(first), int(last), 0, 0])
        span[0], span[1] = min(span[0], int(first)), max(span[1], int(last))
        span[2] += int(offsets)
        span[3] += int(n) if event_class in _OF_A_RECORD else 0
    for (topic, topic_id, partition), (first, last, offsets, records) in spans.items():
        counts = entries.actions if topic.endswith("actions") else entries.predictions
        counts.stretches.append(Stretch(topic, topic_id, partition, first, last))
        if records > offsets:
            entries.imbalances.append(f"{topic}[{partition}]: {records} records are counted on {offsets} offsets")
    entries.imbalances += _overlaps(clickhouse, since)
    ((old,),) = clickhouse.rows(f"SELECT count() FROM {clickhouse.database}.ledger WHERE NOT ({since})")
    entries.some_are_too_old = bool(old)
    return entries


def _overlaps(clickhouse: ClickHouse, since: str) -> Iterator[str]:
    """Stretches that begin before an earlier one ends: what lies in both was counted twice."""
    rows = clickhouse.rows(
        "SELECT _topic, _partition, count(), min(first_offset) FROM ("
        "SELECT _topic, _topic_id, _partition, first_offset, max(last_offset + 1) OVER ("
        "PARTITION BY _topic, _topic_id, _partition ORDER BY first_offset, last_offset "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS begun FROM {clickhouse.database}.ledger "
        f"WHERE class = 'checkpoint' AND {since}) WHERE first_offset < begun "
        "GROUP BY _topic, _topic_id, _partition ORDER BY _topic, _partition"
    )
    for topic, partition, n, first in rows:
        yield f"{topic}[{partition}]: {n} stretches of the ledger overlap another, the first from offset {first} on"
