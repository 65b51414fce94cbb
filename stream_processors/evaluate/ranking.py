"""The query that puts shown items together into their requests again, and these into the metrics of a ranking."""

from collections.abc import Iterator, Sequence

from ...detectors.quality.binary import of_decisions, of_scores
from ...detectors.quality.estimates import Estimate
from ...detectors.quality.ranking import CUTS, AtCut, Moments, Requests, Shown, of_requests, of_shown
from ...infra.clickhouse import ClickHouse
from ...schemas.windows import TimeOf
from . import statistics
from .classes import has_label, is_positive
from .sums import bounded_sum
from .windows import Cell, Windows

MOST_ITEMS = 10_000
"""Of a request; what has more is left out."""

_REQUEST = "if(attributes['request_id'] != '', attributes['request_id'], trace_id)"
_POSITION = "toUInt64OrNull(attributes['position'])"


def ranked(clickhouse: ClickHouse, windows: Windows) -> Iterator[tuple[Cell, int, dict[str, Estimate]]]:
    """Each cell with its labelled predictions: how many, and the metrics of their ranking.

    Where all labels are two classes, those of a classifier as well. By time of label these alone: silence has no time,
    so that a window has neither whole requests nor what was not acted on.
    """
    of_cohorts = windows.time_of is TimeOf.PREDICTION
    by_request = requests(clickhouse, windows) if of_cohorts else {}
    classified = {
        cell: of_decisions(decisions) | of_scores(scores)
        for cell, _, decisions, scores in statistics.binary(clickhouse, windows)
    }
    for cell, items, graded in _shown(clickhouse, windows):
        metrics = of_shown(items) if of_cohorts else {}
        if cell in by_request:
            metrics |= of_requests(by_request[cell])
        if not graded:
            metrics |= classified.get(cell, {})
        yield cell, items.n, metrics


def requests(clickhouse: ClickHouse, windows: Windows, cuts: Sequence[int] = CUTS) -> dict[Cell, Requests]:
    """The requests of each cell by time of prediction, those whose predictions all have a label and an order.

    Of a request that more than one cell has items of, each has its own: a cell is made of its rows alone.
    """
    values = ["1 / nullIf(indexOf(hits, 1), 0)", *(value for k in cuts for value in _at_cut(k))]
    moments = ", ".join(f"toFloat64(ifNull({value}, 0))" for value in values)
    totals, squares = (
        ", ".join(bounded_sum(term.format(at)) for at in range(1, len(values) + 1))
        for term in ("moments[{0}]", "moments[{0}] * moments[{0}]")
    )
    rows = clickhouse.rows(
        f"SELECT start, slice, count(), countIf(answered), [{totals}], [{squares}] FROM "
        f"(SELECT start, slice, found[-1] > 0 AS answered, [{moments}] AS moments "
        f"FROM ({_in_order(_settled(clickhouse.database, windows))})) GROUP BY start, slice"
    )
    found: dict[Cell, Requests] = {}
    for start, slice_, n, answered, *sums in rows:
        reciprocal, *others = map(Moments, *sums)
        at = {k: others[index * 5 : index * 5 + 5] for index, k in enumerate(cuts)}
        by_cut = {k: AtCut(*of_cut[:4], hits=round(of_cut[4].total)) for k, of_cut in at.items()}
        found[Cell.of(start, slice_)] = Requests(n, answered, reciprocal, by_cut)
    return found


def _shown(clickhouse: ClickHouse, windows: Windows) -> Iterator[tuple[Cell, Shown, bool]]:
    """Each cell with its labelled predictions, and whether some labels are other numbers than 0 and 1."""
    known, relevant, _ = _judged(windows)
    graded = "label_value NOT IN (0, 1)" if windows.outcome.positive is None else "0"
    database = clickhouse.database
    of_row, source = f"{relevant} AS relevant, {graded} AS graded", f"{windows.labels(database)} AND {known}"
    rows = clickhouse.rows(
        "SELECT start, slice, count(), countIf(relevant), countIf(graded) > 0 "
        f"FROM {windows.cells(database, of_row, source, windows.clock)} GROUP BY start, slice"
    )
    for start, slice_, n, of_relevant, has_graded in rows:
        yield Cell.of(start, slice_), Shown(n, of_relevant), bool(has_graded)


def _settled(database: str, windows: Windows) -> str:
    """SQL of requests, a row each, whose predictions all have a label, and what they need to be put in order."""
    known, relevant, gain = _judged(windows)
    predictions = (
        f"SELECT prediction_id, ts, {_REQUEST} AS request, {_POSITION} AS position, score, "
        "model, version, segments, variants "
        f"FROM {windows.predictions(database)} AND {windows.within('ts')}"
    )
    labels = (
        f"SELECT prediction_id, {relevant} AS relevant, {gain} AS gain, 1 AS known "
        f"FROM {database}.feedback_current WHERE {windows.feedback} AND {known} AND {windows.within('prediction_ts')}"
    )
    shown = (
        f"(SELECT * FROM ({predictions}) AS made LEFT JOIN ({labels}) AS labelled "
        "ON made.prediction_id = labelled.prediction_id) WHERE request != ''"
    )
    of_row = "request, prediction_id, position, score, relevant, gain, known"
    return (
        "SELECT start, slice, countIf(position IS NULL) = 0 AS placed, "
        f"groupArray({MOST_ITEMS})((ifNull(position, 0), -ifNull(score, 0), prediction_id, gain, relevant)) AS items "
        f"FROM {windows.cells(database, of_row, shown, 'ts')} GROUP BY start, slice, request "
        f"HAVING countIf(known = 0) = 0 AND count() <= {MOST_ITEMS} AND (placed OR countIf(score IS NULL) = 0)"
    )


def _in_order(settled: str) -> str:
    """SQL of the same with `gains` and `hits` in the order shown, `best` gains, and `found`: relevant down to each."""
    return (
        "SELECT start, slice, arraySort(item -> (if(placed, item.1, 0), item.2, item.3), items) AS ranked, "
        "arrayMap(item -> item.4, ranked) AS gains, arrayMap(item -> toUInt8(item.5), ranked) AS hits, "
        f"arrayReverseSort(gains) AS best, arrayCumSum(hits) AS found FROM ({settled})"
    )


def _at_cut(k: int) -> tuple[str, str, str, str, str]:
    """SQL of a request's precision, recall, average precision, NDCG and hit at k; NULL is a division by nothing."""
    relevant = f"arraySum(arraySlice(hits, 1, {k}))"
    precisions = (
        f"arraySum((hit, down_to, rank) -> hit * down_to / rank, arraySlice(hits, 1, {k}), arraySlice(found, 1, {k}), "
        f"arraySlice(arrayEnumerate(hits), 1, {k}))"
    )
    return (
        f"{relevant} / {k}",
        f"{relevant} / nullIf(found[-1], 0)",
        f"{precisions} / nullIf(least(found[-1], {k}), 0)",
        f"{_discounted('gains', k)} / nullIf({_discounted('best', k)}, 0)",
        f"{relevant} > 0",
    )


def _discounted(gains: str, k: int) -> str:
    return (
        f"arraySum((gain, rank) -> gain / log2(rank + 1), arraySlice({gains}, 1, {k}), "
        f"arraySlice(arrayEnumerate({gains}), 1, {k}))"
    )


def _judged(windows: Windows) -> tuple[str, str, str]:
    """SQL of a row of feedback: whether it has a label, whether that is relevant, and its gain."""
    positive, number = windows.outcome.positive, "greatest(assumeNotNull(label_value), 0)"
    if positive is None:
        return "label_value IS NOT NULL", "assumeNotNull(label_value) > 0", number
    relevant = is_positive(positive)
    return has_label(positive), relevant, number if positive.comparison else f"toFloat64({relevant})"
