"""How good a classifier probably is in windows whose labels have not come, and how far that was off once they have."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ...detectors.label_free.calibration import Calibration
from ...detectors.label_free.expected import ScoredBin, expected
from ...detectors.label_free.gap import AnsweredBin, reconcile
from ...detectors.quality.estimates import Estimate
from ...infra.clickhouse import ClickHouse
from ...schemas.errors import LoopwatchError
from ...schemas.windows import TimeOf
from .classes import has_label, is_positive, predicted
from .reference import OTHERS, SCORE_BIN, STRATUM, Reference
from .slices import Slicing
from .windows import Cell, Windows


def estimated(clickhouse: ClickHouse, windows: Windows, now: datetime) -> dict[Cell, dict[str, Estimate]]:
    """What each window's metrics will probably be: accuracy, precision, recall, F1 and ROC AUC of its scores.

    Calibrated with predictions made before the window whose labels were known at its end, or by `now` if that is
    earlier. So an estimate is what could be said then, however late it is asked for. Windows without scores, or with
    too few labels before them (see `calibration.ENOUGH_LABELS`), are left out. Three queries a window.

    Raises:
        LoopwatchError: the windows are by time of label.
    """
    found: dict[Cell, dict[str, Estimate]] = {}
    for window in _each(clickhouse, windows):
        since, until = _bounds(window)
        known_by = min(now, until)
        calibration = Reference(window, min(since, known_by), known_by).calibration(clickhouse)
        if calibration is None:
            continue
        for cell, bins in _scored(clickhouse, window, calibration).items():
            found[cell] = expected(calibration, bins)
    return found


def reconciled(clickhouse: ClickHouse, windows: Windows, now: datetime) -> dict[Cell, dict[str, Estimate]]:
    """Of windows that have ended and have labels: `accuracy_realised`, `accuracy_estimated`, `accuracy_gap`, and so on.

    All three are of the same predictions, those with a label. Labels that come early are not like the others, so both
    sides are held to the same delay: a window that ended a day ago counts its labels that took at most a day, and is
    estimated by what such labels said of predictions before it. As in `estimated`, from labels known at its end.

    Raises:
        LoopwatchError: the windows are by time of label.
    """
    found: dict[Cell, dict[str, Estimate]] = {}
    for window in _each(clickhouse, windows):
        since, until = _bounds(window)
        if now <= until:
            continue
        reference = Reference(window, since, until, within=now - until)
        calibration = reference.calibration(clickhouse)
        if calibration is None:
            continue
        for cell, bins in _answered(clickhouse, reference, calibration).items():
            found[cell] = reconcile(calibration, bins)
    return found


def _each(clickhouse: ClickHouse, windows: Windows) -> Iterator[Windows]:
    """Each window that has scores alone, oldest first, with its begin and end as far as rows are asked for."""
    if windows.time_of is TimeOf.LABEL:
        raise LoopwatchError("estimates are of windows by time of prediction: nobody knows yet when a label will come")
    database, size = clickhouse.database, windows.window.size
    whole = replace(windows, slicing=Slicing())
    scored = whole.cells(database, "1 AS one", f"{whole.predictions(database)} AND score IS NOT NULL", "ts")
    for (seconds,) in clickhouse.rows(f"SELECT DISTINCT start FROM {scored} ORDER BY start"):
        start = datetime.fromtimestamp(seconds, UTC)
        since = start if windows.since is None else max(start, windows.since)
        # A size may go beyond the last instant there is.
        end = start + min(size, datetime.max.replace(tzinfo=UTC) - start - timedelta(days=1))
        until = end if windows.until is None else min(end, windows.until)
        yield replace(windows, starts=(seconds,), since=since, until=until)


def _bounds(window: Windows) -> tuple[datetime, datetime]:
    assert window.since is not None
    assert window.until is not None
    return window.since, window.until


def _scored(clickhouse: ClickHouse, window: Windows, calibration: Calibration) -> dict[Cell, list[ScoredBin]]:
    source = f"{window.predictions(clickhouse.database)} AND score IS NOT NULL"
    rows = clickhouse.rows(
        "SELECT start, slice, stratum, bin, said, count() "
        f"FROM {window.cells(clickhouse.database, _of_row(window, calibration), source, 'ts')} "
        "GROUP BY start, slice, stratum, bin, said ORDER BY start, slice, stratum, bin, said"
    )
    cells: dict[Cell, list[ScoredBin]] = defaultdict(list)
    for start, slice_, stratum, bin_, said, n in rows:
        cells[Cell.of(start, slice_)].append(ScoredBin(stratum, bin_, bool(said), n))
    return cells


def _answered(clickhouse: ClickHouse, reference: Reference, calibration: Calibration) -> dict[Cell, list[AnsweredBin]]:
    window, positive = reference.windows, reference.windows.outcome.positive
    assert reference.within is not None
    source = f"{window.labels(clickhouse.database)} AND score IS NOT NULL AND {has_label(positive)} "
    source += f"AND {reference.delay_s} <= {reference.within.total_seconds()!r}"
    of_row = f"{_of_row(window, calibration)}, {is_positive(positive)} AS happened"
    rows = clickhouse.rows(
        "SELECT start, slice, stratum, bin, said, count(), countIf(happened) "
        f"FROM {window.cells(clickhouse.database, of_row, source, window.clock)} "
        "GROUP BY start, slice, stratum, bin, said ORDER BY start, slice, stratum, bin, said"
    )
    cells: dict[Cell, list[AnsweredBin]] = defaultdict(list)
    for start, slice_, stratum, bin_, said, n, positives in rows:
        cells[Cell.of(start, slice_)].append(AnsweredBin(ScoredBin(stratum, bin_, bool(said), n), positives))
    return cells


def _of_row(window: Windows, calibration: Calibration) -> str:
    said = f"assumeNotNull({predicted(window.outcome.positive)})"
    return f"{_stratum(calibration)} AS stratum, {SCORE_BIN} AS bin, {said} AS said"


def _stratum(calibration: Calibration) -> str:
    """SQL of the stratum of a row, as far as the calibration knows it."""
    known = sorted({stratum for stratum, _ in calibration.shifts})
    return f"if({STRATUM} IN ({', '.join(map(str, known))}), {STRATUM}, {OTHERS})"
