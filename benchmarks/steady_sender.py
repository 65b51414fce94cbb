"""Events at a steady rate, each with the moment it is handed to the producer as its `ts`."""

import threading
import time
from collections import deque
from datetime import UTC, datetime

from confluent_kafka import KafkaError, Message
from loopwatch.infra.settings import Settings

from .events import Event, EventMaker, new_producer

ACTION_DELAY_S = 2.0
_NAP_S = 0.005


class SteadySender(threading.Thread):
    """Produces `rate` events a second for `seconds`; every third is an action on a prediction of two seconds ago.

    Event n is due at n / rate, and those of some milliseconds go together. A sender that falls behind catches up and
    leaves none out; `worst_lag_s` says how far behind it was, and `ts` is always the moment of sending. `sent` counts
    by kind, `failures` what was not delivered.
    """

    def __init__(self, settings: Settings, rate: int, seconds: float) -> None:
        super().__init__(name="steady-sender", daemon=True)
        self._topics = settings.topics
        self._producer = new_producer(settings.kafka_bootstrap)
        self._rate, self._seconds = rate, seconds
        self.sent = {"predictions": 0, "actions": 0}
        self.failures = 0
        self.worst_lag_s = 0.0

    def run(self) -> None:
        """Send everything, and return once it is delivered."""
        maker = EventMaker()
        awaiting: deque[tuple[float, bytes]] = deque()
        start = time.monotonic()
        for index in range(int(self._rate * self._seconds)):
            due = start + index / self._rate
            while (ahead := due - time.monotonic()) > 0:
                # To wait for each event would keep a core busy, on a machine that is measured.
                self._producer.poll(max(ahead, _NAP_S))
            self.worst_lag_s = max(self.worst_lag_s, -ahead)
            now = datetime.now(UTC)
            if index % 3 == 2 and awaiting and awaiting[0][0] <= due:
                self._send(maker.action(awaiting.popleft()[1], now))
                continue
            prediction = maker.prediction(now)
            self._send(prediction)
            if index % 3 == 0:
                awaiting.append((due + ACTION_DELAY_S, prediction.key))
        self.failures += self._producer.flush(30)

    def _send(self, event: Event) -> None:
        topic = self._topics.actions if event.is_action else self._topics.predictions
        timestamp_ms = int(event.ts.timestamp() * 1000)
        self._producer.produce(topic, event.value, event.key, timestamp=timestamp_ms, on_delivery=self._delivered)
        self.sent["actions" if event.is_action else "predictions"] += 1

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self.failures += error is not None
