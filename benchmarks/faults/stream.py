"""The input of a fault run: seeded events in order of arrival, and the truth about them kept beside.

A second of event time passes for each prediction, so that 30-minute windows close while a run is under way. Predictions
and actions arrive in event-time order but for what `Traits` asks.
"""

import heapq
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct

MODELS = ("shop", "plain")
HOUR_S = 3600.0


class Traits(Struct, frozen=True):
    """Shares (0–1) of events that arrive other than in order. `late_s`: seconds of event time that a late one takes."""

    acted: float = 0.6
    duplicated: float = 0.02
    before_prediction: float = 0.02
    late: float = 0.02
    late_s: float = 3 * HOUR_S
    orphaned: float = 0.01
    repeated_predictions: float = 0.01
    shuffled_s: float = 0.0
    """Arrival of actions is put off by up to this much event time, at random."""


class Sent(NamedTuple):
    """One record to produce, keyed by its prediction."""

    is_action: bool
    key: str
    value: bytes


class PredictionTruth(NamedTuple):
    """What a prediction says. `ts_us` is µs since 1970."""

    model: str
    ts_us: int
    score: float


class ActionTruth(NamedTuple):
    """What an action says. `ts_us` is µs since 1970."""

    name: str
    ts_us: int
    value: float | bool | None


class Truth:
    """Everything that was sent: each prediction and action once, and how many records they took."""

    def __init__(self) -> None:
        self.predictions: dict[str, PredictionTruth] = {}
        self.actions: dict[tuple[str, str], ActionTruth] = {}
        self.sent = {False: 0, True: 0}
        """Valid records by `is_action`, copies counted too."""
        self.poison = {False: 0, True: 0}
        """Records that are no event, by `is_action`."""
        self.counted = True
        """Whether each record is received once: false when a broker forgot some that were read, or were not."""

    @property
    def events(self) -> int:
        """Records of both topics, good and bad."""
        return sum(self.sent.values()) + sum(self.poison.values())


class EventStream:
    """An endless stream of arrivals; `truth` knows what was handed out."""

    def __init__(self, seed: int, traits: Traits | None = None, start: datetime | None = None) -> None:
        self.traits = traits or Traits()
        self.truth = Truth()
        self._random = random.Random(seed)
        self._name = f"{seed:x}"
        self._start_us = _micros(start or datetime.now(UTC) - timedelta(days=120))
        self._now_us = self._start_us
        self._due: list[tuple[int, int, Sent]] = []
        self._count = 0

    @property
    def now(self) -> datetime:
        """Event time that the stream has reached."""
        return datetime.fromtimestamp(self._now_us / 1e6, UTC)

    def take(self, n: int) -> list[Sent]:
        """The next `n` arrivals."""
        batch = []
        while len(batch) < n:
            self._predict()
            while self._due and self._due[0][0] <= self._now_us:
                batch.append(self._pop())
        return batch

    def rest(self, within: timedelta = timedelta(days=10_000)) -> list[Sent]:
        """Everything that is still to arrive, of the next `within` of event time."""
        until_us = self._now_us + int(within.total_seconds() * 1e6)
        return list(self._until(until_us))

    def _until(self, until_us: int) -> Iterator[Sent]:
        while self._due and self._due[0][0] <= until_us:
            yield self._pop()

    def _pop(self) -> Sent:
        due_us, _, sent = heapq.heappop(self._due)
        self._now_us = max(self._now_us, due_us)
        self.truth.sent[sent.is_action] += 1
        return sent

    def _push(self, due_us: int, sent: Sent) -> None:
        heapq.heappush(self._due, (due_us, len(self._due) + self._count * 16, sent))

    def _predict(self) -> None:
        rnd, traits = self._random, self.traits
        self._count += 1
        ts_us = self._now_us = self._now_us + 1_000_000
        prediction_id = f"p-{self._name}-{self._count:07d}-{rnd.getrandbits(32):08x}"
        truth = PredictionTruth(rnd.choice(MODELS), ts_us, round(rnd.random(), 4))
        self.truth.predictions[prediction_id] = truth
        event = {
            "prediction_id": prediction_id,
            "model": truth.model,
            "ts": _rfc3339(ts_us),
            "version": "v1",
            "prediction": truth.score > 0.5,
            "score": truth.score,
            "features": {"a": rnd.random(), "b": rnd.choice("xyz"), "c": None},
            "segments": {"country": rnd.choice(("de", "fr"))},
        }
        sent = Sent(False, prediction_id, msgspec.json.encode(event))
        arrival_us = ts_us
        if rnd.random() < traits.before_prediction:
            arrival_us += int(rnd.uniform(60, 600) * 1e6)
        self._push(arrival_us, sent)
        if rnd.random() < traits.repeated_predictions:
            self._push(arrival_us + int(rnd.uniform(0, HOUR_S) * 1e6), sent)
        if rnd.random() < traits.acted:
            for number in range(rnd.choice((1, 1, 1, 2, 3))):
                self._act(prediction_id, truth, number, arrival_us)
        if rnd.random() < traits.orphaned:
            self._act(f"gone-{prediction_id}", truth, 0, arrival_us)

    def _act(self, prediction_id: str, prediction: PredictionTruth, number: int, arrival_us: int) -> None:
        rnd, traits = self._random, self.traits
        name = rnd.choice(("click", "click", "purchase", "note"))
        delay_s = rnd.expovariate(1 / 600) if name != "purchase" else rnd.expovariate(1 / (2 * HOUR_S))
        if rnd.random() < 0.03:
            delay_s += 8 * 24 * HOUR_S
        if arrival_us > prediction.ts_us:
            delay_s = rnd.uniform(0, (arrival_us - prediction.ts_us) / 1e6)
        ts_us = prediction.ts_us + int(delay_s * 1e6)
        value = {"click": None, "purchase": round(rnd.uniform(1, 99), 2), "note": rnd.random() < 0.5}[name]
        action_id = f"a{number}"
        self.truth.actions[prediction_id, action_id] = ActionTruth(name, ts_us, value)
        event = {"action_id": action_id, "prediction_id": prediction_id, "name": name, "ts": _rfc3339(ts_us)}
        if value is not None:
            event["value"] = value
        due_us = ts_us + int(rnd.uniform(0, traits.shuffled_s) * 1e6)
        if rnd.random() < traits.late:
            due_us += int(traits.late_s * 1e6)
        sent = Sent(True, prediction_id, msgspec.json.encode(event))
        self._push(due_us, sent)
        if rnd.random() < traits.duplicated:
            self._push(due_us + int(rnd.uniform(0, 2 * HOUR_S) * 1e6), sent)


def _micros(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000


def _rfc3339(ts_us: int) -> str:
    seconds, micros = divmod(ts_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"
