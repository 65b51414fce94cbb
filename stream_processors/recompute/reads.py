"""What recomputing reads from ClickHouse: which predictions, and what is written of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ...infra.clickhouse import ClickHouse, quote, quoted
from ...infra.kafka_admin import TopicInfo
from ..join.watermark import NEVER
from ..lookups import in_portions, instant
from .derive import Answer, Written

_DAY_US = 86_400_000_000


class Selection(NamedTuple):
    """Predictions of a model with `since` <= ts < `until` (aware; None: no bound)."""

    model: str
    since: datetime | None = None
    until: datetime | None = None

    def condition(self, column: str) -> str:
        """SQL that selects them."""
        bounds = [f"model = {quote(self.model)}"]
        if self.since is not None:
            bounds.append(f"{column} >= {instant(_micros(self.since))}")
        if self.until is not None:
            bounds.append(f"{column} < {instant(_micros(self.until))}")
        return " AND ".join(bounds)


class Day(NamedTuple):
    """A day of the selection, its beginning in µs, and the number of predictions it has."""

    from_us: int
    predictions: int

    def condition(self, column: str) -> str:
        """SQL that selects the day."""
        return f"{column} >= {instant(self.from_us)} AND {column} < {instant(self.from_us + _DAY_US)}"


class Reads:
    """Queries of one selection. Each blocks on ClickHouse."""

    def __init__(self, clickhouse: ClickHouse, selection: Selection) -> None:
        self._clickhouse = clickhouse
        self._database = clickhouse.database
        self._selection = selection

    def days(self) -> list[Day]:
        """Days (UTC) that have predictions, in order."""
        rows = self._clickhouse.rows(
            f"SELECT toUnixTimestamp(toStartOfDay(ts)) AS day, count() FROM {self._database}.predictions "
            f"WHERE {self._selection.condition('ts')} GROUP BY day ORDER BY day"
        )
        return [Day(int(day) * 1_000_000, int(n)) for day, n in rows]

    def portions(self, day: Day, limit: int) -> Iterator[list[str]]:
        """Ids of the predictions of a day, at most `limit` at once."""
        after = ""
        while rows := self._clickhouse.rows(
            f"SELECT prediction_id FROM {self._database}.predictions "
            f"WHERE {self._selection.condition('ts')} AND {day.condition('ts')} AND prediction_id > {quote(after)} "
            f"ORDER BY prediction_id LIMIT {limit}"
        ):
            ids = [row[0] for row in rows]
            yield ids
            after = ids[-1]

    def written(self, day: Day, ids: Sequence[str]) -> Written:
        """What is written of some predictions of a day, and of their actions."""
        answers: dict[tuple[str, str], Answer] = {}
        classes: dict[tuple[str, str], tuple[str, str]] = {}
        for some in in_portions(ids):
            rows = self._clickhouse.rows(
                "SELECT prediction_id, outcome, revision, status, label, label_value, action_id, n_actions "
                f"FROM {self._database}.feedback FINAL WHERE {self._selection.condition('prediction_ts')} "
                f"AND {day.condition('prediction_ts')} AND prediction_id IN ({quoted(some)})"
            )
            answers |= {(prediction_id, outcome): Answer(*answer) for prediction_id, outcome, *answer in rows}
            for table in ("actions", "action_status FINAL"):
                rows = self._clickhouse.rows(
                    f"SELECT prediction_id, action_id, class, reason FROM {self._database}.{table} "
                    f"WHERE prediction_id IN ({quoted(some)})"
                )
                classes |= {(prediction_id, action_id): (now, why) for prediction_id, action_id, now, why in rows}
        return Written(answers, classes)


def settled_watermarks_us(clickhouse: ClickHouse, topics: tuple[TopicInfo, TopicInfo]) -> list[int]:
    """Up to where the windows of each partition were closed, in whichever life of the topics.

    A partition that has no watermark of its own yet has the least of the others: its ids were in one of them before.
    """
    rows = clickhouse.rows(
        f"SELECT _partition, toUnixTimestamp64Micro(max(watermark)) FROM {clickhouse.database}.ledger "
        f"WHERE _topic IN ({quoted([topic.name for topic in topics])}) AND watermark > toDateTime64(0, 6, 'UTC') "
        "GROUP BY _partition"
    )
    known = {int(partition): int(watermark_us) for partition, watermark_us in rows}
    least = min(known.values(), default=NEVER)
    return [known.get(partition, least) for partition in range(topics[0].partitions)]


def _micros(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, moment.tzinfo)) // timedelta(microseconds=1)
