"""``loopwatch reference``: what the training data of a model looked like."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import LoopwatchError
from ..options import ConfigFile, config_of, settings_with
from ..stretches import span_of, whole_hours
from ..tabular import Format, print_report

if TYPE_CHECKING:
    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.evaluate.panes import Distribution, Series


def reference(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Training data: .parquet, .csv or .jsonl. A column a feature; rows that are events of ours have them "
            "in `features`.",
            show_default=False,
        ),
    ] = None,
    prediction: Annotated[str | None, typer.Option(help="Column of the file with what the model predicts.")] = None,
    score: Annotated[str | None, typer.Option(help="Column of the file with its score.")] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Column of the file that is no feature, such as the label or an id.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", help="In place of a file: predictions from here on (UTC).")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="And before this.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Only print what is stored.")] = False,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How --show prints it.")] = Format.TABLE,
    config: ConfigFile = None,
) -> None:
    """Store how features and outputs are distributed in the training data, in place of what was stored before.

    Windows are compared with it where `loopwatch.yaml` says `monitoring: {drift: {reference: training}}`. Files of any
    size are read a batch at a time. `--from` and `--to` freeze a stretch of the model's own predictions instead.
    """
    is_stretch = since is not None or until is not None
    if show + (file is not None) + is_stretch != 1:
        raise LoopwatchError("name a file with training data, or a stretch by --from and --to, or say --show")
    if file is None and (prediction or score or ignore):
        raise LoopwatchError("--prediction, --score and --ignore name columns of a file")
    span = whole_hours(span_of(since, until)) if is_stretch else None
    settings = settings_with(config)
    models = config_of(settings)

    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.evaluate.panes import Stretch, distributions
    from ...stream_processors.evaluate.tally import MOST_CATEGORIES
    from ...stream_processors.evaluate.training import store_training
    from ..inserting import inserter_of
    from ..reference_view import reference_report, stored_from

    clickhouse = ClickHouse(settings)
    if show:
        report = reference_report(clickhouse, model)
        if not report.rows:
            raise LoopwatchError(f"no training data of {model} is stored: loopwatch reference {model} FILE")
        print_report(report, format_)
        if format_ is Format.TABLE:
            typer.echo(stored_from(clickhouse, model))
        return
    if file is not None:
        found, source = _of_file(clickhouse, file, prediction, score, tuple(ignore or ())), file.name
    else:
        assert span is not None
        in_time = distributions(clickhouse, Stretch(model, *span), top=MOST_CATEGORIES)
        found, source = {series: each for (_, series), each in in_time.items()}, f"predictions of {span}"
        if not found:
            raise LoopwatchError(f"model {model} has no predictions from {span}")
    store_training(inserter_of(settings, clickhouse), model, found, source, datetime.now(UTC))
    _say(model, found, source)
    drift = models.for_model(model).monitoring.drift
    if drift is None or not drift.reference.training:
        typer.echo("nothing is compared with it yet: say `monitoring: {drift: {reference: training}}` of the model")


def _of_file(
    clickhouse: "ClickHouse", file: Path, prediction: str | None, score: str | None, ignore: tuple[str, ...]
) -> "dict[Series, Distribution]":
    from ...stream_processors.evaluate.tally import Tally
    from ..training_rows import Roles, training_rows

    tally = Tally()
    for rows, columns in training_rows(file, Roles(prediction, score, ignore)):
        tally.add(rows, columns)
    return tally.distributions(clickhouse)


def _say(model: str, found: "dict[Series, Distribution]", source: str) -> None:
    features = sum(series.is_feature for series in found)
    rows = max(each.predictions for each in found.values())
    typer.echo(f"stored of {model}: {features} features and {len(found) - features} outputs of {rows:,} rows, {source}")
    for series, each in found.items():
        if each.texts > max(100, rows // 2) and len(each.categories) + each.other > 0.9 * each.texts:
            typer.echo(f"{series.name} has another value in nearly every row: if it is an id, --ignore it", err=True)
