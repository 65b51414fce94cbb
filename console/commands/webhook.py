"""``loopwatch webhook``: whether a receiver takes what it is sent, and what it did not take once more."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ...schemas.errors import LoopwatchError
from ..model_windows import utc
from ..options import ConfigFile, config_of, settings_with

app = typer.Typer(no_args_is_help=True, help="Try receivers of alerts, and send again what they did not take.")


@app.command("test")
def send_one(
    receiver: Annotated[str, typer.Argument(help="Its name in loopwatch.yaml.")], config: ConfigFile = None
) -> None:
    """Send an example alert to a receiver, signed as alerts are, and say how that went. Ends with 1 if it failed."""
    settings = settings_with(config)
    receivers = {each.name: each for each in config_of(settings).alerting.receivers}
    if receiver not in receivers:
        raise LoopwatchError(f"{receiver}: no such receiver; loopwatch.yaml has {', '.join(receivers) or 'none'}")

    from ...schemas.notifications import Result
    from ..webhook_test import advice, send_example

    attempt = send_example(receivers[receiver], settings)
    took = f"after {attempt.duration_ms:.0f} ms"
    if attempt.result is Result.DELIVERED:
        typer.echo(f"{receiver} took it: status {attempt.status} {took}")
        return
    raise LoopwatchError(f"{receiver}: {attempt.result} {took}: {attempt.error}. {advice(attempt.result)}")


@app.command()
def replay(
    id_: Annotated[str, typer.Option("--id", help="One notification: its id, or how it begins.")] = "",
    receiver: Annotated[str, typer.Option(help="Only of this receiver.")] = "",
    since: Annotated[datetime | None, typer.Option("--from", "--since", help="Decided from here on (UTC).")] = None,
) -> None:
    """Put notifications that were given up back on their way, under the same ids.

    Whoever took one before drops it by its id. What they say may be old: look at it by
    `loopwatch sql "SELECT * FROM notifications FINAL WHERE state = 'dead'"`.
    """
    if not (id_ or receiver or since):
        raise LoopwatchError("say which: --id, --receiver or --from")

    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.alerts.store import revive_dead

    settings = settings_with()
    revived = revive_dead(ClickHouse(settings), id_, receiver, utc(since), datetime.now(UTC))
    typer.echo(f"{revived:,} notifications are on their way again")
    if not revived:
        raise typer.Exit(1)
