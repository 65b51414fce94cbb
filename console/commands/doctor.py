"""``loopwatch doctor``: is everything there that a worker needs?"""

from typing import Annotated

import typer

from ...schemas.errors import LoopwatchError
from ..options import ConfigFile, ReportFormat, settings_with


def doctor(
    format_: Annotated[ReportFormat, typer.Option("--format", "-f", help="How to print it.")] = ReportFormat.TABLE,
    config: ConfigFile = None,
) -> None:
    """Check settings, configuration, Kafka, ClickHouse and what is installed, and say what to do about it.

    Ends with 1 when a check fails. What is only needed for some commands, such as Java, is told and does not fail.
    """
    from ...infra.doctor import Check, Verdict, examine, healthy, settings_check

    colours = {Verdict.OK: typer.colors.GREEN, Verdict.FAILED: typer.colors.RED, Verdict.INFO: typer.colors.BLUE}
    done: list[Check] = []

    def tell(check: Check) -> None:
        done.append(check)
        if format_ is ReportFormat.TABLE:
            typer.echo(f"{typer.style(f'{check.verdict:6}', fg=colours[check.verdict])} {check.name}: {check.found}")
            if check.remedy:
                typer.echo(f"       -> {check.remedy}")

    try:
        for check in examine(settings_with(config)):
            tell(check)
    except LoopwatchError as exc:
        tell(settings_check(exc))
    if format_ is ReportFormat.JSON:
        import msgspec

        report = {"healthy": healthy(done), "checks": done}
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    if not healthy(done):
        raise typer.Exit(1)
