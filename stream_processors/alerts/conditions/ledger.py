"""A ledger that doesn't balance. Counting everything takes long, so it goes on in the background, and rests."""

import threading
import time
from collections.abc import Iterator, Sequence

from ....infra.clickhouse import ClickHouse
from ....infra.ledger import read_ledger
from ....infra.logs import logger
from ....schemas.alerting import Rule
from ....schemas.alerts import Category, Details, Finding
from ....schemas.outcomes import LoopwatchConfig
from .found import command, finding

log = logger(__name__)

_LEAST_REST_S = 300.0
# So long does one count rest, in terms of what it took: a fiftieth of one core at most.
_REST = 50


class LedgerCondition:
    """Counts on a thread of its own, once it was asked for."""

    def __init__(self, clickhouse: ClickHouse, config: LoopwatchConfig, ttl_days: int) -> None:
        self._clickhouse = clickhouse
        self._config = config
        self._ttl_days = ttl_days
        self._counting: threading.Thread | None = None
        self._not_before = 0.0
        self._imbalances: Sequence[str] = ()
        self._error: Exception | None = None

    def find(self, rules: Sequence[Rule]) -> Iterator[Finding]:
        """What the last count said; begins another when it is time."""
        idle = self._counting is None or not self._counting.is_alive()
        if idle and time.monotonic() >= self._not_before:
            self._counting = threading.Thread(target=self._count, name="ledger", daemon=True)
            self._counting.start()
        if self._error is not None:
            raise self._error
        if self._imbalances:
            first, more = self._imbalances[0], len(self._imbalances) - 1
            for rule in rules:
                yield finding(
                    rule,
                    Category.PIPELINE,
                    Details(
                        f"the ledger doesn't balance: {first}" + (f", and {more} more" if more else ""),
                        value=float(len(self._imbalances)), command=command("ledger"),
                    ),
                )  # fmt: skip

    def _count(self) -> None:
        began = time.monotonic()
        try:
            report = read_ledger(self._clickhouse, self._config, ttl_days=self._ttl_days)
            self._imbalances, self._error = report.imbalances, None
        except Exception as exc:
            log.warning("the ledger was not counted, tried again later", error=str(exc)[:300])
            self._error = exc
        took_s = time.monotonic() - began
        self._not_before = time.monotonic() + max(_LEAST_REST_S, _REST * took_s)
