"""`OfLedger`: the ledger does not balance."""

from collections.abc import Iterator

from ....schemas.alerting import Rule
from ....schemas.alerts import Category, Details, Finding
from ....schemas.ledger import LedgerReport
from .wording import command, finding

_MOST_NAMED = 3


def findings(rule: Rule, report: LedgerReport | None) -> Iterator[Finding]:
    """One finding, of the last reading that there is."""
    if report is None or report.balanced:
        return
    named = "; ".join(report.imbalances[:_MOST_NAMED])
    more = len(report.imbalances) - _MOST_NAMED
    details = Details(
        message=f"The ledger does not balance, so events were lost or counted twice: {named}"
        f"{f'; and {more} more' if more > 0 else ''}",
        value=float(len(report.imbalances)),
        expected=0.0,
        n=len(report.imbalances),
        command=command("ledger"),
    )
    yield finding(rule, Category.PIPELINE, details, subject="ledger")
