"""Which of the processes that could alert does: the one whose claim in table `fences` is the last, and fresh.

Claims are those of partitions (`sink/fence.py`), of a partition that no topic has. What is written under a claim is
checked as it is written, so one that was only stopped for a while can't decide anything behind its successor's back.
Ages are ClickHouse's, of one clock.
"""

import math
import time

from ...infra.clickhouse import ClickHouse, quote
from ...infra.logs import logger
from ..sink.fence import Fence

log = logger(__name__)

ALERTING = 2**32 - 1
"""Stands for alerting where a number of a partition is asked for."""

_NOBODY = ""
_RENEWALS = 4
"""Times that a lease is renewed before it could expire."""


class Lease:
    """The claim of one process, renewed while it lives. Not thread-safe."""

    def __init__(self, clickhouse: ClickHouse, fence: Fence, topic: str, lease_s: float) -> None:
        """`lease_s` is how long its holder may be silent before another one takes over."""
        self._clickhouse = clickhouse
        self._fence = fence
        self._topic = topic
        self._lease_s = lease_s
        self._fresh_until_s = -math.inf

    def hold(self) -> bool:
        """Renew the claim, or take it where nobody renews one; returns whether this process has it.

        Until it is time to renew it nobody else may take it, and nobody is asked.

        Raises:
            ServiceUnavailable: ClickHouse doesn't answer.
        """
        asked_s, renewed_for_s = time.monotonic(), self._lease_s / _RENEWALS
        if asked_s < self._fresh_until_s:
            return True
        owner, silent_s = last_holder(self._clickhouse, self._topic)
        if owner == self._fence.owner:
            if silent_s >= renewed_for_s:
                self._write(owner, "max(epoch)")
                silent_s = 0.0
            self._fresh_until_s = asked_s + renewed_for_s - silent_s
            return True
        if owner != _NOBODY and silent_s < self._lease_s:
            return False
        self._fence.claim(ALERTING)
        log.info("alerting taken over", former=owner or "nobody", silent_s=round(silent_s, 1))
        return self._fence.holds(ALERTING)

    def give_up(self) -> None:
        """Let another process take over at once, if this one has it."""
        self._fresh_until_s = -math.inf
        self._write(_NOBODY, "max(epoch) + 1")

    def _write(self, owner: str, epoch: str) -> None:
        """A claim in place of this process's own, if that is still the last one."""
        table = f"{self._clickhouse.database}.fences"
        self._clickhouse.command(
            f"INSERT INTO {table} (_topic, partition, epoch, owner, claimed_at) "
            f"SELECT {quote(self._topic)}, {ALERTING}, {epoch}, {quote(owner)}, now64(3) FROM {table} "
            f"WHERE {_claims(self._topic)} HAVING argMax(owner, (epoch, owner)) = {quote(self._fence.owner)}"
        )


def last_holder(clickhouse: ClickHouse, topic: str) -> tuple[str, float]:
    """Who claimed it last, empty for nobody, and seconds since it renewed that; `topic` is that of the predictions."""
    ((owner, silent_s),) = clickhouse.rows(
        "SELECT argMax(owner, (epoch, owner)), "
        "dateDiff('millisecond', argMax(claimed_at, (epoch, owner, claimed_at)), now64(3)) / 1000 "
        f"FROM {clickhouse.database}.fences WHERE {_claims(topic)}"
    )
    return owner, float(silent_s)


def _claims(topic: str) -> str:
    return f"_topic = {quote(topic)} AND partition = {ALERTING}"
