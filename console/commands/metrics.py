"""``loopwatch metrics``: how good a model was, window by window."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...schemas.errors import LoopwatchError
from ...schemas.windows import TimeOf, Window
from ..options import ConfigFile, config_of, settings_with
from ..tabular import print_table

if TYPE_CHECKING:
    from ...stream_processors.evaluate.quality import Quality

_OF_COHORT = ("predictions", "settled")


class Format(StrEnum):
    """How metrics are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def metrics(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    outcome: Annotated[str | None, typer.Option(help="Outcome of the model; the first one unless you say.")] = None,
    window: Annotated[
        str, typer.Option(help="Size of a window, such as 15m, 1h, 1d; sliding with a step, as in 7d/1d.")
    ] = "1d",
    by: Annotated[
        TimeOf, typer.Option(help="prediction: cohorts, restated as labels come; label: what just became known.")
    ] = TimeOf.PREDICTION,
    since: Annotated[datetime | None, typer.Option("--from", help="Begin here (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="End before this (UTC).")] = None,
    segment: Annotated[
        str | None, typer.Option(help="Slice by a key of the segments, by version, or by variants.EXPERIMENT.")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", "-f", help="json and csv have a row a metric, with its interval.")
    ] = Format.TABLE,
    config: ConfigFile = None,
) -> None:
    """Print how good a model was in each window, on how many labels that rests, and how complete they are.

    The kind of the model decides which metrics there are: that of `loopwatch.yaml`, or what its labels look like.
    Which labels are the positive class says `positive` of the outcome; without it, true and 1. The model's indicators
    (`kpis`) are beside its metrics.
    """
    try:
        size = Window.parse(window)
    except ValueError as exc:
        raise LoopwatchError(f"--window: {exc}") from exc
    settings = settings_with(config)
    models = config_of(settings)

    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.evaluate.kpis import beside, kpis
    from ...stream_processors.evaluate.quality import known_outcomes, quality
    from ...stream_processors.evaluate.slices import Slicing
    from ...stream_processors.evaluate.windows import Windows

    clickhouse, of_model = ClickHouse(settings), models.for_model(model)
    # Without a configuration the outcomes are those that feedback names.
    outcomes = of_model.outcomes if model in models.models else known_outcomes(clickhouse, model)
    if not outcomes:
        raise LoopwatchError(f"model {model} has no feedback, and --config doesn't name it")
    chosen = next((each for each in outcomes if outcome in (None, each.name)), None)
    if chosen is None:
        names = ", ".join(each.name for each in outcomes)
        raise LoopwatchError(f"--outcome {outcome}: model {model} has {names}")
    slicing = Slicing() if segment is None else Slicing((segment,))
    windows = Windows(model, chosen, size, by, _utc(since), _utc(until), slicing)
    indicators = kpis(clickhouse, windows, of_model.kpis)
    found = beside(quality(clickhouse, windows, of_model.kind), indicators)
    if not found:
        raise LoopwatchError(f"model {model} has nothing for outcome {chosen.name} in that time")
    if format_ is Format.TABLE:
        _print_wide(found, of_cohorts=by is TimeOf.PREDICTION, sliced=segment is not None)
    else:
        _print_long(found, format_)


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


def _print_wide(found: "list[Quality]", *, of_cohorts: bool, sliced: bool) -> None:
    names = list(dict.fromkeys(name for row in found for name in row.metrics))
    shown = ("window", *(("segment",) if sliced else ()), *(_OF_COHORT if of_cohorts else ()), "labelled", *names)
    rows: list[list[Any]] = []
    for row in found:
        cells: list[Any] = [row.cell.start, *([row.cell.value] if sliced else [])]
        if of_cohorts:
            cells += [row.predictions, None if row.completeness is None else round(row.completeness, 4)]
        values = [round(row.metrics[name].value, 4) if name in row.metrics else None for name in names]
        rows.append([*cells, row.labelled, *values])
    print_table(shown, rows)


def _print_long(found: "list[Quality]", format_: Format) -> None:
    fields = ("window_start", "segment", "metric", "value", "lower", "upper", "n", "completeness")
    rows = [
        (row.cell.start.isoformat(), row.cell.value, name, *metric_cells, row.completeness)
        for row in found
        for name, metric in row.metrics.items()
        for metric_cells in [(metric.value, metric.lower, metric.upper, metric.n)]
    ]
    if format_ is Format.JSON:
        import msgspec

        document = [dict(zip(fields, row, strict=True)) for row in rows]
        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        import csv
        import sys

        csv.writer(sys.stdout).writerows([fields, *rows])
