"""`NoData`: predictions of a model, or labels of an outcome, came live and come no longer."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from ....infra.clickhouse import quote
from ....schemas.alerting import Expected, NoData, Rule
from ....schemas.alerts import Category, Details, Finding
from .facts import Heard, Stream
from .silence import silent_since_too_long
from .wording import command, finding, is_meant, long, minute, number


def findings(rule: Rule, condition: NoData, heard: Mapping[Stream, Heard], now: datetime) -> Iterator[Finding]:
    """A finding a stream that is silent for longer than `after`, or than is usual; until something comes."""
    for stream, of_stream in heard.items():
        if stream.of is condition.of and is_meant(rule, stream.model):
            limit_s = _limit_s(condition, of_stream, now)
            if limit_s is not None:
                yield _finding(rule, stream, of_stream, limit_s, now)


def _limit_s(condition: NoData, heard: Heard, now: datetime) -> float | None:
    if condition.after is not None:
        after_s = condition.after.total_seconds()
        return after_s if (now - heard.last).total_seconds() > after_s else None
    return silent_since_too_long(heard.usual_s, heard.last.timestamp(), now.timestamp())


def _finding(rule: Rule, stream: Stream, heard: Heard, limit_s: float, now: datetime) -> Finding:
    silent = now - heard.last
    whose = f"{stream.model} ({stream.outcome})" if stream.outcome else stream.model
    details = Details(
        message=f"No {stream.of} of {whose} have come for {long(silent)}, since {minute(heard.last)}, where up to "
        f"{long_s(limit_s)} is usual at that time; about {number(heard.an_hour)} an hour came in the day before",
        value=silent.total_seconds(),
        threshold=limit_s,
        expected=heard.an_hour,
        since=heard.last,
        query="SELECT toStartOfHour(minute) AS hour, sum(n) AS came, max(newest) AS newest FROM arrivals "
        f"WHERE kind = {quote(stream.of.value)} AND model = {quote(stream.model)} "
        f"AND outcome = {quote(stream.outcome)} GROUP BY hour ORDER BY hour DESC LIMIT 48",
        command=command("doctor") if stream.of is Expected.PREDICTIONS else command("ledger"),
    )
    return finding(rule, Category.DATA, details, model=stream.model, outcome=stream.outcome, subject=stream.of.value)


def long_s(seconds: float) -> str:
    """About how long a limit is, in whole minutes or hours, rounded up."""
    minutes = -(-seconds // 60)
    if minutes < 120:
        return f"{minutes:.0f} minute{'' if minutes == 1 else 's'}"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
