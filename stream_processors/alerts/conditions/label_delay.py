"""Labels that come later than they used to: by the delays of what was stored of late."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ....infra.clickhouse import ClickHouse
from ....schemas.alerting import OfLabelDelay, Rule
from ....schemas.alerts import Category, Details, Finding
from ...lookups import instant
from ...records import micros_of
from .found import command, finding, is_about, span

_USUAL_OF = timedelta(days=14)
_TIMES = 2.0
_LEAST_MS = 60_000
_USUAL_EVERY = timedelta(hours=1)
_LATE_EVERY = timedelta(minutes=1)

_Delays = dict[tuple[str, str], tuple[float, int]]


class DelayConditions:
    """Remembers what was usual, and asks for what is new once a minute."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._read: dict[tuple[float, timedelta, bool], tuple[datetime, _Delays]] = {}

    def find(self, rules: Sequence[Rule], now: datetime) -> Iterator[Finding]:
        """Outcomes whose labels come late."""
        for rule in rules:
            condition = rule.condition
            assert isinstance(condition, OfLabelDelay)
            late = self._delays(condition.of, condition.within, False, now)
            usual = self._delays(condition.of, condition.within, True, now) if condition.above is None else {}
            for (model, outcome), (delay_ms, n) in late.items():
                before_ms, before_n = usual.get((model, outcome), (0.0, 0))
                if condition.above is not None:
                    limit_ms = condition.above.total_seconds() * 1000
                elif before_n >= condition.min_n:
                    limit_ms = max(_LEAST_MS, _TIMES * before_ms)
                else:
                    continue
                if is_about(rule, model) and n >= condition.min_n and delay_ms > limit_ms:
                    came = span(timedelta(milliseconds=delay_ms))
                    was = f", usually {span(timedelta(milliseconds=before_ms))}" if before_n else ""
                    yield finding(
                        rule,
                        Category.DATA,
                        Details(
                            f"{condition.of:.0%} of the labels of {model} ({outcome}) came within {came}{was}, "
                            f"of {n:,} within {span(condition.within)}",
                            value=delay_ms / 1000, threshold=limit_ms / 1000, n=n, since=now - condition.within,
                            expected=before_ms / 1000 if before_n else None, until=now,
                            command=command("metrics", model, "--outcome", outcome),
                        ),
                        model=model, outcome=outcome,
                    )  # fmt: skip

    def _delays(self, of: float, within: timedelta, usual: bool, now: datetime) -> _Delays:
        """The quantile, and of how many: of late, or as `usual` before that."""
        key = (of, within, usual)
        read_at, delays = self._read.get(key, (None, {}))
        if read_at is not None and now - read_at < (_USUAL_EVERY if usual else _LATE_EVERY):
            return delays
        since, until = (now - within - _USUAL_OF, now - within) if usual else (now - within, now)
        rows = self._clickhouse.rows(
            f"SELECT model, outcome, quantileTDigest({of})(delay_ms), count() "
            f"FROM {self._clickhouse.database}.feedback "
            f"WHERE _ingested_at > {instant(micros_of(since))} AND _ingested_at <= {instant(micros_of(until))} "
            "AND status IN ('matched', 'revised') AND action_ts > _ingested_at - INTERVAL 1 DAY "
            "GROUP BY model, outcome"
        )
        delays = {(model, outcome): (float(delay_ms), int(n)) for model, outcome, delay_ms, n in rows}
        self._read[key] = (now, delays)
        return delays
