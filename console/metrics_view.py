"""Metrics as columns and rows to print."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from msgspec.structs import replace

from ..detectors.quality.estimates import proportion
from ..detectors.quality.worst import worst
from ..infra.clickhouse import ClickHouse, quote
from ..schemas.errors import LoopwatchError
from ..schemas.outcomes import Kind
from ..stream_processors.evaluate.completeness import final_shares
from ..stream_processors.evaluate.estimates import FINAL_SHARE, estimates_of, known_until
from ..stream_processors.evaluate.quality import Quality, infer_kind
from ..stream_processors.evaluate.windows import Windows
from .tabular import Report

_OF_COHORT = ("predictions", "settled")
_USUAL = ("accuracy", "mae")


def wide(found: Sequence[Quality], *, of_cohorts: bool, sliced: bool) -> Report:
    """A row a window, by its begin in UTC; a column a metric."""
    names = list(dict.fromkeys(name for row in found for name in row.metrics))
    shown = ("window", *(("segment",) if sliced else ()), *(_OF_COHORT if of_cohorts else ()), "labelled", *names)
    rows: list[list[Any]] = []
    for row in found:
        cells: list[Any] = [f"{row.cell.start:%Y-%m-%d %H:%M}", *([row.cell.value] if sliced else [])]
        cells += [row.predictions, row.completeness] if of_cohorts else []
        rows.append(
            [*cells, row.labelled, *(row.metrics[name].value if name in row.metrics else None for name in names)]
        )
    return Report(shown, rows)


def long(found: Sequence[Quality]) -> Report:
    """A row a metric, with its interval."""
    columns = ("window_start", "segment", "metric", "value", "lower", "upper", "n", "predictions", "completeness")
    return Report(
        columns,
        [
            [row.cell.start, row.cell.value, name, m.value, m.lower, m.upper, m.n, row.predictions, row.completeness]
            for row in found
            for name, m in row.metrics.items()
        ],
    )


def revisions(clickhouse: ClickHouse, windows: Windows, metric: str | None) -> Report:
    """Every revision of the windows in table `metrics`, oldest first.

    Raises:
        LoopwatchError: there are none.
    """
    conditions = [
        windows.feedback, f"time_of = {quote(windows.time_of.value)}",
        f"window_seconds = {windows.window.size_s} AND step_seconds = {windows.window.step_s}",
        windows.within("window_start"),
        f"segment_key = {quote(next(iter(windows.slicing.keys), ''))}",
        "1" if metric is None else f"metric = {quote(metric)}",
    ]  # fmt: skip
    columns = (
        "window_start", "segment", "metric", "revision", "value", "lower", "upper", "n", "predictions", "completeness",
        "evaluated_at",
    )  # fmt: skip
    rows = clickhouse.rows(
        "SELECT window_start, segment, metric, revision, value, lower, upper, n, predictions, completeness, "
        f"_evaluated_at FROM {clickhouse.database}.metrics FINAL WHERE {' AND '.join(conditions)} "
        "ORDER BY window_start, segment, metric, _evaluated_at"
    )
    if not rows:
        raise LoopwatchError(
            f"table metrics has no such windows of {windows.model}: `windows` of loopwatch.yaml says which it has"
        )
    return Report(columns, [[row[0].replace(tzinfo=UTC), *row[1:-1], row[-1].replace(tzinfo=UTC)] for row in rows])


def with_final_shares(clickhouse: ClickHouse, windows: Windows, found: Sequence[Quality]) -> list[Quality]:
    """The same, with the estimated final share of windows whose labels are still out as one more metric."""
    as_of = known_until(clickhouse, windows.model) if any(row.is_unsettled for row in found) else None
    shares = final_shares(clickhouse, windows, as_of) if as_of is not None else {}
    return [
        replace(row, metrics={FINAL_SHARE: shares[row.cell]} | row.metrics)
        if row.is_unsettled and row.cell in shares
        else row
        for row in found
    ]


def estimates(clickhouse: ClickHouse, windows: Windows, kind: Kind | None) -> Report:
    """What can be said of each window before its labels come, and how far that is off for those that have come.

    Raises:
        LoopwatchError: nothing can.
    """
    as_of = known_until(clickhouse, windows.model)
    found = {} if as_of is None else estimates_of(clickhouse, windows, kind or infer_kind(clickhouse, windows), as_of)
    if not found:
        raise LoopwatchError(f"of {windows.model} there are too few predictions and labels to estimate anything")
    columns = ("window_start", "segment", "metric", "value", "lower", "upper", "n", "as_of")
    return Report(
        columns,
        [
            [cell.start, cell.value, name, each.value, each.lower, each.upper, each.n, as_of]
            for cell, of_cell in sorted(found.items())
            for name, each in of_cell.items()
        ],
    )


def reliability(found: Sequence[Quality]) -> Report:
    """The curve: of predictions with about this score, how many were positive."""
    rows = [
        [row.cell.value, each.scores / each.n, share.value, share.lower, share.upper, each.n]
        for row in found
        for each in row.curve
        if (share := proportion(each.positives, each.n)) is not None
    ]
    if not rows:
        raise LoopwatchError("a reliability curve needs labelled predictions with scores, of two classes")
    return Report(("segment", "mean_score", "positive_share", "lower", "upper", "n"), rows)


def confusion(found: Sequence[Quality]) -> Report:
    """How often each label came with each prediction."""
    rows = [
        [row.cell.value, label, prediction, n]
        for row in found
        for (label, prediction), n in sorted(row.confusion.items())
    ]
    if not rows:
        raise LoopwatchError("a confusion matrix needs labelled predictions of classes")
    return Report(("segment", "label", "prediction", "n"), rows)


def worst_slices(found: Sequence[Quality], metric: str | None) -> Report:
    """Slices by how much worse than all predictions together they are at least."""
    (whole,) = [row for row in found if not row.cell.key]
    slices = {(row.cell.key, row.cell.value): row for row in found if row.cell.key}
    chosen = metric or next((name for name in _USUAL if name in whole.metrics), "accuracy")
    if chosen not in whole.metrics:
        raise LoopwatchError(f"--metric {chosen}: there are {', '.join(whole.metrics)}")
    try:
        ranked = worst(
            chosen,
            whole.metrics[chosen],
            {slice_: row.metrics[chosen] for slice_, row in slices.items() if chosen in row.metrics},
        )
    except ValueError as exc:
        raise LoopwatchError(f"--metric {chosen}: {exc}") from exc
    columns = ("key", "segment", chosen, "lower", "upper", "n", "worse_by", "at_least", "beyond_chance")
    return Report(
        columns,
        [
            [*each.slice, each.estimate.value, each.estimate.lower, each.estimate.upper, each.estimate.n, each.gap,
             each.at_least, each.at_least > 0]
            for each in ranked
        ],
    )  # fmt: skip
