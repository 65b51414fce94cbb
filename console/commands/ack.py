"""``loopwatch ack``: somebody looks after an alert."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ...schemas.errors import LoopwatchError
from ...schemas.notifications import Acknowledgement
from ..options import Author, named, settings_with


def ack(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of the alert, or how it begins.")],
    comment: Annotated[str, typer.Option("--comment", "-m", help="What you say of it.")] = "",
    author: Author = "",
) -> None:
    """Say that you look after an alert: it is not repeated while it fires, and told once it is resolved.

    When it fires another time, that is told again.
    """
    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.alerts.store import store_acknowledgement
    from .. import alerts_view as view
    from ..inserting import inserter_of

    settings = settings_with()
    clickhouse = ClickHouse(settings)
    alert = view.one_alert(clickhouse, id_)
    if not alert.is_told or alert.fired_at is None:
        raise LoopwatchError(f"{id_}: this alert is {alert.state}: only one that fires can be acknowledged")
    said = Acknowledgement(alert.fingerprint, alert.fired_at, named(author), comment)
    store_acknowledgement(inserter_of(settings, clickhouse), said, datetime.now(UTC))
    typer.echo(f"{said.author} looks after it: {alert.annotations.get('summary') or alert.details.message}")
