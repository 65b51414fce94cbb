"""Money that burns faster than it may: `cost_usd` of predictions, over a long window and a short one.

Both have to burn, as multi-window alerts of the Site Reliability Workbook do (chapter 5): the long one says that it
matters, the short one that it goes on.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ....infra.clickhouse import ClickHouse
from ....schemas.alerting import OfBudget, Rule
from ....schemas.alerts import Category, Details, Finding
from ....schemas.durations import format_duration
from ...lookups import instant
from ...records import micros_of
from .found import command, finding, is_about

_SHORT = 12
_EVERY = timedelta(seconds=20)

_Spent = dict[str, tuple[float, float, int]]


class BudgetConditions:
    """Asks for what was spent every few seconds."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._read: dict[timedelta, tuple[datetime, _Spent]] = {}

    def find(self, rules: Sequence[Rule], now: datetime) -> Iterator[Finding]:
        """Models that cost too much."""
        for rule in rules:
            condition = rule.condition
            assert isinstance(condition, OfBudget)
            for model, (long_usd, short_usd, n) in self._spent(condition.within, now).items():
                periods = condition.per / condition.within
                limit_usd = condition.burn * condition.usd
                at_rate, lately = long_usd * periods, short_usd * periods * _SHORT
                if is_about(rule, model) and at_rate > limit_usd and lately > limit_usd:
                    per = format_duration(condition.per)
                    yield finding(
                        rule,
                        Category.COST,
                        Details(
                            f"{model} cost {long_usd:,.2f} USD within {format_duration(condition.within)}: "
                            f"{at_rate:,.0f} USD in {per} at that rate, of a budget of {condition.usd:,.0f} USD",
                            value=at_rate, threshold=limit_usd, n=n, since=now - condition.within, until=now,
                            command=command("signals", model),
                        ),
                        model=model,
                    )  # fmt: skip

    def _spent(self, within: timedelta, now: datetime) -> _Spent:
        """USD by model within the long window and the short one, and of how many predictions."""
        read_at, spent = self._read.get(within, (None, {}))
        if read_at is not None and now - read_at < _EVERY:
            return spent
        since, lately = (instant(micros_of(now - length)) for length in (within, within / _SHORT))
        rows = self._clickhouse.rows(
            f"SELECT model, sum(cost_usd), sumIf(cost_usd, _ingested_at > {lately}), count(cost_usd) "
            f"FROM {self._clickhouse.database}.predictions WHERE _ingested_at > {since} AND cost_usd IS NOT NULL "
            "GROUP BY model"
        )
        spent = {model: (float(long), float(short), int(n)) for model, long, short, n in rows}
        self._read[within] = (now, spent)
        return spent
