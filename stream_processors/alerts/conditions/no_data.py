"""Predictions or labels that don't come any more, of models that are live.

Panes of minutes are kept of what was stored within two days of its event time, so a history that was replayed has
none, and its end is no silence. What came in the weeks before is read once in a while, what came last at every turn.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ....infra.clickhouse import ClickHouse, quote
from ....schemas.alerting import Expected, NoData, Rule
from ....schemas.alerts import Category, Details, Finding
from ...lookups import instant
from ...records import from_micros, micros_of
from .found import command, finding, is_about, minute, span
from .silence_profile import LONGEST_S, MINUTE_S, is_too_silent

_READ_EVERY = timedelta(minutes=10)
_KEPT = timedelta(seconds=2 * LONGEST_S)
_MOST_MODELS = 5000


class SilenceConditions:
    """Remembers in which minutes something came, of each model."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._minutes: dict[Expected, dict[str, list[int]]] = {}
        self._read_at: dict[Expected, datetime] = {}

    def find(self, rules: Sequence[Rule], now: datetime) -> Iterator[Finding]:
        """Models of which nothing comes any more."""
        for of in sorted({_condition(rule).of for rule in rules}):
            asked = [rule for rule in rules if _condition(rule).of is of]
            for model, minutes in self._up_to_date(of, now).items():
                for rule in asked:
                    if is_about(rule, model) and _is_silent(_condition(rule), minutes, now):
                        yield _finding(rule, of, model, minutes, now)

    def _up_to_date(self, of: Expected, now: datetime) -> dict[str, list[int]]:
        read_at = self._read_at.get(of)
        if read_at is None or now - read_at >= _READ_EVERY:
            self._minutes[of] = self._read(of, now - _KEPT, now)
            self._read_at[of] = now
            return self._minutes[of]
        known = self._minutes[of]
        for model, minutes in self._read(of, read_at - _READ_EVERY, now).items():
            last = known.setdefault(model, [])
            newest = last[-1] if last else -1
            last += [each for each in minutes if each > newest]
        return known

    def _read(self, of: Expected, since: datetime, now: datetime) -> dict[str, list[int]]:
        database, begin = self._clickhouse.database, instant(micros_of(since))
        if of is Expected.PREDICTIONS:
            wholes = f"FROM {database}.pane_names WHERE kind = 'slice' AND key = ''"
            rows = self._clickhouse.rows(
                "SELECT names.model, arraySort(groupUniqArray(toUnixTimestamp(panes.start))) "
                f"FROM {database}.panes AS panes "
                f"INNER JOIN (SELECT DISTINCT model, id {wholes} LIMIT {_MOST_MODELS}) AS names ON slice = names.id "
                f"WHERE seconds = {MINUTE_S} AND slice IN (SELECT id {wholes}) AND series = 1 "
                f"AND start >= {begin} AND start <= {instant(micros_of(now))} GROUP BY names.model"
            )
        else:
            # By when it was stored: that of a label is when somebody acted, which may be long ago.
            rows = self._clickhouse.rows(
                "SELECT model, arraySort(groupUniqArray(intDiv(toUnixTimestamp(_ingested_at), 60) * 60)) "
                f"FROM {database}.feedback WHERE _ingested_at >= {begin} AND status IN ('matched', 'revised') "
                f"AND action_ts > _ingested_at - INTERVAL 1 DAY GROUP BY model LIMIT {_MOST_MODELS}"
            )
        return {model: list(map(int, minutes)) for model, minutes in rows}


def _condition(rule: Rule) -> NoData:
    assert isinstance(rule.condition, NoData)
    return rule.condition


def _is_silent(condition: NoData, minutes: Sequence[int], now: datetime) -> bool:
    now_s = int(now.timestamp())
    if condition.after is None:
        return is_too_silent(minutes, now_s)
    silent_s = now_s - minutes[-1] - MINUTE_S if minutes else 0
    return condition.after.total_seconds() < silent_s <= LONGEST_S


def _finding(rule: Rule, of: Expected, model: str, minutes: Sequence[int], now: datetime) -> Finding:
    last = from_micros((minutes[-1] + MINUTE_S) * 1_000_000)
    silent = now - last
    table = "predictions" if of is Expected.PREDICTIONS else "feedback"
    return finding(
        rule,
        Category.DATA,
        Details(
            f"no {of} of {model} came since {minute(last)}, for {span(silent)}",
            value=silent.total_seconds(), since=last, until=now,
            query=f"SELECT max(_ingested_at) FROM {table} WHERE model = {quote(model)}",
            command=command("ledger"),
        ),
        model=model,
    )  # fmt: skip
