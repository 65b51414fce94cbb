"""``loopwatch watermark``: say that a history is complete."""

from datetime import datetime
from typing import Annotated

import typer

from ...infra.settings import Settings
from ...schemas.errors import SettingsError


def watermark(
    ts: Annotated[str, typer.Argument(metavar="TS", help="An instant with an offset, such as 2024-07-15T12:00:00Z.")],
) -> None:
    """Say on every partition that all events up to TS have been sent.

    For histories that another client wrote: without it their last windows stay open, since nothing tells the end from
    a pause. Windows that ended by TS are then closed, and actions held since before are orphans. `loopwatch replay`
    does this by itself.
    """
    instant = _instant(ts)

    from ...producers.client import Loopwatch

    with Loopwatch(Settings.load()) as client:
        client.watermark(instant)
    typer.echo(f"sent: everything up to {instant.isoformat()} is complete")


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise SettingsError(f"{text!r} is not an instant: write date, time and offset, such as 2024-07-15T12:00:00Z")
    return instant
