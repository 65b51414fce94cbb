"""Row (a), the limit: confluent-kafka's batch consume and msgspec's typed decode of both topics, and nothing else.

No group, no offsets kept, no join: what any consumer in one Python process that reads and types these events must do.
`queue_backoff_ms` and `batch` are the quickest that were found. They matter: by default librdkafka stops fetching for
a second whenever it has 100,000 records in hand, which this loop takes in a tenth of that (row (a′) shows it).
"""

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from loopwatch.infra.settings import Settings
from loopwatch.schemas.decode import action_decoder, prediction_decoder

from ..measurement import Counts, Measurement, Stopwatch


def run(settings: Settings, counts: Counts) -> Measurement:
    """Read and decode everything once, as quickly as this library can."""
    return consume_and_decode(settings, counts, batch=1000, queue_backoff_ms=10)


def consume_and_decode(settings: Settings, counts: Counts, *, batch: int, queue_backoff_ms: int) -> Measurement:
    """Read and decode everything once, `batch` records at a time."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": settings.consumer_group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "fetch.queue.backoff.ms": queue_backoff_ms,
        }
    )
    topics = settings.topics
    consumer.assign([TopicPartition(t, p, OFFSET_BEGINNING) for t in topics.inputs for p in range(settings.partitions)])
    decode_predictions, decode_actions = prediction_decoder().decode_batch, action_decoder().decode_batch
    action_topic = topics.actions
    stopwatch, seen, rejected = Stopwatch(), 0, 0
    while seen < counts.events:
        # No more than what is left: for a batch that can no longer fill up, `consume` would wait out its timeout.
        messages = consumer.consume(min(batch, counts.events - seen), timeout=0.5)
        if not messages:
            continue
        stopwatch.start()
        predictions: list[bytes | None] = []
        actions: list[bytes | None] = []
        for message in messages:
            if message.error():
                raise RuntimeError(f"row (a): the broker says {message.error()}")
            (actions if message.topic() == action_topic else predictions).append(message.value())
        rejected += len(decode_predictions(predictions).rejected) + len(decode_actions(actions).rejected)
        seen += len(messages)
    measurement = stopwatch.stop(seen)
    consumer.close()
    if rejected:
        raise RuntimeError(f"row (a): {rejected} of {seen} events were not valid")
    return measurement
