"""``loopwatch alerts``: what fires now, and who looks after it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.alerts import AlertState, Severity
from ..options import settings_with
from ..tabular import Format, print_report

if TYPE_CHECKING:
    from ...infra.clickhouse import ClickHouse
    from ..alerts_view import Wanted
    from ..tabular import Report

_EVERY_S = 2.0
_SILENT_S = 60.0


def alerts(
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One alert, whole: its id, or how it begins.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="Only as severe as this.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Those that were resolved, too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the table up to date, until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    format_: Annotated[Format, typer.Option("--format", "-f", help="json has all of each alert.")] = Format.TABLE,
) -> None:
    """Print the alerts that fire or are about to, the most severe first.

    `pending` holds, but not for long enough yet; `recovering` is not seen any more, but told as firing until that has
    lasted. With an id: one of them, with its evidence, its life and who was told.
    """
    from ...infra.clickhouse import ClickHouse
    from .. import alerts_view as view

    settings = settings_with()
    clickhouse = ClickHouse(settings)
    if id_ is not None:
        alert = view.one_alert(clickhouse, id_)
        if format_ is Format.TABLE:
            view.print_alert(clickhouse, alert)
        else:
            print_report(view.whole([alert]), format_)
        return
    states = tuple(AlertState) if all_ else view.Wanted().states
    wanted = view.Wanted(model, states, severity)
    if watch and format_ is Format.TABLE:
        _watch(clickhouse, wanted, limit)
    elif format_ is Format.TABLE:
        report = _overview(clickhouse, wanted, limit)
        print_report(report, format_) if report.rows else typer.echo(_quiet(clickhouse, settings.topics.predictions))
    else:
        print_report(view.whole(view.alerts_of(clickhouse, wanted, limit)), format_)


def _overview(clickhouse: "ClickHouse", wanted: "Wanted", limit: int) -> "Report":
    from ...stream_processors.alerts.store import read_acknowledgements, read_silences
    from .. import alerts_view as view

    now = datetime.now(UTC)
    found = view.alerts_of(clickhouse, wanted, limit)
    since = min((alert.active_at for alert in found), default=now)
    return view.overview(found, read_silences(clickhouse, now), read_acknowledgements(clickhouse, since), now)


def _quiet(clickhouse: "ClickHouse", topic: str) -> str:
    from ...stream_processors.alerts.lease import last_holder

    owner, silent_s = last_holder(clickhouse, topic)
    if not owner or silent_s > _SILENT_S:
        return "no alerts; but nobody looks for any: start `loopwatch worker` or `loopwatch alerter`"
    return f"no alerts; {owner} looks for them"


def _watch(clickhouse: "ClickHouse", wanted: "Wanted", limit: int) -> None:
    import time

    from rich.live import Live

    from ..tabular import console, table_of

    with Live(console=console(), screen=False, auto_refresh=False) as live:
        while True:
            live.update(
                table_of(*_overview(clickhouse, wanted, limit), title=f"{datetime.now(UTC):%H:%M:%S} UTC"), refresh=True
            )
            time.sleep(_EVERY_S)
