"""Row (e): Loopwatch complete: join, ledger, rows in ClickHouse (a process of its own), feedback topic.

The time ends when the last event is stored: its rows, its feedback and its ledger row.
"""

import asyncio
import threading
from typing import Any

from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.kafka_admin import apply_topics, input_topics
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.app import build_inserter, build_worker, faust_app, prepare_process
from msgspec.structs import replace

from ..clickhouse_process import clickhouse_process
from ..measurement import Counts, Measurement, Stopwatch


def run(settings: Settings, counts: Counts) -> Measurement:
    """Process everything once; `pairs` are the matched rows found in ClickHouse."""
    with clickhouse_process() as server:
        return asyncio.run(_run(replace(settings, clickhouse_url=server.url), counts))


async def _run(settings: Settings, counts: Counts) -> Measurement:
    prepare_process()
    clickhouse = ClickHouse(settings)
    apply_tables(clickhouse, settings)
    apply_topics(settings)
    topics = input_topics(settings)
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    inserter = build_inserter(settings, clickhouse, topics, threading.Event())
    worker = build_worker(settings, LoopwatchConfig(), clickhouse, topics, inserter, failed.set_exception)
    stopwatch = Stopwatch()

    async def on_batch(event: Any) -> None:
        stopwatch.start()
        await worker.on_batch(event)

    app = faust_app(settings, on_batch, worker.start_positions, worker.release)
    await app.start()
    try:
        while sum(worker.stored_offsets.values()) < counts.events:
            if failed.done():
                failed.result()
            await worker.tick(app.consumer)
            await asyncio.sleep(0.02)
        measurement = stopwatch.stop(counts.events)
    finally:
        await app.stop()
        worker.close()
    ((pairs,),) = clickhouse.rows(f"SELECT count() FROM {settings.clickhouse_database}.feedback_current")
    return replace(measurement, pairs=int(pairs))
