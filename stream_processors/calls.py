"""Calls that block on a service: in threads, and again while the service is away."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..infra import metrics
from ..infra.kafka_admin import TopicInfo
from ..infra.logs import logger
from ..schemas.errors import ServiceUnavailable
from .join.state import Stored
from .lookups import Lookups, NotYet

log = logger(__name__)

T = TypeVar("T")
_THREADS = 4
_RETRY_PAUSE_S = 1.0


class Calls:
    """Gives up, with what the service said last, after `give_up_after_s`."""

    def __init__(self, lookups: Lookups, topics: tuple[TopicInfo, TopicInfo], give_up_after_s: float) -> None:
        self._lookups = lookups
        self._topics = topics
        self._give_up_after_s = give_up_after_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="call")

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """The result of `call(*args)`.

        Raises:
            ServiceUnavailable: its service did not come back in time.
        """
        deadline = time.monotonic() + self._give_up_after_s
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)
            except ServiceUnavailable as exc:
                if time.monotonic() > deadline:
                    raise
                log.warning("service away, trying again", error=str(exc)[:300])
            await asyncio.sleep(_RETRY_PAUSE_S)

    async def find(self, ids: Sequence[str], next_offsets: Mapping[int, tuple[int, int]]) -> dict[str, Stored]:
        """Look ids up, leaving out what is stored from these offsets of predictions and of actions on."""
        of_predictions, of_actions = (topic.topic_id for topic in self._topics)
        not_yet = [
            (NotYet(of_predictions, partition, prediction), NotYet(of_actions, partition, action))
            for partition, (prediction, action) in next_offsets.items()
        ]
        metrics.LOOKUPS.inc(len(ids))
        with metrics.LOOKUP_SECONDS.time():
            return await self.run(self._lookups.find, ids, not_yet)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)
