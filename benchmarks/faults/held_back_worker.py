"""The engine alone, acknowledging out of order: the first batch of each partition waits for ``HELD_RELEASE`` to exist.

Every batch is a line on standard output: ``held|acked TOPIC PARTITION FIRST LAST``. Nothing is stored.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from faust.types import TP
from loopwatch.infra.settings import Settings
from loopwatch.stream_processors.app import faust_app
from loopwatch.stream_processors.engine.batches import RecordBatch

_POLL_S = 0.1


async def run(settings: Settings, release: Path) -> None:
    """Read until killed."""
    held: dict[TP, tuple[Any, RecordBatch]] = {}
    first_seen: set[TP] = set()

    async def on_batch(event: Any) -> None:
        batch: RecordBatch = event.value
        if batch.tp in first_seen:
            _done("acked", event, batch)
        else:
            first_seen.add(batch.tp)
            held[batch.tp] = (event, batch)
            _say("held", batch)

    async def start_positions(_: set[TP]) -> dict[TP, int]:
        return {}

    app = faust_app(settings, on_batch, start_positions)
    await app.start()
    while True:
        await asyncio.sleep(_POLL_S)
        if held and release.exists():
            for event, batch in held.values():
                _done("acked", event, batch)
            held.clear()


def _done(word: str, event: Any, batch: RecordBatch) -> None:
    batch.done = True
    event.ack()
    _say(word, batch)


def _say(word: str, batch: RecordBatch) -> None:
    print(word, batch.topic, batch.partition, batch.first_offset, batch.offset, flush=True)


if __name__ == "__main__":
    asyncio.run(run(Settings.load(), Path(os.environ["HELD_RELEASE"])))
    sys.exit(0)
