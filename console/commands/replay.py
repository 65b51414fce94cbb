"""``loopwatch replay``: send a history, the real flights or your own files."""

import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import LoopwatchError
from ..options import ConfigFile, config_of, settings_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress

    from ...infra.settings import Settings
    from ...producers.client import Event
    from ...producers.files import InvalidRecord
    from ...producers.replay import ReplaySource, ReplaySummary

FLIGHTS = "flights"
_INVALID_SHOWN = 10


def replay(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="flights|FILE…",
            help="`flights`, or files: .jsonl, .ndjson, .json (each also .gz) and .parquet, one event a line or row. "
            "A record with an action_id is an action, any other a prediction.",
            show_default=False,
        ),
    ],
    speed: Annotated[
        float | None,
        typer.Option(min=0, help="1 is real time, 3600 an hour a second. By default as fast as it goes."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many flights, or events of the files.")] = None,
    no_close: Annotated[
        bool,
        typer.Option("--no-close", help="Leave the last windows open, for a history that goes on in another replay."),
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave records out that are no events, instead of ending at them.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Send a history to Kafka in event-time order, then close its windows.

    `flights` are the 336,776 flights that left New York in 2013: a classifier trained on January and February says of
    each later one at its scheduled departure whether it will be late, and what came is the action. Replaying the same
    history twice counts nothing twice.
    """
    settings = settings_with(config)
    models = config_of(settings)

    from ...producers.client import Loopwatch
    from ...producers.replay import replay_events

    events = _flights(limit) if source == [FLIGHTS] else _files(source, limit, skip_invalid)
    with Loopwatch(settings, block=True) as client, _progress() as progress:
        sent = replay_events(client, events, speed=speed, config=models, close=not no_close, progress=progress)
    _say(sent, settings)


def _flights(limit: int | None) -> "ReplaySource":
    from ...producers.flights import flight_events

    return flight_events(limit)


def _files(paths: list[str], limit: int | None, skip_invalid: bool) -> "ReplaySource":
    from ...producers.files import file_events

    shown = itertools.count(1)

    def on_invalid(record: "InvalidRecord") -> None:
        if not skip_invalid:
            raise LoopwatchError(f"{record} (--skip-invalid leaves such records out)")
        if (nth := next(shown)) <= _INVALID_SHOWN:
            typer.echo(f"left out: {record}", err=True)
        elif nth == _INVALID_SHOWN + 1:
            typer.echo("left out: … more, counted at the end", err=True)

    events = file_events([Path(path) for path in paths], on_invalid=on_invalid)
    return events if limit is None else _FirstEvents(events, limit)


class _FirstEvents:
    """The first events of a source."""

    def __init__(self, source: "ReplaySource", limit: int) -> None:
        self._source = source
        self._limit = limit
        self.name = source.name
        self.size = limit
        self.position = 0

    @property
    def invalid(self) -> int:
        return self._source.invalid

    def __iter__(self) -> "Iterator[Event]":
        for event in itertools.islice(self._source, self._limit):
            self.position += 1
            yield event


@contextlib.contextmanager
def _progress() -> "Iterator[Progress | None]":
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console

    from ...producers.replay import replay_progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with replay_progress(console) as progress:
        yield progress


def _say(sent: "ReplaySummary", settings: "Settings") -> None:
    rate = (sent.predictions + sent.actions) / sent.seconds if sent.seconds > 0 else 0.0
    left_out = f", {sent.invalid:,} records left out" if sent.invalid else ""
    typer.echo(
        f"sent {sent.predictions:,} predictions and {sent.actions:,} actions in {sent.seconds:.1f} s "
        f"({rate:,.0f} events/s){left_out}"
    )
    if sent.watermark is not None:
        by = f"as {settings.config} says" if settings.config else "by the default outcome: --config names your models"
        typer.echo(f"windows that end by {sent.watermark:%Y-%m-%d %H:%M:%S} UTC are closed, {by}")
