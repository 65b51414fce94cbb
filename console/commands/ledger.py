"""``loopwatch ledger``: does every event have its place?"""

from typing import Annotated

import typer

from ..options import ConfigFile, ReportFormat, config_of, settings_with


def ledger(
    format_: Annotated[ReportFormat, typer.Option("--format", "-f", help="How to print it.")] = ReportFormat.TABLE,
    config: ConfigFile = None,
) -> None:
    """Count what became of every event, and end with 1 unless the sums reconcile.

    What workers counted is held against the rows in ClickHouse. Received predictions are invalid, duplicate or
    accepted; accepted ones are pending, matched or expired, for each outcome of their model. Received actions are
    invalid, duplicate, matched, late (they revised a timeout), ignored, held for their prediction, or orphans.
    Without a configuration the outcomes are those that feedback names.
    """
    settings = settings_with(config)
    models = config_of(settings) if settings.config else None

    from ...infra.clickhouse import ClickHouse
    from ...infra.ledger import read_ledger

    report = read_ledger(ClickHouse(settings), models, ttl_days=settings.ttl_days)
    if format_ is ReportFormat.JSON:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        from ..ledger_view import print_ledger

        print_ledger(report)
    if not report.balanced:
        raise typer.Exit(1)
