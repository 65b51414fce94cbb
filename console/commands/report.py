"""``loopwatch report``: a stretch of a model against another one, by Evidently, beside our own verdicts."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ...schemas.errors import LoopwatchError
from ..options import ConfigFile, config_of, settings_with
from ..stretches import span_of, whole_hours
from ..tabular import Format, print_report


class Against(StrEnum):
    """What a stretch is held against, where no other one is named."""

    BEFORE = "before"
    TRAINING = "training"


def report(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    since: Annotated[
        datetime | None, typer.Option("--from", help="Predictions from here on (UTC, whole hours).")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Predictions before this.")] = None,
    reference_since: Annotated[
        datetime | None, typer.Option("--reference-from", help="Held against those from here on")
    ] = None,
    reference_until: Annotated[datetime | None, typer.Option("--reference-to", help="and before this.")] = None,
    reference: Annotated[
        Against, typer.Option(help="Or against as much time just before, or training data (`loopwatch reference`).")
    ] = Against.BEFORE,
    sample: Annotated[
        int, typer.Option(min=100, max=200_000, help="Rows of each side that Evidently gets, the same ones each time.")
    ] = 20_000,
    out: Annotated[Path, typer.Option(help="The page; one about quality is written beside it.")] = Path("report.html"),
    outcome: Annotated[str | None, typer.Option(help="Outcome of the model; the first one unless you say.")] = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How the verdicts are printed.")] = Format.TABLE,
    config: ConfigFile = None,
) -> None:
    """Write a report of Evidently as a page, and print its verdicts beside our own.

    Needs `pip install 'loopwatch[reports]'`. Evidently gets a sample; our tests take all predictions, from panes. Its
    results go into table `reports`. Nothing is sent anywhere.
    """
    span = whole_hours(span_of(since, until))
    against = span.before if reference is Against.BEFORE else None
    if reference_since is not None or reference_until is not None:
        options = "--reference-from, --reference-to"
        if reference is Against.TRAINING:
            raise LoopwatchError(f"{options}: not together with --reference training")
        against = whole_hours(span_of(reference_since, reference_until, options), options)
    if not out.parent.is_dir():
        raise LoopwatchError(f"--out {out}: there is no directory {out.parent}")
    settings = settings_with(config)
    models = config_of(settings)

    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.evaluate.reports import StoredReport, store_report
    from ..compared_sides import compared_sides
    from ..evidently_report import evidently
    from ..inserting import inserter_of
    from ..report_view import in_words, short, side_by_side

    clickhouse = ClickHouse(settings)
    sides = compared_sides(clickhouse, models, model, span, against, outcome, sample)
    found = evidently(sides.rows_reference, sides.rows, sides.kinds, sides.kind, out)
    stored = StoredReport(model, span, against, sides.rows.num_rows, sides.rows_reference.num_rows, found.snapshot)
    store_report(inserter_of(settings, clickhouse), stored, datetime.now(UTC))
    verdicts = side_by_side(sides.drifts, found.verdicts)
    print_report(short(verdicts) if format_ is Format.TABLE else verdicts, format_)
    if format_ is Format.TABLE:
        typer.echo(f"{span} against {against or 'training data'}")
        typer.echo(in_words(sides.drifts, found.verdicts))
        typer.echo(f"Evidently had {sides.rows.num_rows:,} and {sides.rows_reference.num_rows:,} rows")
    for file in found.files:
        typer.echo(f"written: {file}", err=format_ is not Format.TABLE)
    if found.no_quality:
        typer.echo(f"no page about quality: {found.no_quality}", err=True)
