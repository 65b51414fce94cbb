"""Who may write for a partition: a claim in ClickHouse that every insert checks as it runs.

Kafka takes a worker for dead that was only stopped for a while, and gives its partitions away. When it wakes up in the
middle of a flush, its next insert would write rows that the new owner writes too. The claim of the new owner makes that
insert fail on the server.
"""

import time
from collections import Counter
from collections.abc import Sequence

from ...infra.clickhouse import ClickHouse, quote
from ...schemas.errors import ServiceUnavailable

_LONGEST_INSERT_S = 60.0
_POLL_S = 0.05


class Fence:
    """Claims of one worker. `owner` names this very process, not its host: a restarted worker is another one."""

    def __init__(self, clickhouse: ClickHouse, topic: str, owner: str) -> None:
        self._clickhouse = clickhouse
        self._topic = topic
        self.owner = owner
        self._claims: Counter[int] = Counter()

    def claim(self, partition: int) -> None:
        """Take a partition over; when this returns no other worker's insert can be stored any more.

        Raises:
            ServiceUnavailable: ClickHouse does not answer, or another worker keeps claiming the partition.
        """
        table = f"{self._clickhouse.database}.fences"
        self._claims[partition] += 1
        for _ in range(20):
            self._clickhouse.command(
                f"INSERT INTO {table} (_topic, partition, epoch, owner, claimed_at) "
                f"SELECT {quote(self._topic)}, {partition}, "
                f"(SELECT max(epoch) FROM {table} WHERE _topic = {quote(self._topic)} "
                f"AND partition = {partition}) + 1, "
                f"{quote(self.owner)}, now64(3)"
            )
            if self.holds(partition):
                self._let_running_inserts_end()
                self._claims[partition] += 1
                return
        raise ServiceUnavailable(
            self._clickhouse.address, f"partition {partition} could not be claimed for {self.owner}"
        )

    def _let_running_inserts_end(self) -> None:
        """Inserts that passed the fence before the claim are on their way into the tables: wait for them."""
        running = (
            "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND elapsed > {elapsed} "
            f"AND startsWith(query, {quote(f'INSERT INTO {self._clickhouse.database}.')})"
        )
        began = time.monotonic()
        while int(self._clickhouse.rows(running.format(elapsed=f"{time.monotonic() - began:.3f}"))[0][0]):
            if time.monotonic() - began > _LONGEST_INSERT_S:
                raise ServiceUnavailable(self._clickhouse.address, "inserts of a former owner do not end")
            time.sleep(_POLL_S)

    def claims(self, partition: int) -> int:
        """Another number than before: somebody else may have had the partition, or may still write for it.

        It goes on when a claim begins, and when it is done. What was read before that may be outdated.
        """
        return self._claims[partition]

    def holds(self, partition: int) -> bool:
        """Whether this worker's claim is still the last one: nobody else wrote for the partition since."""
        return not self._clickhouse.rows(f"SELECT {self.broken([partition])}")[0][0]

    def broken(self, partitions: Sequence[int]) -> str:
        """SQL that is true unless every one of the partitions is claimed by this worker last."""
        wanted = ",".join(map(str, partitions))
        return (
            "(SELECT count() FROM (SELECT argMax(owner, (epoch, owner)) AS last_owner "
            f"FROM {self._clickhouse.database}.fences WHERE _topic = {quote(self._topic)} "
            f"AND partition IN ({wanted}) GROUP BY partition) "
            f"WHERE last_owner = {quote(self.owner)}) != {len(partitions)}"
        )
