"""Table `reports`: what Evidently said of a stretch."""

from datetime import UTC, datetime

import pyarrow as pa
from msgspec import Struct

from ..sink.inserts import Inserter, token_of

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MICRO, _COUNT = pa.timestamp("s", "UTC"), pa.timestamp("us", "UTC"), pa.uint32()
_SCHEMA = pa.schema(
    [
        ("model", pa.string()), ("window_start", _SECOND), ("window_end", _SECOND), ("reference_start", _SECOND),
        ("reference_end", _SECOND), ("rows", _COUNT), ("rows_reference", _COUNT), ("snapshot", pa.string()),
        ("_created_at", _MICRO),
    ]
)  # fmt: skip


class StoredReport(Struct, frozen=True):
    """Of a stretch of a model, against another or against training data (None); rows are those sampled."""

    model: str
    stretch: tuple[datetime, datetime]
    reference: tuple[datetime, datetime] | None
    rows: int
    rows_reference: int
    snapshot: str


def store_report(inserter: Inserter, report: StoredReport, now: datetime) -> None:
    """Insert a row.

    Raises:
        ServiceUnavailable: ClickHouse doesn't answer.
    """
    since, until = report.reference or (_EVER, _EVER)
    row = (report.model, *report.stretch, since, until, report.rows, report.rows_reference, report.snapshot, now)
    columns = [pa.array([value], field.type) for value, field in zip(row, _SCHEMA, strict=True)]
    inserter.insert("reports", pa.table(columns, _SCHEMA), token_of([f"reports:{report.model}:{now}"]), ())
