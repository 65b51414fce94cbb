"""Single predictions unlike those before them: how many of a sample are, hour by hour."""

import copy
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from ...detectors.anomaly.baseline import Baseline
from ...detectors.anomaly.dependence import Part
from ...detectors.anomaly.events import EventAnomalies
from ...detectors.anomaly.points import Point
from ...detectors.interface import Finding
from ...infra.clickhouse import ClickHouse, quote, quoted
from ...schemas.signals import Shift, Signal, SignalKind
from ..evaluate.panes import Stretch, volumes
from ..lookups import instant
from ..records import from_micros, micros_of
from .event_sample import Event, events_of
from .points import end_of_steps, first_step
from .reached import Reached
from .signals import signal_id_of
from .states import DAMAGED, next_step
from .told import Told

SUBJECT = "share of unusual predictions"
NAME = "events/3600s"
_HOUR_S = 3600
_SECOND_US = 1_000_000
_HOUR_US = _HOUR_S * _SECOND_US
ALARM = 0.002
"""Share of predictions that are unusual without anything wrong: as few as 1,000 to compare with can show."""
ONE_FALSE_IN_S = 5 * 28 * 86_400
"""A fifth of a false alarm in four weeks of a model."""
COMPARED_WITH = 1_000
_TREES, _HEIGHT = 12, 7
# Of the events of an hour in which more than usual are unusual, one in so many.
_TEACHES = 4
_AT_ONCE_S = 2.0
_HOURS_AHEAD = 1_000
_MOST_EVIDENCE, _EXAMPLES, _SHOWN = 5, 5, 20


class Unusual(NamedTuple):
    """A prediction that is unlike those before it, and what of it is: the farthest first."""

    prediction_id: str
    parts: Sequence[Part]


class Taken(NamedTuple):
    """What the events of an hour show."""

    found: list[Finding]
    unusual: list[Unusual]


class UnusualEvents:
    """Which events are unlike those before them, and whether they are more than usual. Knows no database.

    While more are, events are compared with those from before that, so that what is wrong does not become what is usual
    within an hour; one in four of them teaches what will be usual then. So a pattern that comes once a week is told
    once or twice, a burst that comes again the next day is told again, and what lasts is usual after a day.
    """

    def __init__(self) -> None:
        self._events = EventAnomalies(every=1, alarm=ALARM, trees=_TREES, height=_HEIGHT)
        self._before: EventAnomalies | None = None
        """As it was before more than usual were unusual; None while no more are."""
        self._share = Baseline("share", _HOUR_S / ONE_FALSE_IN_S)

    def take(self, hour_us: int, events: Sequence[Event]) -> Taken:
        """The events of an hour, in their order; hours are taken in their order, those without events too."""
        known = self._before or self._events
        judging = copy.deepcopy(known)
        unusual: list[Unusual] = []
        judged = 0
        for event in events:
            judged += judging.judged >= COMPARED_WITH
            if judging.update([event.numbers]) and judging.judged > COMPARED_WITH:
                unusual.append(Unusual(event.prediction_id, judging.parts()))
        share = len(unusual) / judged if judged else float("nan")
        found = self._share.update([Point(hour_us, share, judged or None)])
        if self._share.has_risen:
            self._before = known
            learning = copy.deepcopy(known) if known is self._events else self._events
            learning.update([event.numbers for event in events[::_TEACHES]])
            self._events = learning
        elif self._before is None:
            self._events = judging
        else:
            self._events.update([event.numbers for event in events])
            self._before = None
        return Taken(found if self._share.has_risen else [], unusual)

    def state(self) -> dict[str, Any]:
        """As plain data."""
        before = None if self._before is None else self._before.snapshot()
        return {"events": self._events.snapshot(), "before": before, "share": self._share.snapshot()}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "UnusualEvents":
        """The same again; raises one of `DAMAGED` if it is none."""
        of = cls()
        of._events, of._share = EventAnomalies.restore(state["events"]), Baseline.restore(state["share"])
        of._before = None if state["before"] is None else EventAnomalies.restore(state["before"])
        return of


class EventMonitor:
    """Reads a sample of the predictions of hours that are over. One thread at a time."""

    def __init__(self, clickhouse: ClickHouse, model: str, state: Mapping[str, Any] | None = None) -> None:
        self._clickhouse = clickhouse
        self._model = model
        self._next: int | None = None
        self.is_behind = False
        """Whether the last turn left hours that are over."""
        self._unusual = UnusualEvents()
        self._told = Told()
        self.rebuilt = "from its first pane"
        if state is not None:
            self._resume(state)

    @property
    def name(self) -> str:
        """What table `monitors` calls it."""
        return NAME

    @property
    def reached_us(self) -> int:
        """Event time (µs) up to which it took everything."""
        return (self._next or 0) * _SECOND_US

    def advance(self, reached: Reached) -> list[Signal]:
        """Take the hours that are over, for some seconds at most; returns what they show."""
        if self._next is None:
            self._next = first_step(self._clickhouse, self._model, _HOUR_S)
        if self._next is None:
            return []
        over = end_of_steps(self._clickhouse, self._next, _HOUR_S, reached, of_predictions=True)
        end = min(over, self._next + _HOURS_AHEAD * _HOUR_S)
        made = self._volumes(self._next, end)
        until_s = time.monotonic() + _AT_ONCE_S
        signals: list[Signal] = []
        while self._next < end:
            signals += self._take(self._next * _SECOND_US, made.get(self._next, 0))
            self._next += _HOUR_S
            if time.monotonic() >= until_s:
                break
        self.is_behind = self._next < over
        return signals

    def _volumes(self, begin: int, end: int) -> dict[int, int]:
        if end <= begin:
            return {}
        since, until = (from_micros(second * _SECOND_US) for second in (begin, end))
        found = volumes(self._clickhouse, Stretch(self._model, since, until, timedelta(seconds=_HOUR_S)))
        return {micros_of(at) // _SECOND_US: n for at, n in found.items()}

    def _take(self, hour_us: int, made: int) -> list[Signal]:
        events = events_of(self._clickhouse, self._model, hour_us, made) if made else []
        found, unusual = self._unusual.take(hour_us, events)
        if not events:
            goes_on = self._told.wait(hour_us, _HOUR_US)
            return [] if goes_on is None else [goes_on]
        for each in found:
            self._told.take(each, hour_us, _HOUR_US, self._id)
        return [self._told.say(self._signal(each, hour_us, len(events), unusual)) for each in found]

    def _id(self, since_us: int) -> str:
        return signal_id_of(self._model, SignalKind.ANOMALY, SUBJECT, since_us)

    def _signal(self, found: Finding, hour_us: int, n: int, unusual: Sequence[Unusual]) -> Signal:
        evidence, shown = apart(unusual)
        ids = quoted(shown[:_SHOWN] or [""])
        since = from_micros(self._told.since_us)
        most = f", {evidence[0].name} most of all" if evidence else ""
        return Signal(
            signal_id=self._told.signal_id,
            model=self._model,
            kind=SignalKind.ANOMALY,
            subject=SUBJECT,
            detector=EventAnomalies.name,
            since=since,
            found_at=from_micros(self._told.found_us),
            until=from_micros(self._told.until_us),
            score=found.score,
            message=f"{found.seen or 0.0:.1%} of predictions of {self._model} are unlike those before them, where "
            f"{found.expected or 0.0:.1%} were expected{most}, since {since:%Y-%m-%d %H:%M}",
            expected=found.expected,
            seen=found.seen,
            n=n,
            evidence=evidence,
            examples=tuple(shown[:_EXAMPLES]),
            query="SELECT ts, prediction_id, version, prediction, score, latency_ms, cost_usd, features_num, "
            f"features_cat FROM {self._clickhouse.database}.predictions WHERE model = {quote(self._model)} "
            f"AND ts >= {instant(hour_us)} AND ts < {instant(hour_us + _HOUR_US)} "
            f"AND prediction_id IN ({ids}) ORDER BY ts",
            window_s=_HOUR_S,
        )

    def state(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {"next": self._next, "unusual": self._unusual.state(), "told": self._told.state()}

    def _resume(self, state: Mapping[str, Any]) -> None:
        try:
            unusual, told = UnusualEvents.of_state(state["unusual"]), Told.of_state(state["told"])
            first = next_step(state["next"], _HOUR_S)
            reached = from_micros((first or 0) * _SECOND_US)
        except DAMAGED as exc:
            self.rebuilt = f"from its first pane: its state can't be read ({exc!r})"
            return
        self._unusual, self._told, self._next = unusual, told, first
        self.rebuilt = f"from its state of {reached:%Y-%m-%d %H:%M} and the predictions since"


def apart(unusual: Sequence[Unusual]) -> tuple[tuple[Shift, ...], list[str]]:
    """What sets unusual events apart, and their ids: what most of them have in common first.

    For each feature that is the farthest or second of an event, by how many: what the others of a typical such event
    lead to expect, and what it was.
    """
    of: dict[str, list[tuple[Part, str]]] = {}
    for event in unusual:
        for part in event.parts[:2]:
            of.setdefault(part.name, []).append((part, event.prediction_id))
    often = Counter({name: len(parts) for name, parts in of.items()})
    evidence: list[Shift] = []
    shown: dict[str, None] = {}
    for name in sorted(often, key=lambda name: (-often[name], name))[:_MOST_EVIDENCE]:
        parts = sorted(of[name], key=lambda each: (-abs(each[0].deviation), each[1]))
        typical = parts[len(parts) // 2][0]
        evidence.append(Shift(name, typical.expected, typical.seen))
        shown |= dict.fromkeys(prediction_id for _, prediction_id in parts)
    return tuple(evidence), list(shown)
