"""``loopwatch recompute``: feedback of stored predictions again, under the rules of today."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import ConfigFile, config_of, settings_with

if TYPE_CHECKING:
    from ...stream_processors.recompute.run import Progress, Recomputed


def recompute(
    model: Annotated[str, typer.Option(help="Name of the model.")],
    outcome: Annotated[str | None, typer.Option(help="Outcome of the model; all of them unless you say.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", help="Predictions from here on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Predictions before this (UTC).")] = None,
    config: ConfigFile = None,
) -> None:
    """Derive feedback again for predictions that are stored, after a rule in `loopwatch.yaml` changed.

    Restart all workers with the new file first; they may run meanwhile. Labels, timeouts and classes of actions become
    what they would be had the rule always held, in the tables and on the topic. It may be stopped and started again:
    what is done stays done, and a second run changes nothing.
    """
    settings = settings_with(config)
    models = config_of(settings)

    from ...stream_processors.recompute.reads import Selection
    from ...stream_processors.recompute.run import recompute as run

    selection = Selection(model, _utc(since), _utc(until))
    with _progress(model) as progress:
        done = run(settings, models, selection, outcome, progress)
    _say(model, done)


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


@contextlib.contextmanager
def _progress(model: str) -> "Iterator[Progress]":
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as bar:
        task = bar.add_task(model, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _say(model: str, done: "Recomputed") -> None:
    typer.echo(f"{done.predictions:,} predictions of {model}: {done.rows:,} rows written anew, of which")
    for (outcome, status), n in sorted(done.changed.items()):
        typer.echo(f"  {n:,} of {outcome} say something else now: {status}")
    if not done.changed:
        typer.echo("  none says anything else than before")
    if done.actions:
        typer.echo(f"{done.actions:,} actions have another class now")
