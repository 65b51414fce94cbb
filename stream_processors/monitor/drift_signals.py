"""What drifted, as a signal: in one sentence, with what shifted most, examples and the query that shows it."""

import math
from datetime import datetime, timedelta

from ...detectors.drift.column import Kind
from ...detectors.drift.result import Drift, Question
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.signals import Shift, Signal, SignalKind
from ..evaluate.panes import OUTPUTS, Series, Slice
from ..lookups import instant
from ..records import from_micros, micros_of
from .answers import Answer, Shown
from .counted import Counted
from .drift_rows import Compared
from .episodes import Episode
from .sampled_texts import RESPONSE

_EXAMPLES = 5
_OUTPUTS = frozenset(OUTPUTS.values())
_IS_TEXT = "prediction_value IS NULL OR prediction IN ('true', 'false')"


def drift_signal(clickhouse: ClickHouse, model: str, row: Compared, episode: Episode, answer: Answer) -> Signal:
    """What drifted in one window, as an answer says."""
    until = from_micros(episode.until_us)
    drift, series, since = row.drift, row.series, from_micros(episode.since_us)
    expected, seen = _typical(drift, answer.before, answer.now)
    shown = answer.shown or Shown(_examples(clickhouse, model, row, until), _query(clickhouse.database, model, row))
    where = f" where {row.slice.key} is {row.slice.value}" if row.slice.key else ""
    what = series.name if drift.question is Question.VALUES else f"{drift.question.value} share of {series.name}"
    moved = "" if expected is None or seen is None else f" from {expected:.4g} to {seen:.4g}"
    largest = "" if moved or not drift.evidence else f": {_said(drift.evidence[0].name)} most of all"
    return Signal(
        signal_id=episode.signal_id,
        model=model,
        kind=SignalKind.PREDICTION_DRIFT if is_output(series) else SignalKind.DATA_DRIFT,
        subject=series.name,
        detector=drift.method,
        since=since,
        found_at=from_micros(episode.found_us),
        until=until,
        score=1 - math.exp(-drift.effect / drift.threshold / 4),
        message=f"{what} of {model}{where} drifted{moved}{largest}, since {since:%Y-%m-%d %H:%M}: "
        f"{drift.effect / drift.threshold:.1f} times what matters",
        expected=expected,
        seen=seen,
        n=drift.n_current,
        segment_key=row.slice.key,
        segment=row.slice.value,
        evidence=tuple(Shift(_said(each.name), each.expected, each.seen) for each in drift.evidence),
        examples=shown.examples,
        query=shown.query,
        window_s=int((until - row.window_start).total_seconds()),
    )


def _examples(clickhouse: ClickHouse, model: str, row: Compared, until: datetime) -> tuple[str, ...]:
    """Ids of predictions of the window whose value is one of those that became more."""
    grown = max(row.drift.evidence, key=lambda each: each.seen - each.expected, default=None)
    if grown is None or grown.seen <= grown.expected:
        return ()
    column, text = _column_of(row.series), _category_of(row.series)
    match row.drift.question:
        case Question.MISSING:
            condition = f"isNull({column}) AND isNull({text})"
        case Question.INVALID:
            condition = f"isNotNull({text if row.drift.kind == Kind.NUMERIC.value else column})"
        case _ if math.isnan(grown.low):
            condition = f"{text} = {quote(grown.name)}"
        case _:
            condition = f"{column} >= {grown.low!r} AND {column} < {grown.high!r}"
    of_slice = _of_slice(row.slice)
    rows = clickhouse.rows(
        f"SELECT prediction_id FROM {clickhouse.database}.predictions WHERE model = {quote(model)} "
        f"AND ts >= {instant(micros_of(row.window_start))} AND ts < {instant(micros_of(until))} "
        f"AND {of_slice} AND {condition} ORDER BY prediction_id LIMIT {_EXAMPLES}"
    )
    return tuple(prediction_id for (prediction_id,) in rows)


def _query(database: str, model: str, row: Compared) -> str:
    begin = row.reference[0] if row.reference else row.window_start - timedelta(days=7)
    name = f"feature = {quote(row.series.name)}" if row.series.is_feature else f"output = {quote(row.series.name)}"
    return (
        "SELECT hour, present, nulls, mean, p1_p25_p50_p75_p99, categories "
        f"FROM {database}.panes_hourly WHERE model = {quote(model)} "
        f"AND segment_key = {quote(row.slice.key)} AND segment = {quote(row.slice.value)} AND {name} "
        f"AND hour >= {instant(micros_of(begin))} ORDER BY hour"
    )


def _typical(drift: Drift, before: Counted | None, now: Counted | None) -> tuple[float | None, float | None]:
    """Means of numbers, shares of what is true, missing or invalid; nothing of categories."""
    if drift.question is not Question.VALUES or drift.kind == Kind.BOOLEAN.value:
        shift = next((each for each in drift.evidence if each.name in ("true", drift.question.value)), None)
        return (None, None) if shift is None else (shift.expected, shift.seen)
    if drift.kind != Kind.NUMERIC.value or before is None or now is None or not now.numbers.total:
        return None, None
    return before.numbers.average, now.numbers.average


def is_output(series: Series) -> bool:
    """Whether it is made by the model, and not what the model is asked."""
    return not series.is_feature and (series.name in _OUTPUTS or series.name.partition(".")[0] == RESPONSE)


def _said(name: str) -> str:
    return name if len(name) <= 80 else name[:79] + "…"


def _column_of(series: Series) -> str:
    """SQL of the series as a number; NULL where it is none."""
    if series.is_feature:
        return f"features_num[{quote(series.name)}]"
    return f"if({_IS_TEXT}, NULL, prediction_value)" if series.name == "prediction" else series.name


def _category_of(series: Series) -> str:
    """SQL of the series as text; NULL where it is none."""
    if series.is_feature:
        name = quote(series.name)
        return f"if(mapContains(features_cat, {name}), features_cat[{name}], NULL)"
    return f"if({_IS_TEXT}, prediction, NULL)" if series.name == "prediction" else "NULL"


def _of_slice(slice_: Slice) -> str:
    return f"segments[{quote(slice_.key)}] = {quote(slice_.value)}" if slice_.key else "1"
