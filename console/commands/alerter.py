"""``loopwatch alerter``: alerting alone."""

import signal
import socket
import threading
import uuid
from types import FrameType

import typer

from ...infra.logs import configure_logs
from ..options import ConfigFile, config_of, settings_with


def alerter(config: ConfigFile = None) -> None:
    """Watch rules and tell receivers, without joining anything, until SIGTERM.

    Workers do so too, one process at a time. One more, elsewhere, notices when all workers are dead: run it where that
    counts. It needs ClickHouse; Kafka may be away. Logs go to standard error.
    """
    settings = settings_with(config)
    models = config_of(settings)
    configure_logs(settings.log_level, settings.log_format)

    from ...infra.clickhouse import ClickHouse
    from ...infra.kafka_admin import input_topics
    from ...infra.tables import apply_tables
    from ...schemas.errors import LoopwatchError
    from ...stream_processors.alerter_app import AlertingService

    clickhouse = ClickHouse(settings)
    apply_tables(clickhouse, settings)
    clickhouse.close()
    if not settings.alert_every_s:
        typer.echo("LOOPWATCH_ALERT_EVERY_S=0 turns alerting off", err=True)
        raise typer.Exit(78)
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    try:
        partitions = input_topics(settings)[0].partitions
    except LoopwatchError:
        # Those that workers have reported on are missed all the same.
        partitions = None
    owner = f"{settings.worker_id or socket.gethostname()}:{uuid.uuid4().hex[:12]}"
    service = AlertingService(settings, models, owner, partitions)
    service.start()
    stop.wait()
    service.stop()
