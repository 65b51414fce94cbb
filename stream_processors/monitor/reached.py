"""How far each partition has come: what lies before is stored, and all of it can be read."""

from collections.abc import Mapping

from msgspec import Struct

from ...infra.clickhouse import ClickHouse

# A partition that got nothing for so long, while others did, holds nobody back.
_IDLE_MS = 60_000


class Reached(Struct, frozen=True):
    """By partition. Every flush up to an instant is committed, and every timeout due by an event time is stored."""

    written_ms: Mapping[int, int] = {}
    """The last flush's `_ingested_at`, in ms since 1970."""
    settled_us: Mapping[int, int] = {}
    """The watermark, in µs of event time since 1970; those that have none are left out."""

    @property
    def everywhere_us(self) -> int:
        """The event time (µs) that every partition with events has settled; 0 for none."""
        newest = max(self.written_ms.values(), default=0)
        return min((us for p, us in self.settled_us.items() if self.written_ms[p] >= newest - _IDLE_MS), default=0)


def reached(clickhouse: ClickHouse) -> Reached:
    """As the ledger has it."""
    rows = clickhouse.rows(
        "SELECT _partition, toUnixTimestamp64Milli(max(_ingested_at)), toUnixTimestamp64Micro(max(watermark)) "
        f"FROM {clickhouse.database}.ledger GROUP BY _partition ORDER BY _partition"
    )
    return Reached({p: ms for p, ms, _ in rows}, {p: us for p, _, us in rows if us > 0})
