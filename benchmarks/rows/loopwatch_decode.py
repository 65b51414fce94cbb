"""Row (d): Loopwatch's engine and typed decode, nothing behind it: what batches inside Faust leave of the limit."""

import asyncio
from typing import Any

import faust
from loopwatch.infra.settings import Settings
from loopwatch.schemas.decode import action_decoder, prediction_decoder
from loopwatch.stream_processors.app import faust_app, prepare_process

from ..measurement import Counts, Measurement, Stopwatch


def run(settings: Settings, counts: Counts) -> Measurement:
    """Read and decode everything once, in batches, in a Faust agent."""
    return asyncio.run(_run(settings, counts))


async def _run(settings: Settings, counts: Counts) -> Measurement:
    decoders = {settings.topics.predictions: prediction_decoder(), settings.topics.actions: action_decoder()}
    stopwatch, done = Stopwatch(), asyncio.get_running_loop().create_future()
    seen = 0

    async def on_batch(event: Any) -> None:
        nonlocal seen
        stopwatch.start()
        batch = event.value
        decoded = decoders[batch.topic].decode_batch([record.value for record in batch.records])
        if decoded.rejected:
            raise RuntimeError(f"row (d): {len(decoded.rejected)} events were not valid")
        batch.done = True
        event.ack()
        seen += len(batch.records)
        if seen >= counts.events and not done.done():
            done.set_result(stopwatch.stop(seen))

    async def from_the_start(assigned: set[Any]) -> dict[Any, int]:
        return {}

    app: faust.App = faust_app(settings, on_batch, from_the_start)
    prepare_process()
    await app.start()
    try:
        return await done
    finally:
        await app.stop()
