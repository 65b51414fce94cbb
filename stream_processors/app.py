"""The composition root of a worker: wires Faust, the join, ClickHouse and Kafka together, and runs them to an end."""

import asyncio
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import faust
from faust.types import TP

from ..infra.allocator import give_memory_back
from ..infra.clickhouse import ClickHouse
from ..infra.kafka_admin import TopicInfo, apply_topics, input_topics
from ..infra.logs import logger
from ..infra.metrics import MetricsServer
from ..infra.settings import Settings
from ..infra.tables import apply_tables
from ..schemas.config import load_config
from ..schemas.errors import FencedError, LoopwatchError, PoisonLimitExceeded, ServiceUnavailable
from ..schemas.outcomes import LoopwatchConfig
from .alerter_app import AlertingService
from .calls import Calls
from .engine.assignor import CoPartitionedAssignor
from .engine.scheduler import BatchScheduler
from .engine.schema import BatchSchema
from .engine.transport import BatchConsumer, StartPositions, consumer_with, transport_with
from .join.rules import Rules
from .live.evaluator import Evaluator
from .lookups import Lookups
from .monitor.choice import check_detectors
from .monitor.monitor import Monitor
from .monitor.signals import SignalPublisher
from .ownership import Ownership
from .pacing import repeat
from .partition import Limits
from .recovery import Recovery
from .reports import Reporter
from .rule_epochs import outdated_rules, register_rules
from .sink.fence import Fence
from .sink.inserts import Inserter
from .sink.publisher import Publisher
from .sink.writer import FlushWriter
from .worker import JoinWorker

log = logger(__name__)

# For whoever starts workers: see sysexits.h.
EXIT_POISON = 65
EXIT_UNAVAILABLE = 69
EXIT_FENCED = 75
EXIT_SOFTWARE = 70

_TICKS_A_LINGER = 4
_WATCH_EVERY_S = 10
# Windows that take so long are evaluated beside the others: what alerts wait for the longest is a tick.
_SLOW_S = 0.25
# A window gets some thousand revisions at most, however often somebody looks: a day one every 86 s, a minute all.
_PACE = 0.001
# Rests after a turn, in its lengths: alerts wait for metrics.
_EVALUATION_REST, _WATCH_REST = 0.3, 1.0
# Detectors look at models that nothing comes for so rarely.
_QUIET_REST = timedelta(minutes=1)
# A row is stamped before its flush is written; the retries of that come on top.
_LONGEST_FLUSH_S = 60

OnBatch = Callable[[Any], Awaitable[None]]
OnRevoked = Callable[[set[TP]], Awaitable[None]]


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; returns the exit status. Fatal errors end the process at once.

    Raises:
        LoopwatchError: it could not start: a setting, the configuration, or a service at its address.
    """
    prepare_process()
    config = load_config(Path(settings.config) if settings.config else None)
    check_detectors(config)
    clickhouse = ClickHouse(settings)
    apply_tables(clickhouse, settings)
    apply_topics(settings)
    topics = input_topics(settings)
    stop = threading.Event()
    inserter = build_inserter(settings, clickhouse, topics, stop)
    worker = build_worker(settings, config, clickhouse, topics, inserter, _die)
    alerting = AlertingService(settings, config, inserter.fence.owner, topics[0].partitions)
    unhurried = ClickHouse(settings, patience=True)
    evaluator = Evaluator(
        clickhouse, config, inserter, partitions=topics[0].partitions,
        overlap=timedelta(seconds=settings.stuck_after_s + _LONGEST_FLUSH_S), stop=stop, unhurried=unhurried,
        on_written=alerting.look, slow_s=_SLOW_S, pace=_PACE,
    )  # fmt: skip
    monitor = Monitor(unhurried, inserter, evaluator.models, SignalPublisher(settings), rest=_QUIET_REST)
    server = MetricsServer(settings.metrics_host, settings.metrics_port, lambda: worker.unhealthy)
    server.start()
    log.info("worker starting", owner=inserter.fence.owner, metrics_port=server.port, partitions=topics[0].partitions)
    reporter = Reporter(inserter, lambda: worker.reports)
    reporter.start()
    alerting.start()
    try:
        asyncio.run(_run(settings, worker, evaluator, monitor, stop))
    finally:
        stop.set()
        alerting.stop()
        reporter.stop()
        server.stop()
        unhurried.close()
        clickhouse.close()
    return 0


def build_inserter(
    settings: Settings, clickhouse: ClickHouse, topics: tuple[TopicInfo, TopicInfo], stop: threading.Event
) -> Inserter:
    """Inserts as a new owner of partitions; `stop` makes them give up."""
    fence = Fence(clickhouse, topics[0].name, _owner(settings))
    return Inserter(clickhouse, fence, give_up_after_s=settings.stuck_after_s, stop=stop)


def build_worker(
    settings: Settings,
    config: LoopwatchConfig,
    clickhouse: ClickHouse,
    topics: tuple[TopicInfo, TopicInfo],
    inserter: Inserter,
    on_fatal: Callable[[BaseException], None],
) -> JoinWorker:
    """A worker on these services."""
    book = register_rules(clickhouse, config, inserter.fence.owner)
    publisher = Publisher(settings, give_up_after_s=settings.stuck_after_s)
    lookups = Lookups(clickhouse, book.epochs)
    calls = Calls(lookups, topics, settings.stuck_after_s)
    recovery = Recovery(clickhouse, topics, book.longest_window_us)
    return JoinWorker(
        settings,
        topics,
        calls=calls,
        lookups=lookups,
        ownership=Ownership(
            calls,
            recovery,
            inserter.fence,
            topics,
            Rules(config, book.epochs),
            _limits(settings, topics[0].partitions),
            lambda: outdated_rules(clickhouse, book.epochs),
        ),
        writer=FlushWriter(inserter, publisher, topics, inserter.fence.owner),
        topics_now=lambda: input_topics(settings),
        on_fatal=on_fatal,
    )


def faust_app(
    settings: Settings, on_batch: OnBatch, start_positions: StartPositions, on_revoked: OnRevoked | None = None
) -> faust.App:
    """The Faust app: one agent that reads both input topics in batches and acknowledges nothing itself."""
    topics = settings.topics
    transport = transport_with(consumer_with(start_positions))

    class App(faust.App):
        def _new_transport(self) -> Any:
            return transport(self.conf.broker_consumer, self)

    app = App(
        settings.consumer_group,
        broker=[f"aiokafka://{server.strip()}" for server in settings.kafka_bootstrap.split(",")],
        ConsumerScheduler=BatchScheduler.for_topics(frozenset(topics.inputs)),
        PartitionAssignor=CoPartitionedAssignor,
        broker_max_poll_records=settings.fetch_max_records,
        broker_session_timeout=settings.session_timeout_s,
        broker_rebalance_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        broker_commit_interval=1.0,
        consumer_max_fetch_size=4 << 20,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=settings.stream_buffer_batches,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        stream_processing_timeout=3600.0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=tempfile.gettempdir(),
    )
    source = app.topic(*topics.inputs, schema=BatchSchema(), internal=False)

    @app.agent(source, concurrency=1, name="join")
    async def join(stream: Any) -> None:
        async for event in stream.noack().events():
            await on_batch(event)

    if on_revoked is not None:

        async def release(app: Any, revoked: set[TP], *_: Any, **__: Any) -> None:
            await on_revoked(revoked)

        app.on_partitions_revoked.connect(release, weak=False)  # pyright: ignore[reportArgumentType]
    return app


def prepare_process() -> None:
    """Before threads start: have memory that is freed go back, and Python's cycle collector look less often.

    What a worker makes dies by reference count.
    """
    give_memory_back()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


async def _run(
    settings: Settings,
    worker: JoinWorker,
    evaluator: Evaluator,
    monitor: Monitor,
    stopping: threading.Event,
) -> None:
    app = faust_app(settings, worker.on_batch, worker.start_positions, worker.release)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await app.start()
    beside = [loop.create_task(each) for each in _beside_the_join(settings, worker, evaluator, monitor)]
    try:
        while not stop.is_set():
            consumer = app.consumer
            if app.rebalancing:
                await worker.drain()
            elif isinstance(consumer, BatchConsumer):
                await worker.tick(consumer)
            if app.crashed:
                _die(app.crash_reason or RuntimeError("Faust crashed"))
            try:
                await asyncio.wait_for(stop.wait(), settings.flush_linger_s / _TICKS_A_LINGER)
            except TimeoutError:
                continue
        log.info("worker stopping")
        await worker.drain()
        await app.consumer.commit()
    finally:
        for task in beside:
            task.cancel()
        stopping.set()
        await app.stop()
        worker.close()
    log.info("worker stopped")


def _beside_the_join(
    settings: Settings, worker: JoinWorker, evaluator: Evaluator, monitor: Monitor
) -> Iterator[Coroutine[Any, Any, None]]:
    """Metrics, which alerts wait for; and beside them estimates and detectors, which have less haste."""

    def evaluate() -> bool:
        evaluator.tick(worker.owned)
        return False

    def watch() -> bool:
        evaluator.estimate()
        monitor.tick()
        return monitor.is_behind

    every_s = settings.evaluate_every_s
    if not every_s:
        return
    watch_every_s = max(_WATCH_EVERY_S, every_s)
    for work, least_s, rest in ((evaluate, every_s, _EVALUATION_REST), (watch, watch_every_s, _WATCH_REST)):
        yield repeat(work, least_s, lambda: worker.behind, settings.flush_rows, rest)


def _die(exc: BaseException) -> None:
    """End the process now. What was not stored is read again: state in memory is only a cache."""
    if isinstance(exc, LoopwatchError):
        log.error("worker stops", error=str(exc), kind=type(exc).__name__)
        print(f"loopwatch worker: {exc}", file=sys.stderr, flush=True)
    else:
        log.exception("worker stops on an unexpected error", exc)
    codes = {PoisonLimitExceeded: EXIT_POISON, FencedError: EXIT_FENCED, ServiceUnavailable: EXIT_UNAVAILABLE}
    sys.stderr.flush()
    os._exit(codes.get(type(exc), EXIT_SOFTWARE))


def _owner(settings: Settings) -> str:
    return f"{settings.worker_id or socket.gethostname()}:{os.getpid()}:{_PROCESS}"


def _limits(settings: Settings, partitions: int) -> Limits:
    """What one partition may hold: its share of what the process may."""
    return Limits(
        hot_bytes=max(1 << 20, settings.hot_state_bytes // partitions),
        held_actions=settings.held_actions,
        known_ids=max(1 << 16, settings.known_ids // partitions),
        max_event_bytes=settings.max_event_bytes,
        live_within_us=int(settings.live_within_s * 1e6),
        poison_window=settings.poison_window,
        poison_ratio=settings.poison_ratio,
    )


_PROCESS = uuid.uuid4().hex[:12]
