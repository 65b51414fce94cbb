"""The ledger, reconciled: what the workers counted, held against the rows that ClickHouse has.

Table `ledger` says what was received and how much of it was invalid, a duplicate or accepted. Everything else is counted
independently of it, from the rows: `predictions`, `actions_current`, `feedback_current`, `dead_letters`.

It may be read while workers write. A flush writes its rows first and its ledger block last, so only rows on offsets that
the ledger covers are counted. Rows that are old enough to have been dropped by their time to live are left out on both sides.
"""

from ..schemas.ledger import ActionClass, LedgerReport
from ..schemas.outcomes import LoopwatchConfig
from .clickhouse import ClickHouse

_ACTION_STATES = (ActionClass.MATCHED, ActionClass.LATE_REVISED, ActionClass.HELD, ActionClass.ORPHAN)
_TRIES = 3


def read_ledger(clickhouse: ClickHouse, config: LoopwatchConfig | None, *, ttl_days: int = 400) -> LedgerReport:
    """Count every class of every model, and compare.

    Args:
        config: the models' outcomes, as the workers have them; None takes the outcomes that feedback names.
        ttl_days: after so many days rows may be gone (`Settings.ttl_days`).

    Raises:
        ServiceUnavailable: ClickHouse doesn't answer.
        DatabaseError: it refuses a query: a table is missing.
    """
    report = _Reading(clickhouse, config, ttl_days).report()
    for _ in range(_TRIES - 1):
        # A worker that writes at the same time can make two queries disagree; then the next reading is right.
        if report.balanced:
            break
        report = _Reading(clickhouse, config, ttl_days).report()
    return report
