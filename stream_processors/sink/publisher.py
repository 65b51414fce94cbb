"""What a flush says to Kafka: feedback, forwarded records, dead letters; on the brokers before the flush is done."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ...infra.settings import Settings
from ...schemas.dead_letters import DeadLetter
from ...schemas.errors import ServiceUnavailable
from ...schemas.feedback import Feedback
from ...schemas.headers import FORWARDED, encode_origin
from ...schemas.signals import Signal
from ..join.output import OutcomeRow
from ..output import Forward

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POLL_S = 0.1


class Publisher:
    """An idempotent producer whose answer is checked at the end of each flush. Not thread-safe."""

    def __init__(self, settings: Settings, *, give_up_after_s: float) -> None:
        self._settings = settings
        self._give_up_after_s = give_up_after_s
        self._failed: list[str] = []
        self._encode = msgspec.json.Encoder().encode
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "enable.idempotence": True,
                # Forwards of a partition are told apart by their order: one must not go missing before a later one.
                "enable.gapless.guarantee": True,
                "acks": "all",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": 50,
                "delivery.timeout.ms": int(give_up_after_s * 1000),
                "message.max.bytes": 16_000_000,
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 262_144,
                "delivery.report.only.error": True,
                "on_delivery": self._on_delivery,
                "log_level": 2,
            }
        )

    def messages(self, rows: Sequence[OutcomeRow]) -> list[tuple[bytes, str]]:
        """Value and key (the model) of the message for each revision of an outcome."""
        return [(self._encode(_feedback_of(row)), row.entry.common.rules.model) for row in rows]

    def feedback(self, messages: Sequence[tuple[bytes, str]]) -> None:
        """Queue messages for topic feedback."""
        topic = self._settings.topics.feedback
        for value, key in messages:
            self._produce(topic, value, key)

    def forwards(self, forwards: Sequence[Forward]) -> None:
        """Queue records for the partition their id belongs to, with where they were read."""
        for forward in forwards:
            record, home, key = forward.misrouted
            kept = [(name, value) for name, value in record.headers if name != FORWARDED]
            origin = encode_origin(forward.topic_id, forward.partition, record.offset)
            self._produce(forward.topic, record.value, key, home, headers=[*kept, (FORWARDED, origin)])

    def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Queue dead letters; key = the record's key."""
        topic = self._settings.topics.dead_letters
        for letter in letters:
            self._produce(topic, self._encode(letter), letter.key)

    def signals(self, signals: Sequence[Signal]) -> None:
        """Queue what detectors found; key = the model."""
        for signal in signals:
            self._produce(self._settings.topics.signals, self._encode(signal), signal.model)

    def flush(self) -> None:
        """Return once everything queued is on the brokers.

        Raises:
            ServiceUnavailable: something was not delivered in time.
        """
        left = self._producer.flush(self._give_up_after_s)
        if left or self._failed:
            detail = self._failed[0] if self._failed else "no answer"
            raise ServiceUnavailable(
                self._settings.kafka_bootstrap,
                f"Kafka: {left + len(self._failed)} messages were not delivered: {detail}",
            )

    def _produce(self, *message: Any, **more: Any) -> None:
        while True:
            try:
                self._producer.produce(*message, **more)
                return
            except BufferError:
                self._producer.poll(_POLL_S)
                if self._failed:
                    self.flush()
            except KafkaException as exc:
                raise ServiceUnavailable(self._settings.kafka_bootstrap, f"Kafka: {message[0]}: {exc}") from exc

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and len(self._failed) < 100:
            self._failed.append(f"{message.topic()}: {error.str()}")


def _feedback_of(row: OutcomeRow) -> Feedback:
    entry = row.entry
    common = entry.common
    acted_us, predicted_us = row.action_ts_us, entry.ts_us
    return Feedback(
        common.rules.model,
        row.outcome,
        row.prediction_id,
        row.status,
        _instant(predicted_us),
        row.label,
        row.label_value,
        row.action_id or "",
        None if acted_us is None else _instant(acted_us),
        None if acted_us is None else (acted_us - predicted_us) / 1000,
        entry.prediction,
        entry.score,
        common.version,
        common.segments,
        common.variants,
        row.revision,
    )


def _instant(ts_us: int) -> datetime:
    return _EPOCH + timedelta(0, 0, ts_us)
