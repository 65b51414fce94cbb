"""Sends the events of a fault run, and the watermarks at its end."""

from collections.abc import Sequence
from datetime import datetime

from confluent_kafka import KafkaError, Message, Producer
from loopwatch.infra.settings import Settings
from loopwatch.schemas.headers import WATERMARK, encode_watermark

from .stream import Sent


class Sender:
    """An idempotent producer of both input topics. Every record must be delivered."""

    def __init__(self, settings: Settings, partitioner: str = "murmur2_random") -> None:
        self._topics = settings.topics
        self._partitions = settings.partitions
        self.controls = 0
        """Watermark records sent."""
        self._failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "enable.idempotence": True,
                "partitioner": partitioner,
                "linger.ms": 20,
                "delivery.timeout.ms": 180_000,
                "message.max.bytes": 16_000_000,
                "queue.buffering.max.messages": 1_000_000,
                "on_delivery": self._delivered,
                "log_level": 0,
            }
        )

    def send(self, records: Sequence[Sent]) -> None:
        """Queue records, keyed by prediction."""
        for record in records:
            self.raw(record.is_action, record.value, record.key.encode())

    def raw(self, is_action: bool, value: bytes | None, key: bytes | None = None, partition: int = -1) -> None:
        """Queue any record."""
        topic = self._topics.actions if is_action else self._topics.predictions
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
                return
            except BufferError:
                self._producer.poll(0.1)

    def watermark(self, instant: datetime) -> None:
        """Queue an explicit watermark on every partition of both topics."""
        for topic in self._topics.inputs:
            for partition in range(self._partitions):
                headers: list[tuple[str, str | bytes | None]] = [(WATERMARK, encode_watermark(instant))]
                self._producer.produce(topic, b"", partition=partition, headers=headers)
                self.controls += 1

    def flush_some(self) -> None:
        """Serve delivery reports."""
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> None:
        """Wait until everything is on the brokers; RuntimeError if something is not."""
        left = self._producer.flush(timeout_s)
        if left or self._failed:
            raise RuntimeError(f"{left + len(self._failed)} records were not delivered: {self._failed[:1]}")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()}: {error}")
