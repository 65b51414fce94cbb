"""Data and prediction drift: what a window of predictions looks like, held against the reference."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from ...detectors.drift.decide import decide
from ...detectors.drift.result import Drift
from ...infra.clickhouse import ClickHouse
from ...schemas.monitoring import Drift as DriftConfig
from ...schemas.signals import Signal, SignalKind
from ...schemas.windows import Window
from ..evaluate.panes import Stretch, volumes
from ..records import from_micros, micros_of
from .answers import Answer, Key
from .compared import ENOUGH, PLENTY, Comparer
from .drift_rows import Compared
from .drift_signals import drift_signal
from .episodes import Episodes
from .points import first_step
from .reached import Reached
from .signals import signal_id_of
from .states import DAMAGED, next_step
from .usual import Usual

AUTOMATIC = (Window.tumbling(timedelta(hours=1)), Window.tumbling(timedelta(days=1)))
LEVEL = 0.05
_AT_ONCE_S = 2.0
_WINDOWS_AHEAD = 1000
_MOST_USUAL = 20_000
_SECOND_US = 1_000_000
_HOUR_S = 3600


class _Comparing(NamedTuple):
    """A window on its way: what was found, and what finds the rest."""

    start: int
    found: list[Answer]
    rest: Iterator[Answer]


class DriftMonitor:
    """Compares the windows that are over, one after the other, each once. One thread at a time.

    A turn ends between two series of a window, and the next one goes on there. What is decided is decided of a whole
    window: a state says nothing of one that is on its way, and whoever goes on from it begins that window anew.
    """

    def __init__(
        self,
        clickhouse: ClickHouse,
        model: str,
        config: DriftConfig,
        window: Window,
        segments: Sequence[str],
        keep: Callable[[Sequence[Compared]], None],
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """`keep` stores what was compared. Goes on from a `state`, if the same was compared then."""
        self._clickhouse = clickhouse
        self._model = model
        self._config = config
        self._window = window
        self._segments = tuple(segments)
        self._next: int | None = None
        self._usual: dict[Key, Usual] = {}
        self._episodes: Episodes[Key] = Episodes(LEVEL)
        self._comparing: _Comparing | None = None
        self._comparer = Comparer(clickhouse, model, config, window, self._segments)
        self._keep = keep
        self.is_behind = False
        """Whether the last turn left windows that are over."""
        self.rebuilt = "from its first window"
        if state is not None:
            self._resume(state)

    @property
    def name(self) -> str:
        """What table `monitors` calls it."""
        return f"drift/{self._window}"

    @property
    def reached_us(self) -> int:
        """Event time (µs) up to which it compared everything."""
        return (self._next or 0) * _SECOND_US

    def advance(self, reached: Reached) -> list[Signal]:
        """Compare windows that are over, for some seconds and a series at most; returns what drifted."""
        size = self._window.size_s
        if self._next is None:
            first = first_step(self._clickhouse, self._model, _HOUR_S)
            if first is None:
                return []
            self._next = -(-first // size) * size
        end = min(reached.everywhere_us // _SECOND_US, self._next + _WINDOWS_AHEAD * size) // size * size
        rows: list[Compared] = []
        signals: list[Signal] = []
        until_s = time.monotonic() + _AT_ONCE_S
        for start in self._asked_for(self._next, end):
            window = self._compare(start, until_s)
            if window is None:
                break
            compared, drifted = self._decide(window)
            rows += compared
            signals += drifted
            self._next = start + size
            if time.monotonic() >= until_s:
                break
        else:
            self._next = max(self._next, end)
        self._keep(rows)
        self.is_behind = (self._next + size) * _SECOND_US <= reached.everywhere_us
        return signals

    def state(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {
            "watched": self._watched,
            "next": self._next,
            "usual": [[list(key), usual.snapshot()] for key, usual in self._usual.items()],
            **self._episodes.snapshot(),
        }

    @property
    def _watched(self) -> list[Any]:
        return [str(self._config.reference), list(self._config.ignore), str(self._window), list(self._segments)]

    def _resume(self, state: Mapping[str, Any]) -> None:
        try:
            if state["watched"] != self._watched:
                self.rebuilt = "from its first window: its reference, its windows or its segments changed"
                return
            usual = {msgspec.convert(key, Key): Usual.restore(each) for key, each in state["usual"]}
            episodes = Episodes[Key](LEVEL).restore(state, Key)
            first = next_step(state["next"], self._window.size_s)
            reached = from_micros((first or 0) * _SECOND_US)
        except DAMAGED as exc:
            self.rebuilt = f"from its first window: its state can't be read ({exc!r})"
            return
        self._usual, self._episodes, self._next = usual, episodes, first
        self.rebuilt = f"from its state of {reached:%Y-%m-%d %H:%M} and the panes since"

    def _compare(self, start: int, until_s: float) -> _Comparing | None:
        """Go on with a window until the clock says so; None if something may be left then."""
        window, self._comparing = self._comparing, None
        if window is None or window.start != start:
            since, until = from_micros(start * _SECOND_US), from_micros((start + self._window.size_s) * _SECOND_US)
            window = _Comparing(start, [], self._comparer.compare(since, until, self._usual_size))
        for answer in window.rest:
            window.found.append(answer)
            if time.monotonic() >= until_s:
                self._comparing = window
                return None
        return window

    def _decide(self, window: _Comparing) -> tuple[list[Compared], list[Signal]]:
        """What a window shows that was compared as a whole."""
        since, until = (from_micros(s * _SECOND_US) for s in (window.start, window.start + self._window.size_s))
        decided = decide([answer.drift for answer in window.found], LEVEL)
        noted = [self._note(answer.key, drift) for answer, drift in zip(window.found, decided, strict=True)]
        for key in list(islice(self._usual, max(0, len(self._usual) - _MOST_USUAL))):
            del self._usual[key]
        drifted = {
            answer.key: drift.q_value
            for answer, drift, (is_unusual, _) in zip(window.found, decided, noted, strict=True)
            if is_unusual and drift.q_value is not None
        }
        told = self._episodes.see(drifted, micros_of(since), micros_of(until), partial(self._signal_id, window.start))
        signals: list[Signal] = []
        rows: list[Compared] = []
        for answer, drift, (is_unusual, size) in zip(window.found, decided, noted, strict=True):
            key = answer.key
            row = Compared(since, answer.stretch, answer.slice, answer.series, drift, size, is_unusual, key in told)
            rows.append(row)
            if episode := told.get(key):
                signals.append(drift_signal(self._clickhouse, self._model, row, episode, answer))
        return rows, signals

    def _note(self, key: Key, drift: Drift) -> tuple[bool, float | None]:
        """Whether it drifted by more than what comes and goes, and how large that is; takes note of it."""
        if not self._config.reference.moves or math.isnan(drift.effect):
            return drift.drifted, None
        # Those that are compared go to the end: what is not any more is forgotten first.
        usual = self._usual[key] = self._usual.pop(key, None) or Usual(self._window.size_s)
        size, is_unusual = usual.size, drift.drifted and usual.is_unusual(drift.effect)
        usual.add(drift.effect, drifted=is_unusual)
        return is_unusual, size

    def _usual_size(self, key: Key) -> float:
        usual = self._usual.get(key)
        return (usual and usual.size) or 0.0

    def _signal_id(self, start: int, key: Key) -> str:
        return signal_id_of(self._model, SignalKind.DATA_DRIFT, *key, str(self._window), start * _SECOND_US)

    def _asked_for(self, begin: int, end: int) -> list[int]:
        """Starts of the windows to compare; unless chosen, hours with enough predictions, and days without plenty."""
        size = self._window.size_s
        if end <= begin:
            return []
        stretch = Stretch(
            self._model, from_micros(begin * _SECOND_US), from_micros(end * _SECOND_US), self._window.size
        )
        made = {micros_of(at) // _SECOND_US: n for at, n in volumes(self._clickhouse, stretch).items()}
        if self._config.windows:
            return sorted(made)
        hours = size // _HOUR_S
        return sorted(at for at, n in made.items() if (n >= ENOUGH if hours == 1 else n < hours * PLENTY))
