"""Events that can't be read, as a share of what came: by the counts of table `ledger`."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from ....infra.clickhouse import ClickHouse
from ....schemas.alerting import OfDeadLetters, Rule
from ....schemas.alerts import Category, Details, Finding
from ...lookups import instant
from ...records import micros_of
from .found import command, finding, is_about, span


def find_dead_letters(clickhouse: ClickHouse, rules: Sequence[Rule], now: datetime) -> Iterator[Finding]:
    """By model where that could be read, else of all events whose model is not known, as a share of everything."""
    for rule in rules:
        condition = rule.condition
        assert isinstance(condition, OfDeadLetters)
        since = now - condition.within
        rows = clickhouse.rows(
            "SELECT model, sumIf(n, class = 'invalid') AS bad, sumIf(n, class IN ('accepted', 'duplicate')) AS good "
            f"FROM {clickhouse.database}.ledger WHERE _ingested_at > {instant(micros_of(since))} GROUP BY model"
        )
        everything = sum(int(bad) + int(good) for _, bad, good in rows)
        for model, bad, good in rows:
            came = int(bad) + int(good) if model else everything
            if not is_about(rule, model) or bad < condition.min_n or bad <= condition.share * came:
                continue
            of = f" of {model}" if model else " that name no model"
            yield finding(
                rule,
                Category.DATA,
                Details(
                    f"{int(bad):,} events{of} can't be read, of {came:,} that came within {span(condition.within)}",
                    value=int(bad) / came, threshold=condition.share, n=int(bad), since=since, until=now,
                    query="SELECT reason, detail, count() FROM dead_letters "
                    f"WHERE _ingested_at > {instant(micros_of(since))} GROUP BY ALL ORDER BY count() DESC",
                    command=command(
                        "sql", "SELECT reason, detail, count() FROM dead_letters GROUP BY ALL ORDER BY count() DESC"
                    ),
                ),
                model=model,
            )  # fmt: skip
