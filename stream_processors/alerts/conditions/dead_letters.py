"""`OfDeadLetters`: too large a share of what comes can't be read."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from msgspec import Struct

from ....infra.clickhouse import quote
from ....schemas.alerting import OfDeadLetters, Rule
from ....schemas.alerts import Category, Details, Finding
from .wording import command, finding, long, minute, number


class Letters(Struct, frozen=True):
    """Of one topic in the last time: how many records came, and how many could not be read."""

    received: int
    dead: int


class Why(Struct, frozen=True):
    """Dead letters of that time: the first of them, what is most often wrong with them, and where some are."""

    since: datetime
    reason: str
    detail: str
    places: tuple[str, ...]


def is_found(condition: OfDeadLetters, letters: Letters) -> bool:
    """Whether it is too large a share, of enough."""
    return letters.dead >= condition.min_n and letters.dead > condition.share * letters.received


def findings(
    rule: Rule, condition: OfDeadLetters, letters: Mapping[str, Letters], why: Mapping[str, Why]
) -> Iterator[Finding]:
    """A finding a topic: nobody knows of which model what can't be read is."""
    for topic, counted in letters.items():
        if not is_found(condition, counted):
            continue
        because = why.get(topic)
        share = counted.dead / max(1, counted.received)
        said = "" if because is None else f", most of them {because.reason} ({because.detail})"
        since = "" if because is None else f" since {minute(because.since)}"
        details = Details(
            message=f"{share:.1%} of the records on {topic} can't be read{since}, more than {condition.share:.1%}: "
            f"{counted.dead:,} of {number(float(counted.received))} in the last {long(condition.within)}{said}",
            value=share,
            threshold=condition.share,
            n=counted.dead,
            since=None if because is None else because.since,
            examples=() if because is None else because.places,
            query="SELECT reason, detail, count() AS n, max(_ingested_at) AS last FROM dead_letters "
            f"WHERE _topic = {quote(topic)} AND _ingested_at >= now() - {int(condition.within.total_seconds())} "
            "GROUP BY reason, detail ORDER BY n DESC",
            command=command("ledger"),
        )
        yield finding(rule, Category.DATA, details, subject=topic)
