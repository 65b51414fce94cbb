"""What windows come to now whose rows changed since their last revision: queries alone, which any thread may ask."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError
from msgspec import Struct
from msgspec.structs import replace

from ...infra import metrics
from ...infra.clickhouse import ClickHouse
from ...infra.logs import logger
from ...schemas.kpis import Kpi
from ...schemas.outcomes import Kind, Outcome
from ...schemas.windows import TimeOf, Window
from ..at_once import in_turn
from ..evaluate.kpis import beside, kpis
from ..evaluate.quality import Quality, quality
from ..evaluate.slices import Slicing
from ..evaluate.windows import Cell, Windows
from .contents import contents_of
from .series import KPIS, Due
from .stored import Evaluated, stored_of
from .stretches import stretches

log = logger(__name__)

_QUERIES_A_SERIES = 3
_JUST_AFTER = timedelta(microseconds=1)


class Alike(NamedTuple):
    """What series have in common that differ in nothing but their model; `kpis` are of those of no outcome."""

    outcome: Outcome
    window: Window
    time_of: TimeOf
    kind: Kind | None
    segments: tuple[str, ...]
    kpis: tuple[Kpi, ...]


class Defined(NamedTuple):
    """What the metrics of a window are, and a fingerprint of that."""

    alike: Alike
    definition: int


class Restated(Struct, frozen=True):
    """Windows that were looked at together: new revisions of those that changed. It took so many seconds."""

    dues: Sequence[Due]
    evaluated: Sequence[Evaluated] = ()
    took_s: float = 0.0


def restated(
    clickhouse: ClickHouse, asked: Mapping[Due, Defined], now: datetime, bucket_s: int, stop: Event, at_once: int
) -> Iterator[Restated]:
    """Look at the windows, `at_once` of them at a time; what fails, or is left when the process stops, is left out."""
    with in_turn([partial(stored_of, clickhouse, asked)]) as found:
        contents = contents_of(clickhouse, asked, bucket_s)
        stored = next(found)
    changed: dict[Alike, list[Due]] = defaultdict(list)
    same: list[Due] = []
    for due, (alike, definition) in asked.items():
        is_empty = due not in stored and not contents[due].revision
        content = contents[due] = contents[due].defined_as(definition)
        if is_empty or (due in stored and stored[due].content == content.hash):
            same.append(due)
        else:
            changed[alike].append(due)
    yield Restated(same)
    # Small windows first: they are quick, and nobody has to wait for them.
    by_size = sorted(changed.items(), key=lambda each: each[0].window.size_s)
    together = [each for alike, dues in by_size for each in _together(alike, dues)]
    with in_turn((partial(_measured, clickhouse, each, stop) for each in together), at_once) as measured:
        for each, found in zip(together, measured, strict=True):
            if found is None:
                continue
            took_s, cells = found
            evaluated = [
                Evaluated(
                    due, _with_whole(due, cells[due.series.model, due.start]), contents[due].revision,
                    contents[due].hash, max(now, stored[due].evaluated_at + _JUST_AFTER) if due in stored else now,
                )
                for due in each.dues
            ]  # fmt: skip
            yield Restated(each.dues, evaluated, took_s)


class _Together(NamedTuple):
    """Windows that a query evaluates together."""

    alike: Alike
    windows: Windows
    dues: Sequence[Due]


_Cells = dict[tuple[str, int], list[Quality]]
"""By model and start of a window."""


def _together(alike: Alike, dues: Sequence[Due]) -> Iterator[_Together]:
    for begin, end in stretches(dues, _QUERIES_A_SERIES):
        within = sorted(due for due in dues if begin <= due.start < end)
        models = tuple(sorted({due.series.model for due in within}))
        starts = tuple(sorted({due.start for due in within}))
        windows = Windows(
            models[0], alike.outcome, alike.window, alike.time_of, _at(begin), _at(end),
            Slicing(alike.segments, every=True), starts, models,
        )  # fmt: skip
        yield _Together(alike, windows, within)


def _measured(clickhouse: ClickHouse, each: _Together, stop: Event) -> tuple[float, _Cells] | None:
    """Seconds that it took, and what was found; None if that failed, or if the process stops."""
    if stop.is_set():
        return None
    began = time.monotonic()
    _, windows, _ = each
    try:
        if windows.outcome.name == KPIS:
            rows = beside([], kpis(clickhouse, windows, each.alike.kpis))
        else:
            rows = quality(clickhouse, windows, each.alike.kind)
    except ClickHouseError as exc:
        metrics.EVALUATION_ERRORS.inc()
        log.exception("evaluation failed, tried again later", exc, models=windows.models, outcome=windows.outcome.name)
        return None
    cells: _Cells = defaultdict(list)
    for row in rows:
        cells[row.cell.model, int(row.cell.start.timestamp())].append(replace(row, cell=row.cell._replace(model="")))
    return time.monotonic() - began, cells


def _with_whole(due: Due, cells: Sequence[Quality]) -> Sequence[Quality]:
    """Every window has a cell of its own, also if nothing is left in it."""
    whole = Cell(_at(due.start))
    return cells if any(each.cell == whole for each in cells) else [Quality(whole, 0, {}), *cells]


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
