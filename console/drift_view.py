"""Rows of table `drift`, to print."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from ..infra.clickhouse import ClickHouse, quote
from ..schemas.durations import format_duration
from ..schemas.errors import LoopwatchError
from ..stream_processors.evaluate.panes import Series
from ..stream_processors.lookups import instant
from ..stream_processors.monitor.drift_signals import is_output
from ..stream_processors.records import micros_of
from .tabular import Report

CLOSEST = 5
"""Of what did not drift, so many of each size of window are shown: those nearest to what matters."""
_COLUMNS = (
    "window_start", "window_seconds", "reference_start", "reference_end", "segment_key", "segment", "subject",
    "is_feature", "question", "kind", "method", "statistic", "effect", "threshold", "usual", "p_value", "q_value", "n",
    "n_reference", "drifted", "reason",
)  # fmt: skip
_NEARNESS = "ifNull(effect, 0) / threshold"


class Asked(Struct, frozen=True):
    """Which comparisons: of windows that begin from `since` to before `until`, or else of the latest of each size."""

    model: str
    since: datetime | None = None
    until: datetime | None = None
    feature: str | None = None
    everything: bool = False

    @property
    def _time(self) -> list[str]:
        said: list[str] = []
        if self.since is not None:
            said.append(f"window_start >= {instant(micros_of(self.since))}")
        if self.until is not None:
            said.append(f"window_start < {instant(micros_of(self.until))}")
        return said

    def select(self, database: str, limit: int) -> str:
        """SQL of the rows, columns as `_COLUMNS`."""
        said = [f"model = {quote(self.model)}", *self._time]
        if not self._time and self.feature is None:
            latest = f"SELECT window_seconds, max(window_start) FROM {database}.drift WHERE {said[0]} GROUP BY ALL"
            said.append(f"(window_seconds, window_start) IN ({latest})")
        if self.feature is not None:
            said += [f"subject = {quote(self.feature)}", "1" if self.everything else "(question = 'values' OR drifted)"]
        rows = f"SELECT {', '.join(_COLUMNS)} FROM {database}.drift FINAL WHERE {' AND '.join(said)}"
        if self.feature is not None:
            order = "window_start DESC, window_seconds, segment_key, segment, question DESC"
            return f"{rows} ORDER BY {order} LIMIT {limit}"
        order = f"window_seconds, drifted DESC, if(drifted, window_start, NULL) DESC, {_NEARNESS} DESC, subject"
        if self.everything:
            return f"{rows} ORDER BY {order} LIMIT {limit}"
        numbered = f"row_number() OVER (PARTITION BY window_seconds, drifted ORDER BY {_NEARNESS} DESC, subject)"
        return (
            f"SELECT * EXCEPT nth FROM (SELECT *, {numbered} AS nth FROM ({rows})) WHERE drifted OR nth <= {CLOSEST} "
            f"ORDER BY {order} LIMIT {limit}"
        )


def comparisons(clickhouse: ClickHouse, asked: Asked, limit: int) -> Report:
    """All columns of the table.

    Raises:
        LoopwatchError: there are none.
    """
    rows = clickhouse.rows(asked.select(clickhouse.database, limit))
    if not rows:
        raise LoopwatchError(_why_nothing(clickhouse, asked))
    instants = {name for name in _COLUMNS if name in ("window_start", "reference_start", "reference_end")}
    return Report(
        _COLUMNS,
        [
            [
                each.replace(tzinfo=UTC) if name in instants else each
                for name, each in zip(_COLUMNS, row, strict=True)
            ]
            for row in rows
        ],
    )  # fmt: skip


def short(report: Report) -> Report:
    """The same for people. `by` is how large the change is, in units of the least that matters."""
    rows = [dict(zip(report.columns, row, strict=True)) for row in report.rows]
    has_slices = any(row["segment_key"] for row in rows)
    columns = ["window", "size", *(["slice"] if has_slices else []), "subject", "of", "method", "by", "usual", "q"]
    return Report([*columns, "n", "n before", "verdict"], [_short(row, has_slices=has_slices) for row in rows])


def _short(row: dict[str, Any], *, has_slices: bool) -> list[Any]:
    slice_ = f"{row['segment_key']}={row['segment']}" if row["segment_key"] else ""
    least = row["threshold"]
    return [
        f"{row['window_start']:%Y-%m-%d %H:%M}", format_duration(timedelta(seconds=row["window_seconds"])),
        *([slice_] if has_slices else []), _subject(row),
        row["question"], row["method"], *(f"{each / least:.2f}" if each is not None else "" for each in
        (row["effect"], row["usual"])), "" if row["q_value"] is None else f"{row['q_value']:.2g}", row["n"],
        row["n_reference"], row["reason"],
    ]  # fmt: skip


def _subject(row: dict[str, Any]) -> str:
    series = Series(row["subject"], row["is_feature"])
    return f"{series.name} (output)" if is_output(series) else series.name


def summary(report: Report) -> str:
    """One line: how many windows, how many comparisons drifted."""
    rows: Sequence[dict[str, Any]] = [dict(zip(report.columns, row, strict=True)) for row in report.rows]
    drifted = {(row["subject"], row["segment"]) for row in rows if row["drifted"]}
    names = ", ".join(sorted({subject for subject, _ in drifted})) or "nothing"
    return f"drifted: {names}. `by` and `usual` are in units of the least change that matters"


def _why_nothing(clickhouse: ClickHouse, asked: Asked) -> str:
    of_model = f"{clickhouse.database}.drift WHERE model = {quote(asked.model)}"
    if not clickhouse.rows(f"SELECT 1 FROM {of_model} LIMIT 1"):
        return f"no window of {asked.model} was compared yet: is a worker running, and are there enough predictions?"
    if asked.feature is None:
        return f"no window of {asked.model} that begins in that time was compared"
    names = clickhouse.rows(f"SELECT DISTINCT subject FROM {of_model} ORDER BY subject LIMIT 20")
    return f"--feature {asked.feature}: in that time compared were {', '.join(name for (name,) in names)}"
