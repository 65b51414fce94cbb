"""Runs the online detectors of the models that a worker owns, and lets each signal out once.

A signal is out only behind the state of the detector that found it: first the state is stored, with the signal in it,
then the signal, in ClickHouse and on Kafka. A worker that takes over goes on from the state, and lets out what may not
be out yet; it has the same id, and counts as the same one. So does a worker whose partition was another's for a while:
what it has in memory of its models is behind then.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from msgspec import Struct

from ...infra import metrics
from ...infra.clickhouse import ClickHouse
from ...infra.logs import logger
from ...schemas.errors import FencedError, ServiceUnavailable
from ...schemas.monitoring import NONE
from ...schemas.signals import Signal
from ..live.models import Model, Models
from ..live.news import EVER
from ..live.series import KPIS
from ..sink.inserts import Inserter
from .anomalies import HOUR_S, MINUTE_S, AnomalyMonitor, series_name
from .choice import of_losses, of_series
from .comparisons import AUTOMATIC, DriftMonitor
from .concept import ConceptMonitor
from .drift_rows import Compared, store_comparisons
from .events import NAME as EVENTS
from .events import EventMonitor
from .reached import Reached, reached
from .signals import store_signals
from .states import Saved, read_states, write_states

log = logger(__name__)

# A state is stored at most so often, and more rarely the larger it is: by the bytes a minute.
_STORED_EVERY = timedelta(minutes=1)
_STORED_BYTES = 100_000
_LONGEST_S = 10.0
# A model that nothing came for in so long is looked at once in a while, when a pause of it would become known.
_QUIET = timedelta(seconds=30)


class Watch(Protocol):
    """One monitor of one model."""

    rebuilt: str
    """How it came by its state."""
    is_behind: bool
    """Whether the last turn left something to take."""

    @property
    def name(self) -> str:
        """What table `monitors` calls it: unique in its model."""
        ...

    @property
    def reached_us(self) -> int:
        """Event time up to which it took everything."""
        ...

    def advance(self, reached: Reached) -> list[Signal]:
        """Take what is new, a bounded part of it."""
        ...

    def state(self) -> dict[str, Any]:
        """All of it, as plain data."""
        ...


class _Watched(Struct):
    watch: Watch
    made_of: object
    unpublished: tuple[Signal, ...] = ()
    stored_us: int = -1
    next_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)


_Wanted = tuple[tuple[str, object], Callable[[dict[str, Any] | None], Watch]]
"""The name of a monitor and what it is made of, and how it is made from a state."""


class Monitor:
    """Watches models. One thread at a time may use it."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        inserter: Inserter,
        models: Models,
        publish: Callable[[Sequence[Signal]], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rest: timedelta = timedelta(0),
    ) -> None:
        """`publish` returns when the signals are on the brokers. Models that nothing comes for may `rest` so long."""
        self._clickhouse = clickhouse
        self._inserter = inserter
        self._models = models
        self._publish = publish
        self._now = now
        self._rest = rest
        self._looked_at: dict[str, datetime] = {}
        self._watched: dict[str, dict[str, _Watched]] = {}
        self._claims: dict[str, int] = {}
        """Of the home partition of each model, when its states were read."""
        self.is_behind = False
        """Whether the last tick left something to do."""

    def tick(self) -> int:
        """Go on with the models that the worker owns, for some seconds at most; returns how many signals came out.

        Raises:
            FencedError: another worker owns one of the models now.
            ServiceUnavailable: ClickHouse or Kafka doesn't answer.
        """
        with metrics.MONITOR_SECONDS.time():
            self._own(set(self._models))
            until = reached(self._clickhouse)
            names = [name for name in self._watched if not self._may_rest(name)]
            began, done = time.monotonic(), 0
            # Those that waited longest first: a turn may end before all had theirs.
            for name in sorted(names, key=lambda name: (self._looked_at.get(name, EVER), name)):
                # One that fails may have taken half of something: it goes on from what is stored.
                try:
                    done += self._advance(name, until)
                except (FencedError, ServiceUnavailable):
                    self._drop(name)
                    raise
                except Exception as exc:
                    metrics.MONITOR_ERRORS.inc()
                    log.exception("monitors failed, to be rebuilt from what is stored", exc, model=name)
                    self._drop(name)
                if time.monotonic() - began > _LONGEST_S:
                    break
            self._store_some()
            self.is_behind = any(each.watch.is_behind for of in self._watched.values() for each in of.values())
        return done

    def _own(self, names: Collection[str]) -> None:
        for name in list(self._watched):
            if name not in names or self._is_behind_others(name):
                self._drop(name)
        self._claims |= {name: self._claims_now(name) for name in names - self._watched.keys()}
        missing = {
            name: [each for each in self._watches(self._models[name]) if not self._has(name, each)] for name in names
        }
        # Also of models that are watched: what kind their labels are is known later, and may be stored before.
        saved = read_states(self._clickhouse, [name for name, watches in missing.items() if watches])
        for name, watches in sorted(missing.items()):
            watched = self._watched.setdefault(name, {})
            for (monitor, of), make in watches:
                before = saved.get((name, monitor))
                watch = make(None if before is None else before.state)
                watched[monitor] = _Watched(watch, of, () if before is None else before.unpublished)
                log.info("monitor rebuilt", model=name, monitor=monitor, how=watch.rebuilt)

    def _drop(self, name: str) -> None:
        del self._watched[name], self._claims[name]
        self._looked_at.pop(name, None)

    def _has(self, model: str, wanted: _Wanted) -> bool:
        (monitor, of), _ = wanted
        there = self._watched.get(model, {}).get(monitor)
        return there is not None and there.made_of == of

    def _is_behind_others(self, name: str) -> bool:
        """Whether another worker may have moved the states of a model on since they were read."""
        return self._claims[name] != self._claims_now(name)

    def _claims_now(self, name: str) -> int:
        return self._inserter.fence.claims(self._models.home(name))

    def _may_rest(self, name: str) -> bool:
        """Whether nothing came for a model lately, nothing is left to take, and it was looked at a while ago."""
        now = self._now()
        return (
            now - self._looked_at.get(name, EVER) < self._rest
            and now - self._models[name].latest >= _QUIET
            and not any(each.watch.is_behind for each in self._watched[name].values())
        )

    def _advance(self, name: str, until: Reached) -> int:
        home, done = self._models.home(name), 0
        self._looked_at[name] = self._now()
        for each in self._watched[name].values():
            now = self._now()
            each.unpublished += tuple(each.watch.advance(until))
            if self._is_behind_others(name):
                break
            if each.unpublished:
                self._store([(name, each)], now)
                store_signals(self._inserter, each.unpublished, {home}, now)
                self._publish(each.unpublished)
                for signal in each.unpublished:
                    metrics.SIGNALS.labels(signal.kind.value).inc()
                done += len(each.unpublished)
                each.unpublished = ()
        return done

    def _store_some(self) -> None:
        """The states that have gone on, each once in a while: what came since is taken again after a crash."""
        now = self._now()
        self._store(
            [
                (name, each)
                for name, watched in self._watched.items()
                for each in watched.values()
                if each.watch.reached_us != each.stored_us and now >= each.next_at and not self._is_behind_others(name)
            ],
            now,
        )

    def _store(self, chosen: Sequence[tuple[str, "_Watched"]], now: datetime) -> None:
        saved = (
            (
                Saved(
                    name, each.watch.name, each.watch.reached_us, each.watch.state(), each.unpublished,
                    each.watch.rebuilt,
                ),
                self._models.home(name),
            )
            for name, each in chosen
        )  # fmt: skip
        sizes = write_states(self._inserter, saved, now)
        for (_, each), size in zip(chosen, sizes, strict=True):
            each.stored_us, each.next_at = each.watch.reached_us, now + _STORED_EVERY * max(1.0, size / _STORED_BYTES)

    def _watches(self, model: Model) -> Iterator[_Wanted]:
        """What of a model is watched: what a monitor is made of, its name first, and how it is made from a state."""
        config, monitoring = model.config, model.config.monitoring
        outcomes = [
            (model.outcome(name), kind)
            for name, (kind, _) in sorted(model.definitions.items())
            if name != KPIS and kind is not None
        ]
        if monitoring.losses != NONE:
            for outcome, kind in outcomes:
                yield (
                    (f"losses/{outcome.name}", (outcome, kind)),
                    lambda state, outcome=outcome, kind=kind: ConceptMonitor(
                        self._clickhouse, config.name, outcome, kind, config.segments, of_losses(monitoring), state
                    ),
                )
        if monitoring.series != NONE:
            for of in (None, *outcomes):
                for seconds in (MINUTE_S, HOUR_S):
                    yield (
                        (series_name(seconds, of), of),
                        lambda state, seconds=seconds, of=of: AnomalyMonitor(
                            self._clickhouse, config.name, seconds, of, of_series(monitoring), state
                        ),
                    )
        if monitoring.events != NONE:
            yield ((EVENTS, monitoring.events), lambda state: EventMonitor(self._clickhouse, config.name, state))
        drift = monitoring.drift
        if drift is not None:
            for window in drift.windows or AUTOMATIC:
                keep = partial(self._keep, config.name, window.size_s)
                yield (
                    (f"drift/{window}", drift),
                    lambda state, window=window, keep=keep: DriftMonitor(
                        self._clickhouse, config.name, drift, window, config.segments, keep, state
                    ),
                )

    def _keep(self, model: str, seconds: int, compared: Sequence[Compared]) -> None:
        store_comparisons(self._inserter, model, seconds, compared, self._models.home(model), self._now())
