"""``loopwatch config``: is this loopwatch.yaml right?"""

from pathlib import Path
from typing import Annotated

import typer

from ...schemas.config import load_config
from ...schemas.durations import format_duration
from ..tabular import print_table

app = typer.Typer(no_args_is_help=True, help="Check a loopwatch.yaml.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The loopwatch.yaml.", show_default=False)]) -> None:
    """Read FILE as a worker would, and print what it means, or every mistake in it with what to write instead."""
    from ...stream_processors.monitor.choice import check_detectors

    config = load_config(file)
    check_detectors(config)
    rows = [
        (
            model.name,
            model.kind or "",
            outcome.name,
            ", ".join(outcome.actions) or "any",
            format_duration(outcome.window),
            outcome.on_timeout,
            outcome.label,
            outcome.combine,
            format_duration(model.retention),
        )
        for model in config.models.values()
        for outcome in model.outcomes
    ]
    columns = ("model", "kind", "outcome", "actions", "window", "on timeout", "label", "combine", "retention")
    print_table(columns, rows)
    defaults = config.defaults
    models = f"{len(config.models)} model{'' if len(config.models) == 1 else 's'}"
    typer.echo(
        f"{file} is right: {models}; disorder {format_duration(defaults.disorder)}, "
        f"orphan grace {format_duration(defaults.orphan_grace)}; any other model has the outcome `default`"
    )
