"""``loopwatch signals``: what the detectors found."""

from datetime import datetime
from typing import Annotated

import typer

from ...schemas.errors import LoopwatchError
from ...schemas.signals import SignalKind
from ..model_windows import utc
from ..options import settings_with
from ..tabular import Format, console, print_report

# Columns of a terminal from which on messages fit in.
_WIDE = 150


def signals(
    model: Annotated[str | None, typer.Argument(help="Name of the model; all of them unless you say.")] = None,
    kind: Annotated[SignalKind | None, typer.Option(help="Only of this kind.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", "--since", help="Found from here on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Found before this (UTC).")] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="One signal, whole: its id, or what that begins with.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the latest.")] = 100,
    format_: Annotated[Format, typer.Option("--format", "-f", help="json has all of each signal.")] = Format.TABLE,
) -> None:
    """Print the changes that detectors found, the latest first.

    Each is one row, however often it was seen again. `strength` goes from 0 to 1. Instants are event time, in UTC.
    """
    from ...infra.clickhouse import ClickHouse
    from .. import signals_view as view

    clickhouse = ClickHouse(settings_with())
    wanted = view.Wanted(model, kind, utc(since), utc(until), id_ or "")
    if id_ is not None:
        found = [view.one_signal(clickhouse, wanted)]
        if format_ is Format.TABLE:
            view.print_signal(found[0])
            return
    else:
        found = view.signals_of(clickhouse, wanted, limit)
    if not found:
        reached = view.watched_until(clickhouse, model)
        if reached is None:
            raise LoopwatchError(f"no detector has watched {model or 'any model'} yet: is a worker running?")
        if format_ is Format.TABLE:
            typer.echo(f"no such signals; detectors have seen everything up to {reached:%Y-%m-%d %H:%M} UTC")
            return
    match format_:
        case Format.TABLE:
            is_wide = console().width >= _WIDE
            print_report(view.overview(found, of_one_model=model is not None, with_messages=is_wide), format_)
        case Format.JSON:
            print_report(view.whole(found), format_)
        case Format.CSV:
            print_report(view.flat(found), format_)
