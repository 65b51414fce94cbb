"""Which share of the predictions of each window will be labelled in the end, asked of ClickHouse.

One count, a bounded sample of earlier predictions to learn delays from, and three sums over the windows asked for.
"""

import math
from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from ...detectors.completeness.final_share import Cohort, Delays, Waiting, delays, final_share
from ...detectors.completeness.history import Sample, history
from ...detectors.quality.estimates import Estimate
from ...infra.clickhouse import ClickHouse
from ...schemas.windows import TimeOf
from ..lookups import instant
from ..records import micros_of
from .carried import Carried, carried
from .windows import Cell, Windows

SAMPLE = 30_000
"""Predictions that delays are learned from, by a hash of their ids."""
HISTORY_WINDOWS = 4
"""How far back they were made, in attribution windows…"""
SHORTEST_HISTORY = timedelta(days=14)
"""… but at least this."""


def final_shares(clickhouse: ClickHouse, windows: Windows, now: datetime) -> dict[Cell, Estimate]:
    """The estimated share of each window's predictions that are labelled before the attribution window ends.

    Windows are by time of prediction, whatever `windows.time_of` is. `now` is the event time up to which labels are
    known, the watermark; predictions made after it, and labels that came after it, are left out. `n` of an estimate is
    the number of predictions. A prediction that expired is not labelled. Where all predictions are older than the
    attribution window, the share is what it is, and its interval nothing wide.
    """
    known = _Known(clickhouse, windows, now)
    table, carries = known.delays()
    waiting = known.waiting(table, carries)
    labelled = known.labelled()
    shares: dict[Cell, Estimate] = {}
    for cell, n in known.predictions().items():
        groups = waiting.get(cell, [])
        # Reads are not one snapshot: a prediction may be labelled between two of them.
        room = n - sum(group.n for group in groups)
        share = final_share(table, Cohort(n, max(0, min(labelled.get(cell, 0), room)), groups))
        if share is not None:
            shares[cell] = share
    return shares


class _Known:
    """What is known at an instant of one outcome of a model."""

    def __init__(self, clickhouse: ClickHouse, windows: Windows, now: datetime) -> None:
        self._clickhouse = clickhouse
        self._windows = replace(windows, time_of=TimeOf.PREDICTION)
        self._window_s = windows.outcome.window.total_seconds()
        self._now = instant(micros_of(now))
        self._pending_since = instant(micros_of(now) - _micros(windows.outcome.window))
        horizon = max(HISTORY_WINDOWS * windows.outcome.window, SHORTEST_HISTORY)
        self._since = instant(max(0, micros_of(now) - _micros(horizon)))
        self._predictions = f"{self._windows.predictions(clickhouse.database)} AND ts <= {self._now}"
        self._labels = (
            f"{self._windows.labels(clickhouse.database)} AND prediction_ts <= {self._now} "
            f"AND action_ts IS NOT NULL AND assumeNotNull(action_ts) <= {self._now}"
        )

    def delays(self) -> tuple[Delays, Carried]:
        """Learned from a sample of earlier predictions, labelled or not; and what may be asked of predictions."""
        recent = f"{self._predictions} AND ts > {self._since}"
        ((n,),) = self._clickhouse.rows(f"SELECT count() FROM {recent}")
        sampled = f"cityHash64(prediction_id) % {max(1, math.ceil(n / SAMPLE))} = 0"
        carries = carried(self._clickhouse, f"{recent} AND {sampled}")
        columns = {**carries.numbers, **carries.texts}
        named = "".join(f", {sql} AS c{place}" for place, sql in enumerate(columns.values()))
        rows = self._clickhouse.arrow(
            f"SELECT {self._age_s('ts')} AS age_s, delay_s, {self._windows.within('ts')} AS asked, p.* EXCEPT (ts) "
            f"FROM (SELECT prediction_id, ts{named} FROM {recent} AND {sampled}) AS p "
            f"LEFT JOIN (SELECT prediction_id, toNullable({_delay_s()}) AS delay_s FROM {self._labels} "
            f"AND prediction_ts > {self._since} AND {sampled}) AS f "
            "USING (prediction_id) ORDER BY ts, prediction_id"
        )
        values = {name: rows.column(f"c{place}") for place, name in enumerate(columns)}
        sample = Sample(
            _floats(rows.column("age_s")),
            _floats(rows.column("delay_s")),
            {name: _floats(values[name]) for name in carries.numbers},
            {name: np.array(values[name].to_pylist(), dtype=object) for name in carries.texts},
        )
        asked = rows.column("asked").to_numpy().astype(np.bool_)
        waits = asked & ~(sample.delays_s <= self._window_s) & (sample.ages_s < self._window_s)
        return delays(history(sample, self._window_s), sample.ages_s[waits]), carries

    def predictions(self) -> dict[Cell, int]:
        """How many were made."""
        return self._counts(self._predictions, "ts")

    def labelled(self) -> dict[Cell, int]:
        """How many of them were labelled in time."""
        return self._counts(f"{self._labels} AND {_delay_s()} <= {self._window_s!r}", "prediction_ts")

    def waiting(self, table: Delays, carries: Carried) -> dict[Cell, list[Waiting]]:
        """Those whose attribution window has not ended and that have no label, by stratum and bin of age."""
        edges = ", ".join(repr(float(edge)) for edge in table.edges_s)
        age_s = self._age_s("ts")
        select = (
            f"{carries.stratum(table.codings)} AS stratum, {age_s} AS age_s, "
            f"arrayCount(edge -> edge <= {age_s}, [{edges}]) AS bin"
        )
        source = (
            f"{self._predictions} AND ts > {self._pending_since} AND prediction_id NOT IN (SELECT prediction_id "
            f"FROM {self._labels} AND {self._windows.within('prediction_ts')} "
            f"AND prediction_ts > {self._pending_since})"
        )
        rows = self._clickhouse.rows(
            "SELECT start, slice, stratum, bin, avg(age_s), count() "
            f"FROM {self._windows.cells(self._clickhouse.database, select, source, 'ts')} "
            "GROUP BY start, slice, stratum, bin ORDER BY start, slice, stratum, bin"
        )
        groups: dict[Cell, list[Waiting]] = defaultdict(list)
        for start, slice_, stratum, _, age_s, n in rows:
            groups[Cell.of(start, slice_)].append(Waiting(stratum, age_s, n))
        return groups

    def _counts(self, source: str, clock: str) -> dict[Cell, int]:
        cells = self._windows.cells(self._clickhouse.database, "1 AS one", source, clock)
        rows = self._clickhouse.rows(
            f"SELECT start, slice, count() FROM {cells} GROUP BY start, slice ORDER BY start, slice"
        )
        return {Cell.of(start, slice_): n for start, slice_, n in rows}

    def _age_s(self, clock: str) -> str:
        return f"(toUnixTimestamp64Micro({self._now}) - toUnixTimestamp64Micro({clock})) / 1e6"


def _micros(duration: timedelta) -> int:
    """A duration in µs, exactly."""
    return duration // timedelta(microseconds=1)


def _delay_s() -> str:
    return "(toUnixTimestamp64Micro(assumeNotNull(action_ts)) - toUnixTimestamp64Micro(prediction_ts)) / 1e6"


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return column.cast(pa.float64()).to_numpy().astype(np.float64)
