"""Signals on their way out: rows of table `signals`, then topic ``loopwatch.signals``."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from ...infra.clickhouse import ClickHouse
from ...infra.settings import Settings
from ...schemas.errors import ServiceUnavailable
from ...schemas.signals import Shift, Signal
from ..sink.inserts import Inserter, token_of
from ..sink.publisher import Publisher

_INSTANT = pa.timestamp("us", "UTC")
_SHIFT = pa.struct([("name", pa.string()), ("expected", pa.float64()), ("seen", pa.float64())])
_SCHEMA = pa.schema(
    [
        ("signal_id", pa.string()), ("model", pa.string()), ("kind", pa.string()), ("subject", pa.string()),
        ("detector", pa.string()), ("outcome", pa.string()), ("segment_key", pa.string()), ("segment", pa.string()),
        ("since", _INSTANT), ("found_at", _INSTANT), ("until", _INSTANT), ("score", pa.float64()),
        ("expected", pa.float64()), ("seen", pa.float64()), ("n", pa.uint64()), ("message", pa.string()),
        ("evidence", pa.list_(_SHIFT)), ("examples", pa.list_(pa.string())), ("query", pa.string()),
        ("window_s", pa.uint32()),
    ]
)  # fmt: skip


def signal_id_of(*parts: object) -> str:
    """An id of what changed, where and since when.

    >>> signal_id_of("fraud", "data_drift", "amount") == signal_id_of("fraud", "data_drift", "amount")
    True
    """
    return hashlib.sha256(msgspec.json.encode([str(part) for part in parts])).hexdigest()[:32]


def store_signals(inserter: Inserter, signals: Sequence[Signal], homes: set[int], now: datetime) -> None:
    """Insert them as one block, fenced by the home partitions of their models.

    Raises:
        FencedError: another worker owns one of the models now.
        ServiceUnavailable: ClickHouse doesn't answer.
    """
    rows = [msgspec.structs.asdict(signal) for signal in signals]
    for row in rows:
        row["kind"] = row["kind"].value
        row["evidence"] = [msgspec.structs.asdict(shift) for shift in row["evidence"]]
    table = pa.Table.from_pylist(rows, _SCHEMA)
    table = table.append_column("_detected_at", pa.repeat(pa.scalar(now, _INSTANT), len(rows)))
    inserter.insert("signals", table, token_of([f"signals:{signal.signal_id}:{now}" for signal in signals]), homes)


class SignalPublisher:
    """Sends signals to Kafka, by a producer of its own, made when the first one comes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher: Publisher | None = None

    def __call__(self, signals: Sequence[Signal]) -> None:
        """Return once they are on the brokers.

        Raises:
            ServiceUnavailable: they were not delivered in time.
        """
        if self._publisher is None:
            self._publisher = Publisher(self._settings, give_up_after_s=self._settings.stuck_after_s)
        try:
            self._publisher.signals(signals)
            self._publisher.flush()
        except ServiceUnavailable:
            # What it still holds would come behind later ones.
            self._publisher = None
            raise


def read_signals(clickhouse: ClickHouse, which: str, limit: str) -> list[Signal]:
    """Signals as they were last seen; `which` is a condition on `signals_current`, `limit` begins with ORDER BY."""
    fields = Signal.__struct_fields__
    rows = clickhouse.rows(
        f"SELECT {', '.join(fields)} FROM {clickhouse.database}.signals_current WHERE {which} {limit}"
    )
    return [signal_of(dict(zip(fields, row, strict=True))) for row in rows]


def signal_of(row: dict[str, Any]) -> Signal:
    """A row of all columns that signals have."""
    evidence = [each if isinstance(each, Mapping) else dict(zip(Shift.__struct_fields__, each, strict=True))
                for each in row["evidence"]]  # fmt: skip
    instants = {name: row[name].replace(tzinfo=UTC) for name in ("since", "found_at", "until")}
    return msgspec.convert(row | instants | {"evidence": evidence}, Signal)
