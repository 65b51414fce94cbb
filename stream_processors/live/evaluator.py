"""Keeps table `metrics` up to date: finds the windows that changed, and writes a new revision of each.

What a window is evaluated from is its rows alone, so it makes no difference when, how often, where and after which
restarts it was done: the last revision is the same. What was done is read from the table itself.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from threading import Event
from typing import NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError
from msgspec.structs import replace

from ...infra import metrics
from ...infra.clickhouse import ClickHouse
from ...infra.logs import logger
from ...schemas.kpis import Kpi
from ...schemas.outcomes import Kind, LoopwatchConfig, Outcome
from ...schemas.windows import TimeOf, Window
from ..at_once import in_turn
from ..evaluate.kpis import beside, kpis
from ..evaluate.quality import Quality, quality
from ..evaluate.slices import Slicing
from ..evaluate.windows import Cell, Windows
from ..sink.inserts import Inserter, token_of
from .agenda import Agenda
from .contents import Content, contents_of
from .estimator import Estimator
from .models import EVER, Model, Models
from .news import Buckets, News, find_news
from .series import KPIS, Due, Series, series_of, starts_of
from .stored import Evaluated, Stored, rows_of, stored_of
from .stretches import stretches

log = logger(__name__)

_AT_ONCE = 2000
_QUERIES_A_SERIES = 3
_ESTIMATING_S = 1.0
_ROWS_AT_ONCE = 20_000
_JUST_AFTER = timedelta(microseconds=1)


class _Alike(NamedTuple):
    """Series that differ in nothing but their model; `kpis` are asked for where they are of no outcome."""

    outcome: Outcome
    window: Window
    time_of: TimeOf
    kind: Kind | None
    segments: tuple[str, ...]
    kpis: tuple[Kpi, ...]


class _Restated(NamedTuple):
    """Windows that are evaluated together."""

    windows: Windows
    alike: _Alike
    dues: Sequence[Due]


class Evaluator:
    """Evaluates the models of the partitions that this worker owns. One thread may tick, another estimate."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        config: LoopwatchConfig,
        inserter: Inserter,
        *,
        partitions: int,
        overlap: timedelta,
        stop: Event,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`overlap`: for how long after `_ingested_at` a row may still become visible."""
        self._clickhouse = clickhouse
        self._inserter = inserter
        self._overlap = overlap
        self._stop = stop
        self._now = now
        self.models = Models(clickhouse, config, partitions)
        self._agenda = Agenda()
        self._estimator = Estimator(clickhouse, inserter)
        windows = [*config.defaults.windows, *(each for m in config.models.values() for each in m.windows)]
        self._with_indicators = frozenset(name for name, model in config.models.items() if model.kpis)
        self._bucket_s = math.gcd(*(window.step_s for window in windows))

    def tick(self, owned: Collection[int]) -> int:
        """Evaluate what is due of the models of these partitions; returns the number of windows.

        Raises:
            FencedError: another worker owns one of the partitions now.
            ServiceUnavailable: ClickHouse doesn't answer.
        """
        with metrics.EVALUATION_SECONDS.time():
            now = self._now()
            quiet = self._look(frozenset(owned), now)
            newest = {name: self.models[name].newest_s for name in self.models}
            due = list(self._agenda.due(now.timestamp(), newest, quiet))
            done = sum(self._evaluate(chunk, now) for chunk in _chunks(due, _AT_ONCE))
            self.models.note_progress(self._agenda.unread_since(), now)
            metrics.PENDING_WINDOWS.set(len(self._agenda))
        return done

    def estimate(self) -> int:
        """Estimate the windows of as many series as fit in a second, at least of one if any waits; returns how many.

        Raises:
            FencedError: another worker owns the model now.
            ServiceUnavailable: ClickHouse doesn't answer.
        """
        began, done = time.monotonic(), 0
        for series, starts in self._estimator.due(self._now()):
            if self._is_defined(series):
                self._estimate(series, starts, self._now())
            done += 1
            if self._stop.is_set() or time.monotonic() - began >= _ESTIMATING_S:
                break
        return done

    def _look(self, owned: frozenset[int], now: datetime) -> set[str]:
        """Note the windows that changed; returns the models that nothing came for since the last look."""
        for name in self.models.own(owned):
            self._agenda.forget(name)
            self._estimator.forget(name)
        since = self.models.read_until(now) - self._overlap
        found = find_news(self._clickhouse, since, self._bucket_s, with_actions=self._with_indicators)
        news = {name: each for name, each in found.items() if self.models.home(name) in owned}
        anew, quiet = self.models.meet(news, since)
        if anew:
            news |= find_news(self._clickhouse, EVER, self._bucket_s, anew, anew & self._with_indicators)
        for name, each in news.items():
            self._note(self.models[name], each, EVER if name in anew else since)
        return quiet

    def _note(self, model: Model, news: News, since: datetime) -> None:
        model.newest_s = max(model.newest_s, news.newest_s)
        for series in series_of(model.config):
            if series.outcome not in model.definitions:
                continue
            nothing: tuple[Buckets, Buckets] = (frozenset(), frozenset())
            made, came = news.actions if series.outcome == KPIS else news.labels.get(series.outcome, nothing)
            changed = came if series.time_of is TimeOf.LABEL else made | news.predictions
            for bucket in changed:
                for start in starts_of(series.window, bucket, self._bucket_s):
                    self._agenda.note(Due(series, start), since.timestamp())

    def _evaluate(self, noted: Sequence[Due], now: datetime) -> int:
        dues = [due for due in noted if self._is_defined(due.series)]
        for due in noted:
            if not self._is_defined(due.series):
                self._agenda.done(due, now.timestamp())
        contents, stored = contents_of(self._clickhouse, dues, self._bucket_s), stored_of(self._clickhouse, dues)
        changed: dict[_Alike, list[Due]] = defaultdict(list)
        for due in dues:
            content = contents[due] = self._with_definition(due, contents[due])
            is_empty = due not in stored and not content.revision
            if is_empty or (due in stored and stored[due].content == content.hash):
                self._agenda.done(due, now.timestamp())
            else:
                changed[self._alike(due.series)].append(due)
        restated = [each for alike, of_alike in changed.items() for each in self._restated(alike, of_alike)]
        with in_turn(partial(self._measured, each) for each in restated) as measured:
            for each, rows in zip(restated, measured, strict=True):
                if rows is not None:
                    self._restate(each, rows, contents, stored, now)
        return sum(map(len, changed.values()))

    def _is_defined(self, series: Series) -> bool:
        """Whether it is still known what the metrics are: labels that came since may leave it open."""
        return series.model in self.models and series.outcome in self.models[series.model].definitions

    def _alike(self, series: Series) -> "_Alike":
        """What the series shares with those that one query can evaluate together with it."""
        model = self.models[series.model]
        kind, _ = model.definitions[series.outcome]
        indicators = model.config.kpis if series.outcome == KPIS else ()
        outcome = model.outcome(series.outcome)
        return _Alike(outcome, series.window, series.time_of, kind, model.config.segments, indicators)

    def _restated(self, alike: "_Alike", dues: Sequence[Due]) -> Iterator["_Restated"]:
        """What to evaluate at a time."""
        for begin, end in stretches(dues, _QUERIES_A_SERIES):
            within = sorted(due for due in dues if begin <= due.start < end)
            models = tuple(sorted({due.series.model for due in within}))
            starts = tuple(sorted({due.start for due in within}))
            windows = Windows(
                models[0], alike.outcome, alike.window, alike.time_of, _at(begin), _at(end),
                Slicing(alike.segments, every=True), starts, models,
            )  # fmt: skip
            yield _Restated(windows, alike, within)

    def _measured(self, each: "_Restated") -> list[Quality] | None:
        """The cells of its windows; None if that failed, or if the process stops."""
        if self._stop.is_set():
            return None
        windows = each.windows
        try:
            if windows.outcome.name == KPIS:
                return list(beside([], kpis(self._clickhouse, windows, each.alike.kpis)))
            return quality(self._clickhouse, windows, each.alike.kind)
        except ClickHouseError as exc:
            metrics.EVALUATION_ERRORS.inc()
            log.exception(
                "evaluation failed, tried again later", exc, model=windows.model, outcome=windows.outcome.name
            )
            return None

    def _restate(
        self,
        restated: "_Restated",
        rows: Sequence[Quality],
        contents: dict[Due, Content],
        stored: dict[Due, Stored],
        now: datetime,
    ) -> None:
        cells: dict[tuple[str, int], list[Quality]] = defaultdict(list)
        for row in rows:
            whose = row.cell.model, int(row.cell.start.timestamp())
            cells[whose].append(replace(row, cell=row.cell._replace(model="")))
        evaluated = [
            Evaluated(
                due, _with_whole(due, cells[due.series.model, due.start]), contents[due].revision,
                contents[due].hash, max(now, stored[due].evaluated_at + _JUST_AFTER) if due in stored else now,
            )
            for due in restated.dues
        ]  # fmt: skip
        self._write(evaluated)
        for each in evaluated:
            self._agenda.done(each.due, now.timestamp())
            if each.cells[0].is_unsettled:
                self._estimator.note(each.due.series, each.due.start)
        metrics.EVALUATED_WINDOWS.inc(len(evaluated))

    def _estimate(self, series: Series, starts: Collection[int], now: datetime) -> None:
        model = self.models[series.model]
        windows = Windows(
            series.model, model.outcome(series.outcome), series.window, series.time_of, _at(min(starts)),
            _at(max(starts) + series.window.size_s), Slicing(model.config.segments, every=True), tuple(sorted(starts)),
        )  # fmt: skip
        kind, _ = model.definitions[series.outcome]
        try:
            self._estimator.estimate(windows, kind, self.models.home(series.model), now)
        except ClickHouseError as exc:
            metrics.EVALUATION_ERRORS.inc()
            log.exception("estimation failed", exc, model=series.model, outcome=series.outcome)

    def _write(self, evaluated: Sequence[Evaluated]) -> None:
        """In blocks of whole windows: who reads sees all of a revision or nothing."""
        for windows in _blocks(evaluated):
            token = token_of(
                [f"metrics:{each.due}:{each.revision}:{each.content}:{each.evaluated_at}" for each in windows]
            )
            home = {self.models.home(each.due.series.model) for each in windows}
            self._inserter.insert("metrics", rows_of(windows), token, home)

    def _with_definition(self, due: Due, content: Content) -> Content:
        """Windows of another definition have other contents, though their rows be the same."""
        _, definition = self.models[due.series.model].definitions[due.series.outcome]
        return Content((content.hash + definition) % (1 << 64), content.revision)


def _with_whole(due: Due, cells: Sequence[Quality]) -> Sequence[Quality]:
    """Every window has a cell of its own, also if nothing is left in it."""
    whole = Cell(_at(due.start))
    return cells if any(each.cell == whole for each in cells) else [Quality(whole, 0, {}), *cells]


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _chunks(dues: Iterable[Due], size: int) -> Iterator[list[Due]]:
    remaining = iter(sorted(dues))
    while chunk := list(islice(remaining, size)):
        yield chunk


def _blocks(evaluated: Sequence[Evaluated]) -> Iterator[list[Evaluated]]:
    block: list[Evaluated] = []
    rows = 0
    for each in evaluated:
        block.append(each)
        rows += sum(1 + len(cell.metrics) for cell in each.cells)
        if rows >= _ROWS_AT_ONCE:
            yield block
            block, rows = [], 0
    if block:
        yield block
