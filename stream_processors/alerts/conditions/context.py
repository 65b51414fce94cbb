"""What evaluations have in common from tick to tick."""

from collections.abc import Collection
from datetime import datetime

from ....infra.clickhouse import ClickHouse
from ....infra.ledger import read_ledger
from ....schemas.outcomes import LoopwatchConfig
from .facts import Facts
from .live import LiveFacts
from .operations import LedgerWatch


class Context:
    """Keeps what was read before. One for an alerter that goes on; made anew when the configuration changes."""

    def __init__(
        self,
        config: LoopwatchConfig | None,
        *,
        topics: Collection[str] = (),
        partitions: int | None = None,
        since: datetime | None = None,
        ttl_days: int = 400,
        in_background: bool = True,
        facts: Facts | None = None,
    ) -> None:
        """What evaluations need to know.

        Args:
            config: the models, for the ledger; None takes the outcomes that feedback names.
            topics: the two input topics whose partitions workers report on; without any, those they do report on.
            partitions: how many each has; with it, those are missed that nobody ever reported on.
            since: from when on reports were expected: the start of the alerter.
            ttl_days: as in the settings.
            in_background: whether the ledger is read on a thread; else evaluation waits for it.
            facts: those of the past, for a replay; conditions that have no past are left out then.
        """
        self.config = config
        self.topics = tuple(topics)
        self.partitions = partitions
        self.since = since
        self._ttl_days = ttl_days
        self._in_background = in_background
        self.past = facts
        self._live: LiveFacts | None = None
        self._ledger: LedgerWatch | None = None

    def facts(self, clickhouse: ClickHouse) -> Facts:
        """What conditions go by."""
        if self.past is not None:
            return self.past
        if self._live is None:
            self._live = LiveFacts(clickhouse)
        return self._live

    def ledger(self, clickhouse: ClickHouse) -> LedgerWatch:
        """Who reads the ledger."""
        if self._ledger is None:
            self._ledger = LedgerWatch(
                lambda: read_ledger(clickhouse, self.config, ttl_days=self._ttl_days),
                in_background=self._in_background,
            )
        return self._ledger

    def close(self) -> None:
        """Let go of threads."""
        if self._ledger is not None:
            self._ledger.close()
