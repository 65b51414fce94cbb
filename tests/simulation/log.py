"""The two input topics as lists: what Kafka keeps, as the processors read it."""

from typing import NamedTuple

from loopwatch.schemas.headers import FORWARDED, encode_origin
from loopwatch.stream_processors.output import Forward

PREDICTIONS, ACTIONS = "t.predictions", "t.actions"
TOPICS = (PREDICTIONS, ACTIONS)
TOPIC_IDS = {PREDICTIONS: "P1", ACTIONS: "A1"}


class Record(NamedTuple):
    """One record, with the attributes of an aiokafka record that a processor reads."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


class Log:
    """Partitions of both topics. Offsets may have gaps, as after transactions: `step` is from one to the next."""

    def __init__(self, partitions: int, step: int = 1) -> None:
        self.partitions = partitions
        self.step = step
        self._records: dict[tuple[str, int], list[Record]] = {
            (topic, partition): [] for topic in TOPICS for partition in range(partitions)
        }

    def append(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        key: bytes | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        """Add a record at the end of a partition."""
        records = self._records[topic, partition]
        records.append(Record(len(records) * self.step, key, value, headers))

    def forward(self, forward: Forward) -> None:
        """Produce a misrouted record again, on the partition where it belongs, as the publisher does."""
        record, home, key = forward.misrouted
        kept = tuple((name, value) for name, value in record.headers if name != FORWARDED)
        origin = encode_origin(forward.topic_id, forward.partition, record.offset)
        self.append(forward.topic, home, record.value, key.encode(), (*kept, (FORWARDED, origin)))

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on."""
        return [record for record in self._records[topic, partition] if record.offset >= offset][:limit]

    def end(self, topic: str, partition: int) -> int:
        """The offset behind the last record, 0 where there is none."""
        records = self._records[topic, partition]
        return records[-1].offset + 1 if records else 0

    def __len__(self) -> int:
        return sum(len(records) for records in self._records.values())
