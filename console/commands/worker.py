"""``loopwatch worker``: one process of the stream side."""

from typing import Annotated

import msgspec
import typer

from ...infra.logs import configure_logs
from ..options import ConfigFile, settings_with


def worker(
    config: ConfigFile = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Where /metrics and /health are; 0 takes a free port. By default LOOPWATCH_METRICS_PORT.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Join predictions with actions until SIGTERM.

    Start as many as there are partitions, on as many machines: Kafka spreads the work. Topics and tables are made
    where they are missing. Logs go to standard error. Ends with 0 when it was told to stop, 65 when most records are no
    events, 69 when Kafka or ClickHouse cannot be reached, 75 when another worker took over, 78 on a wrong setting.
    """
    settings = settings_with(config)
    if metrics_port is not None:
        settings = msgspec.structs.replace(settings, metrics_port=metrics_port)
    configure_logs(settings.log_level, settings.log_format)

    from ...stream_processors.app import run_worker

    status = run_worker(settings)
    if status:
        raise typer.Exit(status)
