"""Keeps table `metrics` up to date: finds the windows that changed, and writes a new revision of each.

What a window is evaluated from is its rows alone, so it makes no difference when, how often, where and after which
restarts it was done: the last revision is the same. What was done is read from the table itself.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from threading import Event

from clickhouse_connect.driver.exceptions import ClickHouseError

from ...infra import metrics
from ...infra.clickhouse import ClickHouse
from ...infra.logs import logger
from ...schemas.outcomes import LoopwatchConfig
from ...schemas.windows import TimeOf
from ..at_once import AT_ONCE
from ..evaluate.slices import Slicing
from ..evaluate.windows import Windows
from ..sink.inserts import Inserter, token_of
from .agenda import Agenda
from .aside import Aside
from .estimator import Estimator
from .models import Model, Models
from .news import EVER, Buckets, Heard, News, all_news, find_news
from .restating import Alike, Defined, Restated, restated
from .series import KPIS, Due, Series, series_of, starts_of
from .stored import Evaluated, rows_of

log = logger(__name__)

# Windows whose rows are looked at together.
_MOST = 2000
_MOST_ASIDE = 200
_ESTIMATING_S = 1.0
_ROWS_AT_ONCE = 20_000


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
        unhurried: ClickHouse | None = None,
        on_written: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        slow_s: float = math.inf,
        pace: float = 0.0,
    ) -> None:
        """`overlap`: for how long after `_ingested_at` a row may still become visible.

        Series whose windows took `slow_s` or longer are evaluated aside: a tick begins that, and a later one ends it.
        While more comes for its model a window is evaluated every `pace` times its length at most. What is aside, and
        estimates, ask `unhurried`; `on_written` is called whenever new revisions are stored.
        """
        self._clickhouse = clickhouse
        self._unhurried = unhurried or clickhouse
        self._inserter = inserter
        self._on_written = on_written
        self._overlap = overlap
        self._stop = stop
        self._now = now
        self._owned: frozenset[int] = frozenset()
        self.models = Models(clickhouse, config, partitions)
        self._agenda = Agenda(slow_s, pace)
        self._aside = Aside()
        self._heard = Heard()
        self._estimator = Estimator(self._unhurried, inserter)
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
            done = self._collect(now)
            newest = {name: self.models[name].newest_s for name in self.models}
            due = list(self._agenda.due(now.timestamp(), newest, quiet))
            slow = [each for each in due if self._agenda.is_slow(each)]
            if slow and self._aside.is_free:
                self._evaluate_aside(self._agenda.oldest(slow, _MOST_ASIDE), now)
            quick = [each for each in due if not self._agenda.is_slow(each)]
            done += sum(self._evaluate(chunk, now) for chunk in _chunks(quick, _MOST))
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
        if owned != self._owned:
            self._owned = owned
            self._heard.forget()
        for name in self.models.own(owned):
            self._agenda.forget(name)
            self._estimator.forget(name)
        since = self.models.read_until(now) - self._overlap
        found = find_news(self._clickhouse, since, self._bucket_s, self._heard, self._with_indicators)
        news = {name: each for name, each in found.items() if self.models.home(name) in owned}
        anew, quiet = self.models.meet(news)
        if anew:
            news |= all_news(self._clickhouse, self._bucket_s, anew, anew & self._with_indicators)
        for name, each in news.items():
            self._note(self.models[name], each, EVER if name in anew else since)
        self._heard.keep()
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

    def _evaluate(self, dues: Sequence[Due], now: datetime) -> int:
        self._agenda.begin(dues)
        try:
            return sum(self._settle(each, now) for each in self._restated(self._clickhouse, dues, now, AT_ONCE))
        finally:
            self._agenda.put_back(dues)

    def _evaluate_aside(self, dues: Sequence[Due], now: datetime) -> None:
        self._agenda.begin(dues)
        self._aside.start(dues, self._restated(self._unhurried, dues, now, 1))

    def _collect(self, now: datetime) -> int:
        """Take over what was evaluated aside."""
        job = self._aside.collect()
        if job is None:
            return 0
        try:
            return sum(self._settle(each, now) for each in job.found.result())
        finally:
            self._agenda.put_back(job.dues)

    def _restated(self, clickhouse: ClickHouse, dues: Sequence[Due], now: datetime, at_once: int) -> Iterator[Restated]:
        """What is found of these windows, to be settled; of those that can't be evaluated any more, nothing."""
        asked = {due: self._defined(due.series) for due in dues if self._is_defined(due.series)}
        gone = Restated([due for due in dues if due not in asked])
        return chain([gone], restated(clickhouse, asked, now, self._bucket_s, self._stop, at_once))

    def _is_defined(self, series: Series) -> bool:
        """Whether it is still known what the metrics are: labels that came since may leave it open."""
        return series.model in self.models and series.outcome in self.models[series.model].definitions

    def _defined(self, series: Series) -> Defined:
        model = self.models[series.model]
        kind, definition = model.definitions[series.outcome]
        indicators = model.config.kpis if series.outcome == KPIS else ()
        outcome, segments = model.outcome(series.outcome), model.config.segments
        return Defined(Alike(outcome, series.window, series.time_of, kind, segments, indicators), definition)

    def _settle(self, found: Restated, now: datetime) -> int:
        """Write what was found, unless the model was lost meanwhile; returns the number of new revisions."""
        evaluated = [each for each in found.evaluated if self._agenda.is_under_way(each.due)]
        self._write(evaluated)
        for due in found.dues:
            self._agenda.done(due, now.timestamp())
        for each in evaluated:
            self._agenda.took(each.due.series, found.took_s)
            if each.cells[0].is_unsettled:
                self._estimator.note(each.due.series, each.due.start)
        metrics.EVALUATED_WINDOWS.inc(len(evaluated))
        return len(evaluated)

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
            self._on_written()


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
