"""`OfDeadLetters`: too large a share of what comes can't be read."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from ....infra.clickhouse import quote
from ....schemas.alerting import OfDeadLetters, Rule
from ....schemas.alerts import Category, Details, Finding
from .wording import command, finding, is_meant, long, minute, number


class Sent(NamedTuple):
    """Records of a topic that say they are of a model; of none (""), all others."""

    topic: str
    model: str = ""

    @property
    def condition(self) -> str:
        """SQL of its rows of `dead_letters`, where what was refused is kept with the name of its model."""
        of_model = f" AND JSONExtractString(value, 'model') = {quote(self.model)}" if self.model else ""
        return f"_topic = {quote(self.topic)}{of_model}"


class Letters(Struct, frozen=True):
    """Of what was sent in the last time: how many records came, and how many could not be read."""

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


def found_in(rule: Rule, condition: OfDeadLetters, letters: Mapping[Sent, Letters]) -> dict[Sent, Letters]:
    """Models with too many on a topic, and topics with too many besides: of no model, or of one with few.

    A rule for some models is not about what no model is known of.
    """
    found = {
        sent: counted
        for sent, counted in letters.items()
        if sent.model and is_meant(rule, sent.model) and is_found(condition, counted)
    }
    for sent, counted in letters.items() if not rule.models else ():
        if not sent.model:
            known = sum(each.dead for of, each in found.items() if of.topic == sent.topic)
            others = Letters(counted.received, counted.dead - known)
            if is_found(condition, others):
                found[sent] = others
    return found


def findings(
    rule: Rule, condition: OfDeadLetters, found: Mapping[Sent, Letters], why: Mapping[Sent, Why]
) -> Iterator[Finding]:
    """A finding each."""
    for sent, counted in found.items():
        because = why.get(sent)
        whose = f"of {sent.model} on {sent.topic}" if sent.model else f"on {sent.topic}"
        share = counted.dead / max(1, counted.received)
        said = "" if because is None else f", most of them {because.reason} ({because.detail})"
        since = "" if because is None else f" since {minute(because.since)}"
        details = Details(
            message=f"{share:.1%} of the records {whose} can't be read{since}, more than {condition.share:.1%}: "
            f"{counted.dead:,} of {number(float(counted.received))} in the last {long(condition.within)}{said}",
            value=share,
            threshold=condition.share,
            n=counted.dead,
            since=None if because is None else because.since,
            examples=() if because is None else because.places,
            query="SELECT reason, detail, count() AS n, max(_ingested_at) AS last FROM dead_letters "
            f"WHERE {sent.condition} AND _ingested_at >= now() - {int(condition.within.total_seconds())} "
            "GROUP BY reason, detail ORDER BY n DESC",
            command=command("ledger"),
        )
        yield finding(rule, Category.DATA, details, model=sent.model, subject=sent.topic)
