"""The soak's load: predictions and actions at a steady rate, some of them twice, too early or too late."""

import heapq
import random
import threading
import time
from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaError, Message
from loopwatch.infra.settings import Settings

from .events import Event, EventMaker, new_producer

ACTED = 0.5
"""Share of predictions with an action; of these and of the predictions:"""
DUPLICATED = 0.02
EARLY = 0.02
"""Actions sent before their prediction."""
LATE = 0.01
"""Actions sent after the window has closed, about a time within it."""
LONGEST_DELAY_S = 20.0
LATE_S = 45.0


class SoakSender(threading.Thread):
    """Sends about `rate` events a second for `seconds`, then what is still due: up to a minute and a half more.

    `sent` counts records by kind, `unique` events, `failures` what was not delivered; `worst_lag_s` says how far behind
    the rate it was. Event times are those at which the events were due.
    """

    def __init__(self, settings: Settings, rate: int, seconds: float, seed: int = 7) -> None:
        super().__init__(name="soak-sender", daemon=True)
        self._topics = settings.topics
        self._broker = settings.kafka_bootstrap
        self._predictions_per_s = rate / ((1 + ACTED) * (1 + DUPLICATED))
        self._seconds = seconds
        self._maker, self._random = EventMaker(seed), random.Random(seed)
        self._due: list[tuple[float, int, Event]] = []
        self._count = 0
        self.sent = {"predictions": 0, "actions": 0}
        self.unique = {"predictions": 0, "actions": 0}
        self.failures = 0
        self.worst_lag_s = 0.0

    def run(self) -> None:
        """Send everything, and return once it is delivered."""
        self._producer = new_producer(self._broker)
        began, start = time.monotonic(), datetime.now(UTC)
        for index in range(int(self._seconds * self._predictions_per_s)):
            at_s = index / self._predictions_per_s
            self._send_due(began, at_s)
            self._predict(at_s, start + timedelta(seconds=at_s))
        self._send_due(began, float("inf"))
        self.failures += self._producer.flush(60)
        # A producer that outlives its broker complains about it.
        del self._producer

    def _predict(self, at_s: float, ts: datetime) -> None:
        """Make a prediction and its action, to be sent at their times."""
        rnd = self._random
        prediction = self._maker.prediction(ts)
        arrival_s = at_s
        if rnd.random() < ACTED:
            delay_s = rnd.uniform(0.5, LONGEST_DELAY_S)
            action_at_s, kind = at_s + delay_s, rnd.random()
            if kind < EARLY:
                # Sooner than the disorder that event times may have.
                delay_s = rnd.uniform(0.5, 2.0)
                action_at_s = at_s + delay_s
                arrival_s = action_at_s + rnd.uniform(0.2, 1.0)
            elif kind < EARLY + LATE:
                action_at_s = at_s + LATE_S + rnd.uniform(0, 5)
            self._plan(action_at_s, self._maker.action(prediction.key, ts + timedelta(seconds=delay_s)))
        self._plan(arrival_s, prediction)

    def _plan(self, at_s: float, event: Event) -> None:
        self.unique["actions" if event.is_action else "predictions"] += 1
        self._push(at_s, event)
        if self._random.random() < DUPLICATED:
            self._push(at_s + self._random.uniform(0, 40), event)

    def _push(self, at_s: float, event: Event) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_s, self._count, event))

    def _send_due(self, began: float, until_s: float) -> None:
        """Send, each at its time, what is due by `until_s`."""
        while self._due and self._due[0][0] <= until_s:
            due_s, _, event = heapq.heappop(self._due)
            while (ahead := began + due_s - time.monotonic()) > 0:
                # librdkafka waits in milliseconds; what is shorter than one is not worth a wait.
                self._producer.poll(ahead if ahead > 0.001 else 0)
            self.worst_lag_s = max(self.worst_lag_s, -ahead)
            self._send(event)

    def _send(self, event: Event) -> None:
        topic = self._topics.actions if event.is_action else self._topics.predictions
        while True:
            try:
                self._producer.produce(topic, event.value, event.key, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)
        self.sent["actions" if event.is_action else "predictions"] += 1

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self.failures += error is not None
