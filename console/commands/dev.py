"""``loopwatch dev``: all of it on this machine, with nothing installed beside Python."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ..options import ConfigFile, config_of, settings_with

if TYPE_CHECKING:
    from ..dev_stack import DevStack

DEFAULT_DATA = Path(".loopwatch/data")


def dev(
    kafka_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the broker; 0 takes a free one.")] = 9092,
    clickhouse_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of ClickHouse; 0 takes a free one.")
    ] = 8123,
    data: Annotated[Path, typer.Option(help="Directory of ClickHouse's data and of all logs.")] = DEFAULT_DATA,
    config: ConfigFile = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start the two services only.")] = False,
) -> None:
    """Start an embedded broker, an embedded ClickHouse and a worker, until Ctrl-C.

    Prints a line that starts with `ready` once events can be sent; every other command then finds the services at the
    default ports. The broker keeps its topics in memory, ClickHouse keeps its data in the directory. Everything is
    bound to this machine alone. A worker or a ClickHouse that ends is started again; a broker that ends is the end.
    """
    settings = settings_with(config)
    config_of(settings)
    if settings.config:
        settings = msgspec.structs.replace(settings, config=str(Path(settings.config).resolve()))

    from ..dev_stack import DevStack, Stopped

    stop = threading.Event()
    _stop_on_signals(stop)
    stack = DevStack(
        settings, kafka_port=kafka_port, clickhouse_port=clickhouse_port, data=data.resolve(), stop=stop
    )  # fmt: skip
    try:
        stack.start(with_worker=not no_worker)
        _say_ready(stack, no_worker)
        stack.watch(lambda message: typer.echo(message, err=True))
        typer.echo("stopping", err=True)
    except Stopped:
        pass
    finally:
        try:
            stack.stop_all()
        except KeyboardInterrupt:
            stack.stop_all(graceful=False)
            raise


def _stop_on_signals(stop: threading.Event) -> None:
    """SIGTERM and SIGINT stop everything in order; the second one at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _say_ready(stack: "DevStack", no_worker: bool) -> None:
    settings = stack.settings
    metrics = "" if no_worker else f" metrics={stack.metrics_url}"
    typer.echo(
        f"ready kafka={settings.kafka_bootstrap} clickhouse={settings.clickhouse_url}{metrics} data={stack.data}"
    )
    variables = {
        "LOOPWATCH_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "LOOPWATCH_CLICKHOUSE_URL": settings.clickhouse_url,
        "LOOPWATCH_CONFIG": settings.config,
    }
    defaults = {"LOOPWATCH_KAFKA_BOOTSTRAP": "127.0.0.1:9092", "LOOPWATCH_CLICKHOUSE_URL": "http://127.0.0.1:8123"}
    changed = [f"{name}={text}" for name, text in variables.items() if text and text != defaults.get(name)]
    if changed:
        typer.echo(f"for other commands: export {' '.join(changed)}")
