"""When each row of a ClickHouse table became visible to a reader, by polling."""

import time

import numpy as np
import numpy.typing as npt
from loopwatch.infra.clickhouse import ClickHouse

Array = npt.NDArray[np.float64]


class VisibilityPoller:
    """Reads the rows of one topic that are new since the last poll, partition by partition, by their offsets.

    A row counts as visible when the answer that holds it is back, so a latency is too long by at most the pause between
    two polls and a query, and never too short. A row's `ts` is when it was sent: the wall clock of this machine.
    """

    def __init__(self, clickhouse: ClickHouse, table: str, topic: str) -> None:
        """Start behind the rows that are there already."""
        self._clickhouse = clickhouse
        # Kafka takes no quote in a topic's name, so the name needs no escape.
        self._source = f"{clickhouse.database}.{table} WHERE _topic = '{topic}'"
        self._sent_at_s: list[Array] = []
        self._latency_s: list[Array] = []
        newest = clickhouse.rows(f"SELECT _partition, max(_offset) + 1 FROM {self._source} GROUP BY _partition")
        self._next_offset = {int(partition): int(offset) for partition, offset in newest}

    def poll(self) -> int:
        """Take the new rows; return how many there were. Blocks for one query."""
        new = [f"_partition = {partition} AND _offset >= {offset}" for partition, offset in self._next_offset.items()]
        known = ", ".join(map(str, self._next_offset)) or "-1"
        rows = self._clickhouse.rows(
            f"SELECT _partition, _offset, toUnixTimestamp64Micro(ts) FROM {self._source}"
            f" AND ({' OR '.join([*new, f'_partition NOT IN ({known})'])})"
        )
        visible_at_s = time.time()
        if not rows:
            return 0
        for partition, offset, _ in rows:
            self._next_offset[partition] = max(self._next_offset.get(partition, 0), offset + 1)
        sent_at_s = np.array([row[2] for row in rows], dtype=np.float64) / 1e6
        self._sent_at_s.append(sent_at_s)
        self._latency_s.append(visible_at_s - sent_at_s)
        return len(rows)

    @property
    def seen(self) -> int:
        """Rows seen so far."""
        return sum(map(len, self._latency_s))

    def latencies_s(self, since_s: float) -> Array:
        """Seconds from sent to visible, of each row sent at `since_s` (Unix time) or later."""
        if not self._latency_s:
            return np.zeros(0)
        return np.concatenate(self._latency_s)[np.concatenate(self._sent_at_s) >= since_s]
