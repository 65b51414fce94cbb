"""Why a mean changed between two stretches of time: which slices explain it, by each key of slices on its own."""

import math
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from ...detectors.root_cause import Contribution, Part, contributions
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, Outcome
from ..evaluate.panes import OUTPUTS
from ..evaluate.slices import OF_VARIANTS, VERSION
from ..lookups import instant
from ..records import micros_of
from .losses import losses_as_rows

LOSS, LABEL = "loss", "label"
OF_LABELS = (LOSS, LABEL)
"""Means of these go by the time at which labels became known; those of outputs by that of predictions."""
OF_OUTPUTS = tuple(OUTPUTS.values())
OF_FEATURES = "features."
MOST_VALUES = 20_000
"""Of one key; those with the fewest rows are left to `REST`."""
REST = "(rest)"

_QUARTERS = (0.25, 0.5, 0.75)


class Question(Struct, frozen=True):
    """The mean of what, since when and before: two stretches, each from an instant to before another."""

    model: str
    metric: str
    since: tuple[datetime, datetime]
    before: tuple[datetime, datetime]
    outcome: Outcome | None = None
    kind: Kind | None = None
    """Both are needed for what labels say."""


class Explained(Struct, frozen=True):
    """One key: its slices make up the whole, those that contribute most first, and sum to the change."""

    key: str
    slices: Sequence[Contribution]

    @property
    def concentration(self) -> float:
        """How much more one slice explains than its size would; 0 of a key that says nothing."""
        change, n = sum(each.total for each in self.slices), sum(each.since.n for each in self.slices)
        return max((abs(each.total - change * each.since.n / n) for each in self.slices), default=0.0) if n else 0.0


class Change(Struct, frozen=True):
    """The whole, before and since; `error` is the standard error of the difference of the means, 0 of too few."""

    before: Part
    since: Part
    error: float


def whole(clickhouse: ClickHouse, question: Question) -> Change:
    """All rows of both stretches."""
    of_sides = ", ".join(
        f"countIf({within}), sumIf(x, {within}), varSampIf(x, {within})"
        for within in (_within("at", question.before), _within("at", question.since))
    )
    ((n, total, spread, n_since, total_since, spread_since),) = clickhouse.rows(
        f"SELECT {of_sides} FROM {_rows(clickhouse.database, question, joined=False)} WHERE x IS NOT NULL"
    )
    error = math.sqrt(spread / n + spread_since / n_since) if min(n, n_since) > 1 else 0.0
    return Change(Part(int(n), float(total or 0)), Part(int(n_since), float(total_since or 0)), error)


def keys_of(clickhouse: ClickHouse, question: Question) -> list[str]:
    """Version, and the segments that predictions of both stretches have."""
    rows = clickhouse.rows(
        f"SELECT DISTINCT arrayJoin(mapKeys(segments)) AS key FROM {clickhouse.database}.predictions "
        f"WHERE model = {quote(question.model)} AND ({_within('ts', question.since)} "
        f"OR {_within('ts', question.before)}) ORDER BY key LIMIT 50"
    )
    return [VERSION, *(str(key) for (key,) in rows)]


def explain(clickhouse: ClickHouse, question: Question, key: str) -> Explained:
    """One key: ``version``, a segment, ``variants.EXPERIMENT``, or ``features.NAME`` (numbers by their quarters)."""
    found = contributions(*_parts(clickhouse, question, _column(clickhouse, question, key)))
    return Explained(key, found)


def _parts(clickhouse: ClickHouse, question: Question, column: str) -> tuple[dict[str, Part], dict[str, Part]]:
    """Of each value of a column: before, and since."""
    before, since = _within("at", question.before), _within("at", question.since)
    rows = clickhouse.rows(
        f"SELECT {column} AS slice, countIf({before}) AS n_before, sumIf(x, {before}), countIf({since}) AS n_since, "
        f"sumIf(x, {since}) FROM {_rows(clickhouse.database, question, joined=_of_prediction(column))} "
        "WHERE x IS NOT NULL GROUP BY slice ORDER BY n_before + n_since DESC, slice"
    )
    sides: tuple[dict[str, Part], dict[str, Part]] = ({}, {})
    for at, (value, *of_slice) in enumerate(rows):
        name = str(value) if at < MOST_VALUES else REST
        for side, n, total in zip(sides, of_slice[::2], of_slice[1::2], strict=True):
            if n:
                known = side.get(name, Part(0, 0.0))
                side[name] = Part(known.n + int(n), known.total + float(total))
    return sides


def _rows(database: str, question: Question, *, joined: bool) -> str:
    """SQL of a table: at, x, version, segments; `joined`, or of outputs, also variants and features."""
    first, last = min(question.since[0], question.before[0]), max(question.since[1], question.before[1])
    more = "variants, features_num, features_cat"
    if question.metric not in OF_LABELS:
        value = "prediction_value" if question.metric == "prediction" else question.metric
        return (
            f"(SELECT ts AS at, {value} AS x, version, segments, {more} FROM {database}.predictions "
            f"WHERE model = {quote(question.model)} AND {_within('ts', (first, last))})"
        )
    if question.outcome is None or question.kind is None:
        raise ValueError(f"{question.metric} is of an outcome of some kind")
    labels = losses_as_rows(database, question.model, question.outcome, question.kind, micros_of(first))
    columns = f"at, {question.metric} AS x, version, segments"
    if not joined:
        return f"(SELECT {columns} FROM {labels})"
    made = (
        f"(SELECT prediction_id, {more} FROM {database}.predictions "
        f"WHERE model = {quote(question.model)} AND {_within('ts', (first - question.outcome.window, last))})"
    )
    return f"(SELECT {columns}, {more} FROM {labels} AS l INNER JOIN {made} AS p USING prediction_id)"


def _column(clickhouse: ClickHouse, question: Question, key: str) -> str:
    """SQL of the slice of a row, as text."""
    if key == VERSION:
        return "toString(version)"
    if key.startswith(OF_VARIANTS):
        return f"variants[{quote(key.removeprefix(OF_VARIANTS))}]"
    if not key.startswith(OF_FEATURES):
        return f"segments[{quote(key)}]"
    name = quote(key.removeprefix(OF_FEATURES))
    number = f"features_num[{name}]"
    ((bounds,),) = clickhouse.rows(
        f"SELECT quantilesExact({', '.join(map(str, _QUARTERS))})({number}) FROM {clickhouse.database}.predictions "
        f"WHERE model = {quote(question.model)} AND {_within('ts', question.before)} AND {number} IS NOT NULL"
    )
    quarters = sorted({each for each in bounds if each is not None and not math.isnan(each)})
    cases = [f"mapContains(features_cat, {name})", f"features_cat[{name}]", f"{number} IS NULL", "''"]
    lower = ""
    for bound in quarters:
        cases += [f"{number} < {bound!r}", quote(f"{lower} to {bound:.4g}" if lower else f"below {bound:.4g}")]
        lower = f"{bound:.4g}"
    return f"multiIf({', '.join(cases)}, {quote(f'{lower} and more' if lower else 'a number')})"


def _of_prediction(column: str) -> bool:
    """Whether labels don't have it."""
    return column.startswith(("variants[", "multiIf("))


def _within(clock: str, stretch: tuple[datetime, datetime]) -> str:
    since, until = (instant(micros_of(each)) for each in stretch)
    return f"({clock} >= {since} AND {clock} < {until})"
