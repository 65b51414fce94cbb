"""When work beside the join goes on: often, but never so that events wait for it."""

import asyncio
import time
from collections.abc import Callable

from ..infra import metrics
from ..infra.logs import logger
from ..schemas.errors import FencedError, ServiceUnavailable

log = logger(__name__)

_FAR_BEHIND = 2
# Work is followed by a rest of so many times its length while many events wait, and while none does.
_REST, _IDLE_REST = 4, 0.1
_LONGEST_REST_S = 60


async def repeat(work: Callable[[], bool], every_s: float, behind: Callable[[], int], many: int, rest: float) -> None:
    """Do it in a thread, at most every so often, and rest `rest` times as long; what fails is tried again.

    Args:
        work: says whether it has left something to do.
        behind: how many events wait to be joined. While more than `many` do, a fifth of the time at most is spent here;
            of twice as many, a backlog in which everything changes, once a minute. While none does, there is hardly
            anything to make room for: a history is caught up with.
    """
    resting_since = time.monotonic()
    while True:
        began = time.monotonic()
        if behind() > _FAR_BEHIND * many and began - resting_since < _LONGEST_REST_S:
            await asyncio.sleep(1)
            continue
        is_behind = False
        try:
            is_behind = await asyncio.to_thread(work)
        except (FencedError, ServiceUnavailable) as exc:
            log.warning("evaluation put off", error=str(exc)[:300])
        except Exception as exc:
            metrics.EVALUATION_ERRORS.inc()
            log.exception("evaluation failed, tried again later", exc)
        resting_since = time.monotonic()
        took_s = resting_since - began
        waiting = behind()
        rests = _REST if waiting > many else rest if waiting else min(rest, _IDLE_REST)
        rest_s = min(took_s * rests, _LONGEST_REST_S)
        await asyncio.sleep(rest_s if is_behind else max(every_s - took_s, rest_s))
