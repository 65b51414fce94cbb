"""``loopwatch rules``: which there are, whether they are right, and what they would have fired."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ...schemas.durations import parse_duration
from ...schemas.errors import LoopwatchError
from ..options import ConfigFile, config_of, settings_with
from ..stretches import span_of
from ..tabular import Format, print_report

app = typer.Typer(no_args_is_help=True, help="Look at the rules of alerting.")

_MOST_STEPS = 200_000


@app.command("list")
def list_(
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to print it.")] = Format.TABLE,
    config: ConfigFile = None,
) -> None:
    """Print all rules: those by default, and those of the configuration."""
    from .. import rules_view as view

    print_report(view.overview(config_of(settings_with(config)).alerting.rules), format_)


@app.command()
def check(config: ConfigFile = None) -> None:
    """Check rules and receivers, and end with 1 unless all of it is right.

    Names of metrics and outcomes, templates, queries (ClickHouse plans them and doesn't run them), and whether the
    secrets of receivers are there: by name, in the environment of this command.
    """
    from ...infra.clickhouse import ClickHouse
    from .. import rules_view as view

    settings = settings_with(config)
    models = config_of(settings)
    wrong = list(view.problems(models, ClickHouse(settings), datetime.now(UTC)))
    for where, what in wrong:
        typer.echo(f"alerting.{where}: {what}")
    alerting = models.alerting
    counts = f"{len(alerting.rules)} rules, {len(alerting.receivers)} receivers"
    if wrong:
        typer.echo(f"{counts}: {len(wrong)} mistake{'' if len(wrong) == 1 else 's'}")
        raise typer.Exit(1)
    typer.echo(f"{counts}: all right{'' if alerting.route else '; without a route nobody is told'}")


@app.command("test")
def on_history(
    model: Annotated[str, typer.Option(help="Name of the model.")],
    since: Annotated[datetime | None, typer.Option("--from", help="Begin here (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="End before this (UTC).")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; may be said again.")] = None,
    every: Annotated[str, typer.Option(help="How often rules are asked, by event time: 1m, 5m, 1h.")] = "5m",
    format_: Annotated[Format, typer.Option("--format", "-f", help="json has all labels.")] = Format.TABLE,
    config: ConfigFile = None,
) -> None:
    """Print what rules would have fired on the history of a model, when, and for how long.

    A clock goes through event time, and the same conditions and the same life cycle see what was known at each instant.
    In hindsight are: the values of metrics, which are those of their last revision; when things came, which is when
    they happened; and what signals say. Rules about the pipeline, the ledger and dead letters have no past.
    """
    span = span_of(since, until)
    try:
        step = parse_duration(every)
    except ValueError as exc:
        raise LoopwatchError(f"--every: {exc}") from exc
    if not step or span.length / step > _MOST_STEPS:
        raise LoopwatchError(f"--every {every}: {span} has more than {_MOST_STEPS:,} steps of that")
    settings = settings_with(config)
    models = config_of(settings)
    rules = models.alerting.rules
    if rule is not None:
        known = {each.name: each for each in rules}
        if missing := [name for name in rule if name not in known]:
            raise LoopwatchError(f"--rule {missing[0]}: there is no such rule (there are {', '.join(known)})")
        rules = tuple(known[name] for name in rule)

    from ...infra.clickhouse import ClickHouse
    from ...stream_processors.alerts.conditions.evaluate import can_be_asked_of_the_past
    from ...stream_processors.alerts.conditions.history import History
    from ...stream_processors.alerts.replay import fired, revisions
    from .. import rules_view as view

    asked = [each for each in rules if can_be_asked_of_the_past(each)]
    left_out = [each.name for each in rules if each not in asked]
    clickhouse = ClickHouse(settings)
    history = History(clickhouse, models.for_model(model), asked, span.since, span.until)
    try:
        found = fired(revisions(clickhouse, asked, history, span.since, span.until, step))
    except RuntimeError as exc:
        raise LoopwatchError(str(exc)) from exc
    if format_ is not Format.TABLE:
        print_report(view.fired_report(found, span.until, whole=True), format_)
        return
    if found:
        print_report(view.fired_report(found, span.until, whole=False), format_)
    typer.echo(f"{len(found)} alerts of {len(asked)} rules would have fired from {span}, asked every {every}")
    if left_out:
        typer.echo(f"without a past: {', '.join(left_out)}")
