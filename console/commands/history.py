"""``loopwatch history``: what became of alerts."""

from datetime import datetime
from typing import Annotated

import typer

from ...schemas.alerts import AlertState, Severity
from ..model_windows import utc
from ..options import settings_with
from ..tabular import Format, print_report


def history(
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="Of one alert: its id, or how it begins.")] = "",
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="Only as severe as this.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", "--since", help="From here on (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the latest.")] = 100,
    format_: Annotated[Format, typer.Option("--format", "-f")] = Format.TABLE,
) -> None:
    """Print every change of alerts, the latest first: found, held, worse, gone, back, over.

    Instants are those of the wall clock, in UTC.
    """
    from ...infra.clickhouse import ClickHouse
    from .. import alerts_view as view

    wanted = view.Wanted(model, tuple(AlertState), severity, id_)
    print_report(view.history(ClickHouse(settings_with()), wanted, utc(since), limit), format_)
