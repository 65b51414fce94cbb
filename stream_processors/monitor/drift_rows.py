"""Comparisons as rows of table `drift`."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
from msgspec import Struct

from ...detectors.drift.result import Drift
from ..evaluate.panes import Series, Slice
from ..sink.inserts import Inserter, token_of

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MICRO = pa.timestamp("s", "UTC"), pa.timestamp("us", "UTC")
_SCHEMA = pa.schema(
    [
        ("model", pa.string()), ("window_start", _SECOND), ("window_seconds", pa.uint32()),
        ("reference_start", _SECOND), ("reference_end", _SECOND), ("segment_key", pa.string()),
        ("segment", pa.string()), ("subject", pa.string()), ("is_feature", pa.bool_()), ("question", pa.string()),
        ("kind", pa.string()), ("method", pa.string()), ("statistic", pa.float64()), ("effect", pa.float64()),
        ("threshold", pa.float64()), ("usual", pa.float64()), ("p_value", pa.float64()), ("q_value", pa.float64()),
        ("n", pa.uint64()), ("n_reference", pa.uint64()), ("drifted", pa.bool_()), ("reason", pa.string()),
        ("_evaluated_at", _MICRO),
    ]
)  # fmt: skip


class Compared(Struct, frozen=True):
    """One row of table `drift`: an answer, where and when."""

    window_start: datetime
    reference: tuple[datetime, datetime] | None
    slice: Slice
    series: Series
    drift: Drift
    usual: float | None
    is_unusual: bool
    """By this window alone it drifted, and by more than comes and goes."""
    drifted: bool
    """And chance over many windows doesn't explain it."""

    @property
    def reason(self) -> str:
        """Why it drifted, or why not."""
        if not self.drift.drifted or self.drifted:
            return self.drift.reason.value
        return "unconfirmed" if self.is_unusual else "usual"


def store_comparisons(
    inserter: Inserter, model: str, seconds: int, compared: Sequence[Compared], home: int, now: datetime
) -> None:
    """Insert them as one block, fenced by the home partition of the model.

    Raises:
        FencedError: another worker owns the model now.
        ServiceUnavailable: ClickHouse doesn't answer.
    """
    if not compared:
        return
    rows = [
        (
            model, each.window_start, seconds, *(each.reference or (_EVER, _EVER)), each.slice.key, each.slice.value,
            each.series.name, each.series.is_feature, drift.question.value, drift.kind, drift.method,
            _number(drift.statistic), _number(drift.effect), drift.threshold, each.usual, drift.p_value, drift.q_value,
            drift.n_current, drift.n_reference, each.drifted, each.reason, now,
        )
        for each in compared
        for drift in (each.drift,)
    ]  # fmt: skip
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)]
    inserter.insert("drift", pa.table(columns, _SCHEMA), token_of([f"drift:{model}:{seconds}:{now}"]), {home})


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
