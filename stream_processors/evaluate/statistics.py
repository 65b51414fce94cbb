"""The queries that turn the rows of a window into the sums and counts that its metrics are made of."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from ...detectors.quality.binary import BINS, Decisions, ReliabilityBin, Scores
from ...detectors.quality.multiclass import Confusion
from ...detectors.quality.regression import Residuals
from ...infra.clickhouse import ClickHouse
from .classes import has_label, is_positive, predicted
from .slices import MOST_VALUES
from .sums import array_sum, bounded_sum, sorted_values
from .windows import Cell, Windows

QUANTILES = (0.1, 0.5, 0.9)
_P_SCALE = 1 << 33
# As scikit-learn clips scores and guards divisions: numpy's ε of a float64.
_EPSILON = "2.220446049250313e-16"


def binary(clickhouse: ClickHouse, windows: Windows) -> Iterator[tuple[Cell, int, Decisions, Scores]]:
    """Each cell with its labelled predictions: how many, their decisions, and the sums of their scores."""
    positive = windows.outcome.positive
    losses, squares = (
        f"{bounded_sum(term, 'scored')}, {bounded_sum(f'{term} * {term}', 'scored')}" for term in ("loss", "square")
    )
    rows = _cells(
        clickhouse,
        windows,
        f"{is_positive(positive)} AS happened, {predicted(positive)} AS said, score IS NOT NULL AS scored, "
        f"ifNull(score, 0.5) AS p, greatest({_EPSILON}, least(1 - {_EPSILON}, p)) AS clipped, "
        "-log(if(happened, clipped, 1 - clipped)) AS loss, pow(p - happened, 2) AS square, "
        f"least(toUInt8(p * {BINS}), {BINS - 1}) AS bin",
        has_label(positive),
        "count() AS labelled, countIf(said = 1 AND happened) AS tp, countIf(said = 1 AND NOT happened) AS fp, "
        "countIf(said = 0 AND happened) AS fn, countIf(said = 0 AND NOT happened) AS tn, "
        "countIf(scored) AS n, countIf(scored AND happened) AS positives, "
        "groupArrayIf(p, scored) AS scores, groupArrayIf(happened, scored) AS labels, "
        f"[{losses}, {squares}] AS sums, "
        f"sumMapIf([bin], [toUInt64(1)], [toUInt64(round(p * {_P_SCALE}))], [toUInt64(happened)], scored) AS bins",
        "labelled, tp, fp, fn, tn, n, positives, "
        "if(positives > 0 AND positives < n, arrayROCAUC(scores, labels), nan), "
        "if(positives > 0, arrayAUCPR(scores, labels), nan), sums, bins",
    )
    for start, slice_, labelled, tp, fp, fn, tn, n, positives, roc_auc, pr_auc, sums, (_, *bins) in rows:
        loss, losses, brier, briers = sums
        curve = tuple(
            ReliabilityBin(count, scores / _P_SCALE, happened) for count, scores, happened in zip(*bins, strict=True)
        )
        yield (
            Cell.of(start, slice_), labelled, Decisions(tp, fp, fn, tn),
            Scores(n, positives, roc_auc, pr_auc, loss, losses, brier, briers, curve),
        )  # fmt: skip


def multiclass(clickhouse: ClickHouse, windows: Windows) -> Iterator[tuple[Cell, int, Confusion]]:
    """Each cell with its labelled predictions: how many, and their confusion matrix."""
    confusions: dict[Cell, dict[tuple[str, str], int]] = defaultdict(dict)
    of_row = "assumeNotNull(label) AS happened, assumeNotNull(prediction) AS said"
    source = f"{windows.labels(clickhouse.database)} AND label IS NOT NULL AND prediction IS NOT NULL"
    rows = clickhouse.rows(
        f"SELECT start, slice, happened, said, count() "
        f"FROM {windows.cells(clickhouse.database, of_row, source, windows.clock)} "
        "GROUP BY start, slice, happened, said ORDER BY start, slice"
    )
    for start, slice_, label, prediction, n in rows:
        confusions[Cell.of(start, slice_)][label, prediction] = n
    for cell, confusion in confusions.items():
        yield cell, sum(confusion.values()), confusion


def regression(clickhouse: ClickHouse, windows: Windows) -> Iterator[tuple[Cell, int, Residuals]]:
    """Each cell with its labelled predictions: how many, and the sums of their residuals."""

    def total(term: str, of: str = "e") -> str:
        return array_sum(f"arrayMap(x -> {term}, {of})")

    losses = [f"if(x < 0, -{q} * x, (1 - {q}) * x)" for q in QUANTILES]
    pinball = ", ".join(total(loss) for loss in losses)
    pinball_squares = ", ".join(total(f"pow({loss}, 2)") for loss in losses)
    influence = "arraySort(arrayMap((e, t) -> e * e * variance - squares / n * pow(t - centre, 2), errors, truths))"
    rows = _cells(
        clickhouse,
        windows,
        "assumeNotNull(label_value) AS truth, assumeNotNull(prediction_value) - truth AS error, "
        f"abs(error) / greatest(abs(truth), {_EPSILON}) AS relative",
        "label_value IS NOT NULL AND prediction_value IS NOT NULL",
        "count() AS n, groupArray(error) AS errors, groupArray(truth) AS truths, "
        f"arraySort(errors) AS e, arraySort(truths) AS t, {sorted_values('relative')} AS r, "
        f"{array_sum('t')} / n AS centre, {total('pow(x - centre, 2)', 't')} / n AS variance, "
        f"{total('x * x')} AS squares",
        f"n, {array_sum('e')}, squares, {total('pow(x, 4)')}, {total('abs(x)')}, {array_sum('r')}, "
        f"{total('x * x', 'r')}, variance * n, {total('x * x', influence)}, [{pinball}], [{pinball_squares}]",
    )
    for (
        start,
        slice_,
        n,
        errors,
        square,
        fourth,
        absolute,
        relative,
        relative_squares,
        variation,
        influence,
        *of,
    ) in rows:
        pinball_losses = dict(zip(QUANTILES, zip(*of, strict=True), strict=True))
        residuals = Residuals(
            n, errors, square, fourth, absolute, relative, relative_squares, variation, influence, pinball_losses
        )
        yield Cell.of(start, slice_), n, residuals


def counted(clickhouse: ClickHouse, windows: Windows) -> tuple[dict[Cell, int], Windows]:
    """Predictions of each cell, by time of label labels; and the windows, not folded where no key has rare values.

    Folding reads everything a second time, which is half of what a short query costs.
    """
    plain = replace(windows, folds=False)
    counts = _counts(clickhouse, plain.counts(clickhouse.database))
    return (_counts(clickhouse, windows.counts(clickhouse.database)), windows) if have_rare(counts) else (counts, plain)


def have_rare(cells: Iterable[Cell]) -> bool:
    """Whether a key has more values than are kept."""
    values = Counter((cell.start, cell.key, cell.model) for cell in cells)
    return max(values.values(), default=0) > MOST_VALUES


def settled(clickhouse: ClickHouse, windows: Windows) -> dict[Cell, int]:
    """Predictions of each cell that have a row for the outcome, by time of prediction."""
    cells = windows.cells(clickhouse.database, "1 AS one", windows.labels(clickhouse.database), "prediction_ts")
    return _counts(clickhouse, f"SELECT start, slice, count() FROM {cells} GROUP BY start, slice")


def _counts(clickhouse: ClickHouse, sql: str) -> dict[Cell, int]:
    return {Cell.of(start, slice_): n for start, slice_, n in clickhouse.rows(sql)}


def _cells(
    clickhouse: ClickHouse, windows: Windows, of_row: str, condition: str, of_cell: str, columns: str
) -> Sequence[Any]:
    """Rows of (start, slice, *columns), where `of_cell` aggregates what `of_row` says of each row."""
    source = f"{windows.labels(clickhouse.database)} AND {condition}"
    rows = windows.cells(clickhouse.database, of_row, source, windows.clock)
    cells = f"SELECT start, slice, {of_cell} FROM {rows} GROUP BY start, slice"
    return clickhouse.rows(f"SELECT start, slice, {columns} FROM ({cells}) ORDER BY start, slice")
