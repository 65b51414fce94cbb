"""``loopwatch``: every command, and how an error reaches whoever typed it.

Each command has a module of its own, which imports heavy libraries only where it runs: help is instant.
"""

import logging
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from .commands import (
    ack,
    alerter,
    alerts,
    config,
    dev,
    doctor,
    drift,
    explain,
    history,
    ledger,
    metrics,
    recompute,
    reference,
    replay,
    report,
    rules,
    signals,
    silence,
    sql,
    tables,
    topics,
    watermark,
    webhook,
    worker,
)
from .failures import ReportingGroup

app = typer.Typer(
    name="loopwatch",
    cls=ReportingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Watch the feedback loop of models in production: predictions joined with what people then did, exactly and "
    "accounted for.",
    epilog="Kafka is found by LOOPWATCH_KAFKA_BOOTSTRAP (127.0.0.1:9092), ClickHouse by LOOPWATCH_CLICKHOUSE_URL "
    "(http://127.0.0.1:8123), your models by LOOPWATCH_CONFIG. `loopwatch doctor` says whether all of it is well.",
)

_RUN, _SEND, _LOOK, _SET_UP = "Run", "Send events", "Look at what came of them", "Set up"
_ALERTS = "Alerts"

app.command("dev", rich_help_panel=_RUN)(dev.dev)
app.command("worker", rich_help_panel=_RUN)(worker.worker)
app.command("alerter", rich_help_panel=_RUN)(alerter.alerter)
app.command("replay", rich_help_panel=_SEND)(replay.replay)
app.command("watermark", rich_help_panel=_SEND)(watermark.watermark)
app.command("recompute", rich_help_panel=_RUN)(recompute.recompute)
app.command("metrics", rich_help_panel=_LOOK)(metrics.metrics)
app.command("signals", rich_help_panel=_LOOK)(signals.signals)
app.command("drift", rich_help_panel=_LOOK)(drift.drift)
app.command("explain", rich_help_panel=_LOOK)(explain.explain)
app.command("report", rich_help_panel=_LOOK)(report.report)
app.command("ledger", rich_help_panel=_LOOK)(ledger.ledger)
app.command("alerts", rich_help_panel=_ALERTS)(alerts.alerts)
app.command("ack", rich_help_panel=_ALERTS)(ack.ack)
app.command("silence", rich_help_panel=_ALERTS)(silence.silence)
app.command("history", rich_help_panel=_ALERTS)(history.history)
app.add_typer(webhook.app, name="webhook", rich_help_panel=_ALERTS)
app.command("sql", rich_help_panel=_LOOK)(sql.sql)
app.command("doctor", rich_help_panel=_SET_UP)(doctor.doctor)
app.command("reference", rich_help_panel=_SET_UP)(reference.reference)
app.add_typer(topics.app, name="topics", rich_help_panel=_SET_UP)
app.add_typer(tables.app, name="tables", rich_help_panel=_SET_UP)
app.add_typer(config.app, name="config", rich_help_panel=_SET_UP)
app.add_typer(rules.app, name="rules", rich_help_panel=_SET_UP)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"loopwatch {installed_version('loopwatch')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # Libraries that log what they raise would say everything twice; a worker sets its own logs up.
    logging.getLogger().addHandler(logging.NullHandler())


def main() -> None:
    """Run the command line and end the process with its exit status."""
    app(prog_name="loopwatch")


if __name__ == "__main__":
    main()
