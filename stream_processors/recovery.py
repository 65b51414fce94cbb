"""What a partition starts from, read out of ClickHouse when a worker is given it."""

from collections.abc import Iterator, Sequence

from ..infra.clickhouse import ClickHouse, quote
from ..infra.kafka_admin import TopicInfo
from .former_lives import CLOCKS_APART_S, find_unfinished
from .join.state import Acted
from .join.sweeps import MINUTE_US
from .join.watermark import NEVER
from .lookups import in_partition, instant, stored_actions
from .recovered import Recovered, StoredAction, TopicPosition
from .sink.pane_repair import repair_panes


class Recovery:
    """Reads positions, watermark, ids, held actions and pending stretches. Blocks on ClickHouse."""

    def __init__(self, clickhouse: ClickHouse, topics: tuple[TopicInfo, TopicInfo], longest_window_us: int) -> None:
        self._clickhouse = clickhouse
        self._database = clickhouse.database
        self.predictions, self.actions = topics
        self.partitions = self.predictions.partitions
        self._longest_window_us = longest_window_us

    def next_offsets(self, topic: TopicInfo, partitions: Sequence[int]) -> dict[int, int]:
        """Where to read on, for the partitions of which something is stored in this life of the topic."""
        rows = self._clickhouse.rows(
            f"SELECT _partition, max(last_offset) + 1 FROM {self._database}.ledger "
            f"WHERE {_life(topic)} AND _partition IN ({','.join(map(str, partitions))}) GROUP BY _partition"
        )
        return {int(partition): int(offset) for partition, offset in rows}

    def complete_panes(self, partition: int, fence: str) -> None:
        """Put stored predictions of the partition, in whatever life of the topic, into the panes that lack them."""
        repair_panes(self._clickhouse, self.predictions.name, partition, fence)

    def recover(self, partition: int) -> Recovered:
        """Everything that the processor of a partition starts from."""
        predictions = self._position(self.predictions, partition, "predictions")
        actions = self._position(self.actions, partition, "actions")
        return Recovered(
            predictions,
            actions,
            self._watermark_us(partition),
            self._unfinished_actions(partition, actions.next_offset or 0),
            self._known_ids(partition),
            self._held(partition, actions.next_offset or 0),
            self._pending_minutes(partition),
            self._unpublished(partition, predictions.next_offset or 0),
            find_unfinished(self._clickhouse, self.predictions, self.actions, partition),
        )

    def _position(self, topic: TopicInfo, partition: int, table: str) -> TopicPosition:
        here = f"{_life(topic)} AND _partition = {partition}"
        ((blocks, last, max_ts_us, live),) = self._clickhouse.rows(
            "SELECT count(), max(last_offset), toUnixTimestamp64Micro(max(max_ts)), argMax(live, last_offset) "
            f"FROM {self._database}.ledger WHERE {here}"
        )
        position = TopicPosition(topic.name, topic.topic_id)
        if blocks:
            position.next_offset = int(last) + 1
            position.max_ts_us = int(max_ts_us) or NEVER
            position.live = bool(live)
        beyond = f"{here} AND _offset >= {position.next_offset or 0}"
        ((n, until),) = self._clickhouse.rows(
            f"SELECT count(), max(_offset) FROM {self._database}.{table} WHERE {beyond}"
        )
        position.rows_until = int(until) if n else -1
        ((n, until),) = self._clickhouse.rows(
            f"SELECT count(), max(_offset) FROM {self._database}.dead_letters WHERE {beyond}"
        )
        position.refused_until = int(until) if n else -1
        position.origins = {
            int(origin): int(offset)
            for origin, offset in self._clickhouse.rows(
                f"SELECT origin_partition, max(origin_offset) FROM {self._database}.ledger "
                f"WHERE {here} AND class = 'origin' GROUP BY origin_partition"
            )
        }
        return position

    def _watermark_us(self, partition: int) -> int:
        ((watermark_us,),) = self._clickhouse.rows(
            f"SELECT toUnixTimestamp64Micro(max(watermark)) FROM {self._database}.ledger "
            f"WHERE ({_life(self.predictions)} OR {_life(self.actions)}) AND _partition = {partition}"
        )
        return int(watermark_us) or NEVER

    def _unfinished_actions(self, partition: int, next_offset: int) -> dict[int, StoredAction]:
        rows = self._clickhouse.rows(
            f"SELECT _offset, class, reason FROM {self._database}.actions_current "
            f"WHERE {_life(self.actions)} AND _partition = {partition} AND _offset >= {next_offset}"
        )
        return {int(offset): StoredAction(action_class, reason) for offset, action_class, reason in rows}

    def _known_ids(self, partition: int) -> Iterator[Sequence[str]]:
        """Ids of every prediction, and of every action that came before its prediction."""
        for table, condition in (("predictions", "1"), ("actions", "class = 'held'")):
            for batch in self._clickhouse.arrow_batches(
                f"SELECT prediction_id FROM {self._database}.{table} "
                f"WHERE {condition} AND {in_partition('prediction_id', partition, self.partitions)}"
            ):
                yield batch.column(0).to_pylist()

    def _held(self, partition: int, next_offset: int) -> dict[str, list[Acted]]:
        held: dict[str, list[Acted]] = {}
        condition = (
            f"class = 'held' AND {in_partition('prediction_id', partition, self.partitions)} "
            f"AND NOT ({_life(self.actions)} AND _partition = {partition} AND _offset >= {next_offset}) "
            "AND (prediction_id, action_id) NOT IN "
            f"(SELECT prediction_id, action_id FROM {self._database}.action_status)"
        )
        for prediction_id, acted in stored_actions(self._clickhouse, condition):
            held.setdefault(prediction_id, []).append(acted)
        return held

    def _unpublished(self, partition: int, next_offset: int) -> list[tuple[str, str, int]]:
        """Prediction, outcome and revision of rows that no event caused, stored by a flush and perhaps not published.

        What an event caused is caused again when the event is read again. A timeout comes from no event, and a row of
        it keeps sweeps from finding its prediction: also where that one is to be read again itself. So it is with what
        a changed rule says anew of a prediction that was looked up.
        """
        here = f"_partition = {partition}"
        last_flush = f"if(countIf({here}) > 0, maxIf(_ingested_at, {here}), max(_ingested_at))"
        rows = self._clickhouse.rows(
            f"SELECT DISTINCT prediction_id, outcome, revision FROM {self._database}.feedback "
            f"WHERE _topic = {quote(self.predictions.name)} "
            f"AND (_ingested_at > (SELECT {last_flush} FROM {self._database}.ledger) "
            f"- INTERVAL {CLOCKS_APART_S} SECOND OR prediction_id IN "
            f"(SELECT prediction_id FROM {self._database}.predictions WHERE {_life(self.predictions)} "
            f"AND _partition = {partition} AND _offset >= {next_offset})) "
            f"AND {in_partition('prediction_id', partition, self.partitions)}"
        )
        return [(prediction_id, outcome, int(revision)) for prediction_id, outcome, revision in rows]

    def _pending_minutes(self, partition: int) -> list[tuple[str, int]]:
        """Model and minute of predictions whose windows may still be open, by what all partitions have settled."""
        rows = self._clickhouse.rows(
            "SELECT toUnixTimestamp64Micro(min(settled)) FROM "
            f"(SELECT max(watermark) AS settled FROM {self._database}.ledger GROUP BY _partition)"
        )
        settled_us = int(rows[0][0] or 0) if rows else 0
        since_us = max(0, settled_us - self._longest_window_us - 2 * MINUTE_US)
        minutes = self._clickhouse.rows(
            f"SELECT DISTINCT model, toUnixTimestamp(toStartOfMinute(ts)) FROM {self._database}.predictions "
            f"WHERE ts >= {instant(since_us)} AND {in_partition('prediction_id', partition, self.partitions)}"
        )
        return [(model, int(minute) * 1_000_000) for model, minute in minutes]


def _life(topic: TopicInfo) -> str:
    return f"_topic = {quote(topic.name)} AND _topic_id = {quote(topic.topic_id)}"
