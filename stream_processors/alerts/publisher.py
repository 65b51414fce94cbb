"""Alerts on their way to the compacted topic ``loopwatch.alerts``: the last record of a key is the alert as it is."""

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ...infra.logs import logger
from ...infra.settings import Settings
from ...schemas.alerts import Alert

log = logger(__name__)

MOST_WAITING = 100_000
_SAID_EVERY = 100


class AlertPublisher:
    """Hands alerts to a producer of its own and never waits for Kafka: whoever is on call is told without it.

    What Kafka doesn't take is kept, the latest revision of each alert, and sent with later ones. Not thread-safe.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.alerts
        self._encode = msgspec.json.Encoder().encode
        self._waiting: dict[str, Alert] = {}
        self._sent: dict[str, Alert] = {}
        self._failures = 0
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "delivery.timeout.ms": 30_000,
                "on_delivery": self._on_delivery,
                "log_level": 2,
            }
        )

    def publish(self, alerts: list[Alert]) -> None:
        """Send what changed, and what could not be sent before. Beyond `MOST_WAITING` the oldest are given up."""
        self._waiting |= {alert.fingerprint: alert for alert in alerts}
        for fingerprint in list(self._waiting)[: max(0, len(self._waiting) - MOST_WAITING)]:
            del self._waiting[fingerprint]
        for fingerprint, alert in list(self._waiting.items()):
            # One revision of an alert at a time: a retry must not come behind a later one.
            if fingerprint in self._sent:
                continue
            try:
                self._producer.produce(self._topic, self._encode(alert), fingerprint)
            except (BufferError, KafkaException):
                break
            self._sent[fingerprint] = self._waiting.pop(fingerprint)
        self._producer.poll(0)

    def close(self, timeout_s: float) -> int:
        """Wait for the brokers at most so long; returns how many alerts they did not take."""
        self._producer.flush(timeout_s)
        return len(self._waiting) + len(self._sent)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        key = message.key()
        fingerprint = key.decode() if isinstance(key, bytes) else str(key)
        alert = self._sent.pop(fingerprint, None)
        if error is None or alert is None:
            return
        self._waiting.setdefault(fingerprint, alert)
        self._failures += 1
        if self._failures % _SAID_EVERY == 1:
            log.warning("alerts don't reach Kafka, to be sent again", error=error.str(), waiting=len(self._waiting))
