"""Facts as tables have them now."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np

from ....infra.clickhouse import ClickHouse, quoted
from ....schemas.alerting import Expected
from ....schemas.signals import Signal
from ...lookups import instant
from ...monitor.signals import signal_of
from ...records import from_micros, micros_of
from .facts import Heard, Measure, Measured, Measurements, Stream
from .signal import longest_s
from .silence import usual_silence
from .window_table import ESTIMATES, METRICS, WindowTable

_FIELDS = Signal.__struct_fields__
_REMEMBERED = timedelta(days=28)
_LEARNED_EVERY = timedelta(hours=1)
_OVERLAP = timedelta(minutes=5)
# Delays of hours don't change in seconds; sums over two weeks hardly in an hour.
_SUMMED_EVERY = timedelta(minutes=1)
_LONG, _SUMMED_RARELY = timedelta(days=3), timedelta(hours=1)


class LiveFacts:
    """Facts at present. One thread at a time; `now` goes forward."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._database = clickhouse.database
        self._metrics = WindowTable(clickhouse, METRICS)
        self._estimates = WindowTable(clickhouse, ESTIMATES)
        self._heard: dict[Stream, Heard] = {}
        self._learned: datetime | None = None
        self._listened: datetime | None = None
        self._delays: dict[timedelta, tuple[datetime, Mapping[Stream, Mapping[int, int]]]] = {}

    def metrics(self, names: Collection[str], slices: bool, now: datetime) -> Measurements:
        """See `Facts`."""
        return self._metrics.read(names, slices, now)

    def gaps(self, names: Collection[str], now: datetime) -> Measurements:
        """See `Facts`."""
        return self._estimates.read(names, False, now)

    def before(self, measure: Measure, second: int) -> Sequence[Measured]:
        """See `Facts`."""
        return self._metrics.before(measure, second)

    def signals(self, now: datetime) -> Sequence[tuple[Signal, datetime]]:
        """See `Facts`. The slowest detectors of a model must not end what the others see: the furthest one counts."""
        watched = {
            model: int(reached_us)
            for model, reached_us in self._clickhouse.rows(
                f"SELECT model, max(reached_us) FROM {self._database}.monitors GROUP BY model"
            )
        }
        models = f"[{quoted(list(watched))}], [{', '.join(map(str, watched.values()))}]"
        reached = f"transform(toString(model), {models}, {micros_of(now)})" if watched else str(micros_of(now))
        rows = self._clickhouse.rows(
            f"SELECT {', '.join(_FIELDS)} FROM {self._database}.signals "
            f"WHERE toUnixTimestamp64Micro(until) + 1000000 * ({longest_s('window_s')}) > {reached} "
            "ORDER BY _detected_at DESC LIMIT 1 BY signal_id"
        )
        signals = [signal_of(dict(zip(_FIELDS, row, strict=True))) for row in rows]
        return [(each, from_micros(watched.get(each.model, micros_of(now)))) for each in signals]

    def heard(self, now: datetime) -> Mapping[Stream, Heard]:
        """See `Facts`. What is usual is learned once an hour."""
        if self._learned is None or self._listened is None or now - self._learned >= _LEARNED_EVERY:
            self._heard = self._learn(now)
            self._learned = now
        else:
            rows = self._clickhouse.rows(
                "SELECT kind, model, outcome, toUnixTimestamp64Milli(max(latest)), sum(live) "
                f"FROM {self._database}.arrivals WHERE minute >= {instant(micros_of(self._listened - _OVERLAP))} "
                "AND live > 0 GROUP BY kind, model, outcome"
            )
            for kind, model, outcome, latest_ms, n in rows:
                stream, last = Stream(Expected(kind), model, outcome), from_micros(latest_ms * 1000)
                known = self._heard.get(stream)
                self._heard[stream] = (
                    Heard(last, float(n), usual_silence(np.array([latest_ms // 60_000])))
                    if known is None
                    else msgspec.structs.replace(known, last=max(known.last, last))
                )
        self._listened = now
        return self._heard

    def _learn(self, now: datetime) -> dict[Stream, Heard]:
        rows = self._clickhouse.rows(
            "SELECT kind, model, outcome, groupArray(at), sumIf(n, at > last_at - 1440), max(latest_ms) FROM ("
            "SELECT *, max(at) OVER (PARTITION BY kind, model, outcome) AS last_at FROM ("
            "SELECT kind, model, outcome, intDiv(toUnixTimestamp(minute), 60) AS at, sum(live) AS n, "
            f"toUnixTimestamp64Milli(max(latest)) AS latest_ms FROM {self._database}.arrivals "
            f"WHERE minute >= {instant(micros_of(now - _REMEMBERED))} AND live > 0 "
            "GROUP BY kind, model, outcome, at ORDER BY at)) GROUP BY kind, model, outcome"
        )
        found: dict[Stream, Heard] = {}
        for kind, model, outcome, minutes, n, latest_ms in rows:
            at = np.sort(np.asarray(minutes, dtype=np.int64))
            hours = min(24.0, (int(at[-1] - at[0]) + 1) / 60)
            found[Stream(Expected(kind), model, outcome)] = Heard(
                from_micros(latest_ms * 1000), float(n) / hours, usual_silence(at)
            )
        return found

    def delays(self, since: datetime, until: datetime) -> Mapping[Stream, Mapping[int, int]]:
        """See `Facts`. Asked again within a minute (an hour, of days), it is the answer of before."""
        span = until - since
        every = _SUMMED_RARELY if span >= _LONG else _SUMMED_EVERY
        summed = self._delays.get(span)
        if summed is None or not timedelta() <= until - summed[0] < every:
            rows = self._clickhouse.rows(
                f"SELECT model, outcome, sumMap(delays) FROM {self._database}.arrivals WHERE kind = 'labels' "
                f"AND minute >= {instant(micros_of(since))} AND minute < {instant(micros_of(until))} "
                "GROUP BY model, outcome"
            )
            found = {Stream(Expected.LABELS, model, outcome): dict(bins) for model, outcome, bins in rows}
            summed = self._delays[span] = until, found
        return summed[1]

    def costs(self, spans: Collection[timedelta], now: datetime) -> Mapping[str, Mapping[timedelta, float]]:
        """See `Facts`."""
        ordered = sorted(spans)
        sums = ", ".join(f"sumIf(usd, minute >= {instant(micros_of(now - span))})" for span in ordered)
        rows = self._clickhouse.rows(
            f"SELECT model, {sums} FROM {self._database}.arrivals WHERE kind = 'predictions' AND outcome = '' "
            f"AND minute >= {instant(micros_of(now - ordered[-1]))} AND usd > 0 GROUP BY model"
        )
        found: dict[str, dict[timedelta, float]] = defaultdict(dict)
        for model, *usd in rows:
            found[model] = dict(zip(ordered, map(float, usd), strict=True))
        return found
