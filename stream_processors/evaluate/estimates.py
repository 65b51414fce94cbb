"""What can be said of windows whose labels are still out, and how far that is off for those that have come."""

from datetime import datetime

from ...detectors.quality.estimates import Estimate
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind
from ..records import from_micros
from .completeness import final_shares
from .label_free import estimated, reconciled
from .windows import Cell, Windows

FINAL_SHARE = "final_share"
_SCORED = (Kind.CLASSIFICATION, Kind.GENERATION)


def estimates_of(
    clickhouse: ClickHouse, windows: Windows, kind: Kind | None, as_of: datetime
) -> dict[Cell, dict[str, Estimate]]:
    """All that can be said at `as_of` of windows by time of prediction, by cell and name."""
    found = {cell: {FINAL_SHARE: share} for cell, share in final_shares(clickhouse, windows, as_of).items()}
    if kind in _SCORED:
        for cell, metrics in estimated(clickhouse, windows, as_of).items():
            found.setdefault(cell, {}).update({f"{name}_estimated": each for name, each in metrics.items()})
        for cell, metrics in reconciled(clickhouse, windows, as_of).items():
            # Its estimate is that of the labelled ones alone: the gap says what of it matters.
            kept = {name: each for name, each in metrics.items() if not name.endswith("_estimated")}
            found.setdefault(cell, {}).update(kept)
    return found


def known_until(clickhouse: ClickHouse, model: str) -> datetime | None:
    """The event time up to which everything has come: the watermark; without one the last event of the model."""
    ((watermark,),) = clickhouse.rows(
        "SELECT toUnixTimestamp64Micro(min(reached)) FROM (SELECT max(watermark) AS reached "
        f"FROM {clickhouse.database}.ledger GROUP BY _partition HAVING reached > toDateTime64(0, 6, 'UTC'))"
    )
    if watermark > 0:
        return from_micros(watermark)
    ((predicted, acted),) = clickhouse.rows(
        f"SELECT (SELECT toUnixTimestamp64Micro(max(ts)) FROM {clickhouse.database}.predictions "
        f"WHERE model = {quote(model)}), (SELECT toUnixTimestamp64Micro(max(assumeNotNull(action_ts))) "
        f"FROM {clickhouse.database}.feedback WHERE model = {quote(model)} AND action_ts IS NOT NULL)"
    )
    latest = max(predicted, acted)
    return from_micros(latest) if latest > 0 else None
