"""One fetched stretch of a topic partition, carried through Faust as a single event."""

from collections.abc import Sequence
from typing import Any

import msgspec
from faust.types import TP


class RecordBatch(msgspec.Struct, eq=False, weakref=True):
    """Raw records of one topic partition, in offset order, and whether they are done with.

    Faust's consumer reads the attributes of a single record from it: those of the last one, so that its offset is the
    last of the stretch. `done` is set by the processor alone, after what the records caused is stored.
    """

    tp: TP
    records: Sequence[Any]
    done: bool = False
    after: int = -1
    """Offset up to which all was fetched before it, or was not to be read: the read position began behind it."""
    outdated: bool = False
    """The read position moved since it was fetched: its records are read again, by whoever owns the partition."""

    # What Faust's `_to_message` reads of a record.
    key: None = None
    headers: tuple[()] = ()
    checksum: None = None
    serialized_key_size: int = 0
    serialized_value_size: int = 0

    @property
    def first_offset(self) -> int:
        """Offset of the first record."""
        return self.records[0].offset

    @property
    def offset(self) -> int:
        """Offset of the last record."""
        return self.records[-1].offset

    @property
    def size_bytes(self) -> int:
        """Bytes of all values."""
        return sum(len(record.value or b"") for record in self.records)

    @property
    def topic(self) -> str:
        """Topic of the records."""
        return self.tp.topic

    @property
    def partition(self) -> int:
        """Partition of the records."""
        return self.tp.partition

    @property
    def timestamp(self) -> int | None:
        """Broker timestamp of the last record, ms since 1970."""
        return self.records[-1].timestamp

    @property
    def timestamp_type(self) -> int:
        """What that timestamp means to Kafka."""
        return self.records[-1].timestamp_type

    @property
    def value(self) -> "RecordBatch":
        """The value of the Faust event is the batch itself."""
        return self
