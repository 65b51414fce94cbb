"""``loopwatch drift``: which features and outputs changed since the reference."""

from datetime import datetime
from typing import Annotated

import typer

from ..model_windows import utc
from ..options import settings_with
from ..tabular import Format, print_report


def drift(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    since: Annotated[datetime | None, typer.Option("--from", help="Windows that begin here or later (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Windows that begin before this (UTC).")] = None,
    feature: Annotated[str | None, typer.Option(help="The history of one feature or output, the latest first.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All comparisons, not only what drifted and what came closest.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 500,
    format_: Annotated[Format, typer.Option("--format", "-f", help="json and csv have all columns.")] = Format.TABLE,
) -> None:
    """Print how the windows of a model compare with its reference: the latest of each size, unless you say.

    Something drifted when chance doesn't explain it (`q` at most 0.05), it is large enough to matter (`by` at least 1),
    and it is no change that comes and goes (`by` above `usual`).
    """
    from ...infra.clickhouse import ClickHouse
    from .. import drift_view as view

    asked = view.Asked(model, utc(since), utc(until), feature, everything)
    report = view.comparisons(ClickHouse(settings_with()), asked, limit)
    if format_ is not Format.TABLE:
        print_report(report, format_)
        return
    print_report(view.short(report), format_)
    typer.echo(view.summary(report))
