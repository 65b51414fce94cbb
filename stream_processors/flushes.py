"""The flush that fills, and those before it on their way out: one after the other, in a thread."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..infra import metrics
from .output import Flush
from .sink.writer import FlushWriter

# Those that are being written or wait for it.
_AT_MOST = 2


class Flushes:
    """Numbered from 1. `stored` is the last one that ended: rows, Kafka and ledger."""

    def __init__(
        self, writer: FlushWriter, on_stored: Callable[[Flush], None], on_fatal: Callable[[BaseException], None]
    ) -> None:
        self._writer = writer
        self._on_stored = on_stored
        self._on_fatal = on_fatal
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flush")
        self._writing: deque[asyncio.Task[None]] = deque()
        self.open = Flush(1)
        self.stored = 0

    @property
    def writing(self) -> bool:
        """Whether a flush is on its way out."""
        return bool(self._writing)

    async def room(self) -> None:
        """Wait until one more flush may be sealed."""
        await self._written(_AT_MOST - 1)

    async def all_written(self) -> None:
        """Wait until every sealed flush is stored."""
        await self._written(0)

    def seal(self) -> None:
        """Hand the open flush to the thread, and open the next one."""
        flush = self.open
        self.open = Flush(flush.number + 1)
        self._writing.append(asyncio.create_task(self._write(flush)))

    def drop_open(self) -> None:
        """Forget what is in the open flush: it will be read again."""
        self.open = Flush(self.open.number + 1)

    def close(self) -> None:
        """Let the threads go."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._writer.close()

    async def _written(self, left: int) -> None:
        while len(self._writing) > left:
            await self._writing[0]

    async def _write(self, flush: Flush) -> None:
        try:
            with metrics.FLUSH_SECONDS.time():
                await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.write, flush)
        except Exception as exc:
            self._on_fatal(exc)
            return
        finally:
            self._writing.popleft()
        self.stored = flush.number
        self._on_stored(flush)
