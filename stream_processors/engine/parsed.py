"""aiokafka's records of one fetch, without what it makes of each: that takes as long as to decode its value."""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher


class ParsedRecords(fetcher.PartitionRecords):
    """Hands records out as they were parsed: with offset, timestamp, key, value and headers, not what they are of."""

    def __iter__(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # A generator by itself is taken in steps of C, the base class is in steps of Python.
        return self._records_iterator or iter(())

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record
