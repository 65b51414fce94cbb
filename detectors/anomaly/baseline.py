"""Anomalies of a series of which it is known what its values are made of: the monitor's default."""

import math
from collections.abc import Mapping
from statistics import median
from typing import Annotated, Any, ClassVar, Self

from msgspec import Meta, Struct, convert, field, to_builtins

from ..interface import Detector, Finding
from .evidence import Evidence, Of
from .kinds import Count, Kind, Mean, Seen, Share
from .level import Level
from .points import Point
from .profile import Profile

ALARM = 1 / 5_000
"""Default for the probability below which a value is found."""
WARM_UP = 12
"""Values that are only learned from."""
LASTING_STEPS, LASTING_US = 24, 86_400_000_000
"""What has lasted so many steps and so long is the new normal."""
_QUIET = 3
_GOES_ON = 0.4
_LINEAR, _LOGARITHMIC = 8.0, 1.0
_LARGEST = 1e100
_MEMORY = 500.0
_COARSE = 4.0


class Episode(Struct):
    """A change that goes on: its first value, how long, the ordinary steps at its end, and what no longer is one.

    `least`: deviation of a step, downwards below 0, that belongs to it. In a step of few events less does, in which the
    change, from `before` to `after`, shows less; one in which it would hardly show says nothing.
    """

    since: int
    least: float
    steps: int = 0
    ahead: int = 0
    quiet: int = 0
    before: float = 0.0
    after: float = 0.0


class Left(Struct, frozen=True):
    """What is left of a value beside what was expected: `deviation`, 1 being usual for the series."""

    deviation: float
    of: Of
    look: Seen
    unit: float

    @property
    def is_coarse(self) -> bool:
        """Whether so few events are expected that the deviation takes few values, none of them usual."""
        look = self.look
        if not self.of.sampling:
            return False
        return min(look.expected, look.weight - look.expected if isinstance(self.of, Share) else math.inf) < _COARSE

    def at(self, deviation: float) -> float:
        """The value that would have been so far from what was expected."""
        expected = self.of.scaled(self.of.of_amount(self.look.expected, self.look.weight))
        return self.of.natural(expected + deviation * self.unit * self.of.unit(self.look.weight))


class _State(Struct):
    kind: Kind
    alarm: Annotated[float, Meta(gt=0, lt=1)]
    first: Annotated[list[tuple[int, float, int | None]], Meta(max_length=WARM_UP)] = field(default_factory=list)
    last_us: int | None = None
    step_us: int = 0
    size: float = 0.0
    typical_n: float = 0.0
    taken: float = 0.0
    level: Level = field(default_factory=Level)
    profile: Profile = field(default_factory=Profile)
    evidence: Evidence = field(default_factory=Evidence)
    episode: Episode | None = None


class Baseline(Detector[Point]):
    """Level, day and week say what is expected; sampling and history say how far from it a value may be.

    `kind` says what values are: a `count` of events (at least Poisson noise), a `share` of `n` observations (at least
    binomial noise), or a `mean` of `n` observations, or any other number (noise as history shows it). `score` is 1 - p:
    p is how often a value without change would come with as much evidence, in itself or in sums over the last 2 to 32
    steps. Findings are where p ≤ `alarm`.

    The first 12 values are only learned from. A change is found again with each step while it goes on; it teaches
    nothing until it has lasted a day and 24 steps, and then its level is the new normal. It is over after 3 steps that
    are ordinary. NaN and numbers beyond ±1e100 count as no value.

    >>> hours = [Point(3_600_000_000 * hour, 400.0 + 20 * (-1) ** hour) for hour in range(60)]
    >>> volume = Baseline("count")
    >>> volume.update(hours)
    []
    >>> [finding] = volume.update([Point(3_600_000_000 * 60, 60.0)])
    >>> (finding.since, round(finding.expected), finding.seen)
    (60, 417, 60.0)

    Raises:
        ValueError: a `kind` that is none, or an `alarm` that is no probability between 0 and 1.
    """

    name: ClassVar[str] = "baseline"

    def __init__(self, kind: Kind = "mean", alarm: float = ALARM) -> None:
        super().__init__()
        if kind not in ("count", "share", "mean"):
            raise ValueError(f"kind is 'count', 'share' or 'mean', not {kind!r}")
        if not 0 < alarm < 1:
            raise ValueError(f"alarm is a probability between 0 and 1, not {alarm}")
        self._is = _State(kind, alarm)
        self._of = self._kind()
        self._left: Left | None = None

    @property
    def left(self) -> "Left | None":
        """What the last value leaves unexplained; None where it was only learned from or no number, or is not known."""
        return self._left

    @property
    def is_changed(self) -> bool:
        """Whether a change goes on, or began with the last value."""
        return self._is.episode is not None

    @property
    def has_risen(self) -> bool:
        """Whether that change is to more than was expected."""
        episode = self._is.episode
        return episode is not None and episode.least > 0.0

    @property
    def alarm(self) -> float:
        """The probability below which a value is found."""
        return self._is.alarm

    def _take(self, value: Point) -> Finding | None:
        self.score, self._left = 0.0, None
        if not abs(value.value) <= _LARGEST:
            return None
        state = self._is
        if state.last_us is not None and value.ts_us > state.last_us:
            apart = value.ts_us - state.last_us
            state.step_us = apart if state.step_us == 0 else min(state.step_us, apart)
        state.last_us = value.ts_us
        if state.taken == 0.0:
            state.first.append((value.ts_us, float(value.value), value.n))
            if len(state.first) == WARM_UP:
                self._warm_up()
            return None
        return self._judge(value.ts_us, float(value.value), value.n)

    def _warm_up(self) -> None:
        state = self._is
        values = [each for _, each, _ in state.first]
        state.size = _LOGARITHMIC * median(values) if min(values) > 0.0 else _LINEAR * max(map(abs, values))
        ns = [n for _, _, n in state.first if n is not None]
        state.typical_n = float(median(ns)) if ns else 0.0
        self._of = self._kind()
        state.level.move(self._of.scaled(median(values)), WARM_UP)
        state.taken = float(WARM_UP)
        looks = [self._look(ts_us, value, n)[0] for ts_us, value, n in state.first]
        state.evidence.begin_with(self._of, looks)
        for (ts_us, _, _), seen in zip(state.first, looks, strict=True):
            state.profile.take(ts_us, state.level.level + seen.residual, usual=True)
        state.first = []

    def _kind(self) -> Count | Share | Mean:
        state = self._is
        if state.kind == "mean":
            return Mean(state.size, state.typical_n)
        return Count() if state.kind == "count" else Share()

    def _look(self, ts_us: int, value: float, n: int | None) -> tuple[Seen, float]:
        state = self._is
        if state.size == 0.0 and state.kind == "mean" and value != 0.0:
            state.size = abs(value)
            self._of = self._kind()
        season = state.profile.expected(ts_us, state.step_us)
        ahead = 1 if state.episode is None else state.episode.ahead + 1
        return self._of.look(value, n, state.level.expected(ahead) + season), season

    def _judge(self, ts_us: int, value: float, n: int | None) -> Finding | None:
        state, evidence, episode = self._is, self._is.evidence, self._is.episode
        seen, season = self._look(ts_us, value, n)
        doubts = state.level.doubts(1 if episode is None else episode.ahead + 1)
        unit = evidence.unit(self._of)
        p, alone = evidence.judge(self._of, seen, state.level.steps, doubts, learn=episode is None)
        self.score = 1.0 - p
        self._left = Left(alone, self._of, seen, unit)
        if episode is None:
            if p > state.alarm:
                self._learn(ts_us, n, seen, season)
                return None
            steps = evidence.begin(self._of)
            evidence.unlearn(steps)
            state.level.unlearn(steps)
            state.profile.take(ts_us, season + state.level.expected() + seen.residual, usual=False)
            least = _at_least_one(_GOES_ON * evidence.deviation(self._of, steps) / steps**0.5)
            before, after = evidence.of_last(self._of, steps)
            since = max(0, self.n - steps + 1)
            state.episode = Episode(since=since, least=least, ahead=1, before=before, after=after)
            return self._finding(state.episode, steps)
        state.profile.take(ts_us, season + state.level.expected(episode.ahead + 1) + seen.residual, usual=False)
        episode.steps += 1
        episode.ahead += 1
        whole = self._whole(episode, seen)
        least = max(1.0, min(abs(episode.least), _GOES_ON * whole))
        towards = alone * math.copysign(1.0, episode.least)
        if towards > least:
            episode.quiet = 0
        elif _GOES_ON * whole >= 1.0:
            episode.quiet += 1
        found = self._finding(episode, 1) if episode.quiet == 0 and towards > 0.0 and p <= state.alarm else None
        if episode.quiet >= _QUIET:
            state.episode = None
            evidence.forget()
        elif episode.steps >= max(LASTING_STEPS, LASTING_US // (state.step_us or LASTING_US)):
            self._settle()
        return found

    def _whole(self, episode: Episode, seen: Seen) -> float:
        """How many deviations the whole change would be in a step like this one."""
        changed = self._of.changed(seen.expected, seen.weight, episode.before, episode.after)
        return abs(self._of.deviation(changed, seen.expected, seen.weight, 1) / self._is.evidence.unit(self._of))

    def _finding(self, episode: Episode, steps: int) -> Finding:
        expected, seen = self._is.evidence.of_last(self._of, steps)
        return Finding(at=self.n, since=episode.since, score=self.score, expected=expected, seen=seen)

    def _settle(self) -> None:
        state = self._is
        expected, seen = state.evidence.of_last(self._of, LASTING_STEPS)
        moved = self._of.scaled(seen) - self._of.scaled(expected)
        state.level.move(moved, WARM_UP)
        state.profile.move(moved)
        state.evidence.forget()
        state.episode = None

    def _learn(self, ts_us: int, n: int | None, seen: Seen, season: float) -> None:
        state = self._is
        state.taken += 1.0
        trust = 1.0
        if n is not None:
            state.typical_n += (n - state.typical_n) / min(state.taken, _MEMORY)
            trust = min(2.0, n / state.typical_n) if state.typical_n > 0.0 else 1.0
            if isinstance(self._of, Mean):
                self._of.typical_n = state.typical_n
        unit = self._of.unit(seen.weight) * state.evidence.unit(self._of)
        expected = state.level.expected() + season
        ordinary = state.level.take(seen.residual, unit, trust)
        state.profile.take(ts_us, expected + ordinary, usual=True)

    def _state(self) -> dict[str, Any]:
        return to_builtins(self._is)

    @classmethod
    def _of_state(cls, state: Mapping[str, Any]) -> Self:
        missing = set(_State.__struct_fields__) - state.keys()
        if missing:
            raise ValueError(f"no {', '.join(sorted(missing))}")
        read = convert(dict(state), _State)
        detector = cls(read.kind, read.alarm)
        detector._is = read
        detector._of = detector._kind()
        return detector


def _at_least_one(deviation: float) -> float:
    return max(deviation, 1.0) if deviation > 0.0 else min(deviation, -1.0)
