"""Facts of one model as they were known at instants of the past, by event time: what `loopwatch rules test` goes by.

A prediction is taken to have come when it was made, a label when somebody acted: what was late, or replayed, is early
here. Signals begin when they were found, with what is known of them today. Of metrics see `past_windows`.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from msgspec.structs import replace

from ....infra.clickhouse import ClickHouse, quote
from ....schemas.alerting import Expected, OfGap, OfMetric, Rule
from ....schemas.outcomes import ModelConfig
from ....schemas.signals import Signal
from ...lookups import instant
from ...monitor.signals import read_signals
from ...records import from_micros, micros_of
from .facts import Heard, Measure, Measured, Measurements, Stream
from .gap import SUFFIX
from .label_delay import WEEKS_BEFORE, bin_of
from .past_windows import PastGaps, PastWindows
from .silence import usual_silence

_REMEMBERED = timedelta(days=28)
# Learned once in so long; a live alerter learns each hour.
_LEARNED_EVERY = timedelta(hours=6)
_DAY_MIN = 24 * 60


class History:
    """Facts from `since` to `until`, read at once; `now` may be any instant between, and goes forward."""

    def __init__(
        self, clickhouse: ClickHouse, model: ModelConfig, rules: Sequence[Rule], since: datetime, until: datetime
    ) -> None:
        conditions = [rule.condition for rule in rules]
        names = {each.metric for each in conditions if isinstance(each, OfMetric)}
        gaps = {each.metric + SUFFIX for each in conditions if isinstance(each, OfGap)}
        self._model = model.name
        self._windows = PastWindows(clickhouse, model, names, since, until)
        self._gaps = PastGaps(clickhouse, model.name, gaps, until)
        self._signals = read_signals(
            clickhouse,
            f"model = {quote(model.name)} AND found_at < {instant(micros_of(until))} "
            f"AND until >= {instant(micros_of(since - _REMEMBERED))}",
            "ORDER BY found_at, signal_id",
        )
        self._minutes, self._counts, self._usd = _predictions(clickhouse, model.name, since - _REMEMBERED, until)
        self._labels = _labels(clickhouse, model.name, since - _REMEMBERED, until)
        self._usual: dict[Stream, tuple[datetime, np.ndarray]] = {}

    def metrics(self, names: Collection[str], slices: bool, now: datetime) -> Measurements:
        """See `Facts`."""
        return self._windows.known(now)

    def gaps(self, names: Collection[str], now: datetime) -> Measurements:
        """See `Facts`."""
        return self._gaps.known(now)

    def before(self, measure: Measure, second: int) -> Sequence[Measured]:
        """See `Facts`."""
        return self._windows.before(measure, second)

    def signals(self, now: datetime) -> Sequence[tuple[Signal, datetime]]:
        """See `Facts`. One that was seen on is taken to have been seen all the time."""
        return [(replace(each, until=min(each.until, now)), now) for each in self._signals if each.found_at <= now]

    def heard(self, now: datetime) -> Mapping[Stream, Heard]:
        """See `Facts`."""
        found: dict[Stream, Heard] = {}
        streams = {Stream(Expected.PREDICTIONS, self._model): (self._minutes, self._counts)}
        for outcome, (acted, _) in self._labels.items():
            minutes, counts = np.unique(acted // 60, return_counts=True)
            streams[Stream(Expected.LABELS, self._model, outcome)] = minutes, counts
        for stream, (minutes, counts) in streams.items():
            end = int(np.searchsorted(minutes, int(now.timestamp()) // 60, side="right"))
            begin = int(np.searchsorted(minutes, int((now - _REMEMBERED).timestamp()) // 60))
            if end <= begin:
                continue
            learned = self._usual.get(stream)
            if learned is None or not timedelta() <= now - learned[0] < _LEARNED_EVERY:
                learned = self._usual[stream] = now, usual_silence(minutes[begin:end])
            last = int(minutes[end - 1])
            of_day = counts[begin:end][minutes[begin:end] > last - _DAY_MIN].sum()
            hours = min(_DAY_MIN, last - int(minutes[begin]) + 1) / 60
            found[stream] = Heard(min(now, from_micros((last + 1) * 60_000_000)), float(of_day) / hours, learned[1])
        return found

    def delays(self, since: datetime, until: datetime) -> Mapping[Stream, Mapping[int, int]]:
        """See `Facts`."""
        found: dict[Stream, Mapping[int, int]] = {}
        for outcome, (acted, delays) in self._labels.items():
            first, end = np.searchsorted(acted, [since.timestamp(), until.timestamp()])
            if end > first:
                found[Stream(Expected.LABELS, self._model, outcome)] = Counter(delays[first:end].tolist())
        return found

    def costs(self, spans: Collection[timedelta], now: datetime) -> Mapping[str, Mapping[timedelta, float]]:
        """See `Facts`."""
        end = int(np.searchsorted(self._minutes, int(now.timestamp()) // 60, side="right"))
        found: dict[timedelta, float] = {}
        for span in spans:
            begin = int(np.searchsorted(self._minutes, int((now - span).timestamp()) // 60))
            found[span] = float(self._usd[begin:end].sum())
        return {self._model: found}


def _predictions(
    clickhouse: ClickHouse, model: str, since: datetime, until: datetime
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minutes since 1970 with predictions, how many each has, and what they cost in US dollars."""
    table = clickhouse.arrow(
        "SELECT toInt64(intDiv(toUnixTimestamp(ts), 60)) AS at, toInt64(count()) AS n, "
        f"toFloat64(ifNull(sum(cost_usd), 0)) AS usd FROM {clickhouse.database}.predictions "
        f"WHERE model = {quote(model)} AND ts >= {instant(micros_of(since))} AND ts < {instant(micros_of(until))} "
        "GROUP BY at ORDER BY at"
    )
    at, n, usd = (table.column(name).to_numpy() for name in ("at", "n", "usd"))
    return at, n, usd


def _labels(
    clickhouse: ClickHouse, model: str, since: datetime, until: datetime
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By outcome: when labels came (s since 1970, ascending), and the bins of their delays."""
    begin = min(since, until - WEEKS_BEFORE)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    table = clickhouse.arrow(
        "SELECT outcome, toInt64(toUnixTimestamp(assumeNotNull(action_ts))) AS at, "
        f"toFloat64(ifNull(delay_ms, 0) / 1000) AS delay_s FROM {clickhouse.database}.feedback_current "
        f"WHERE model = {quote(model)} AND action_ts IS NOT NULL AND action_ts >= {instant(micros_of(begin))} "
        f"AND action_ts < {instant(micros_of(until))} ORDER BY at"
    )
    outcomes = np.array(table.column("outcome").to_pylist(), dtype=object)
    at, delays = table.column("at").to_numpy(), table.column("delay_s").to_numpy()
    bins = np.fromiter((bin_of(each) for each in delays.tolist()), np.int64, len(delays))
    for outcome in sorted(set(outcomes.tolist())):
        of = outcomes == outcome
        found[str(outcome)] = at[of], bins[of]
    return found
