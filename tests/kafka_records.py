"""What tests of brokers do with Kafka: make a topic, send records, read them all back, ask a topic's id."""

import uuid
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .waiting import wait_until

Record = tuple[bytes | None, bytes, list[tuple[str, bytes | None]]]


def create_topic(bootstrap: str, partitions: int = 1, replicas: int = 1, name: str = "") -> str:
    """Make a topic, with a name of its own unless `name` is given, and return its name."""
    topic = NewTopic(name or f"t-{uuid.uuid4().hex[:12]}", partitions, replicas)
    client = admin(bootstrap)
    client.create_topics([topic], operation_timeout=15)[topic.topic].result(20)
    return topic.topic


def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic and wait until the broker says it is done."""
    client = admin(bootstrap)
    client.delete_topics([topic], operation_timeout=15)[topic].result(20)


def topic_id(bootstrap: str, topic: str) -> str:
    """Return the id that the broker gave this life of the topic (Kafka knows a topic a moment after making it)."""
    client = admin(bootstrap)

    def described() -> str:
        try:
            futures = client.describe_topics(TopicCollection([topic]), request_timeout=15)
            return str(futures[topic].result(20).topic_id)
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            return ""

    return wait_until(described, 20, f"the id of {topic}")


def produce(bootstrap: str, topic: str, records: Iterable[Record], **config: object) -> list[int]:
    """Send records to partition 0 with acks=all; return their offsets, or fail if any was not delivered in 30 s."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0, **config})
    offsets: list[int] = []
    failures: list[object] = []

    def delivered(error: object, message: Message) -> None:
        if error is not None:
            failures.append(error)
        else:
            offsets.append(message.offset() or 0)

    for key, value, headers in records:
        producer.produce(topic, value, key, 0, delivered, headers=headers)
    undelivered = producer.flush(30)
    assert (undelivered, failures) == (0, [])
    return offsets


def consume(bootstrap: str, topic: str, count: int, timeout_s: float = 20.0) -> list[Message]:
    """Read partition 0 from its start until `count` records have come."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "log_level": 0})
    messages: list[Message] = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])

        def enough() -> bool:
            batch = consumer.consume(count - len(messages), 0.1)
            assert [message.error() for message in batch if message.error()] == []
            messages.extend(batch)
            return len(messages) >= count

        wait_until(enough, timeout_s, f"{count} records of {topic}")
    finally:
        consumer.close()
    return messages


def consume_all(bootstrap: str, topic: str, timeout_s: float = 20.0) -> list[bytes]:
    """The values of everything that is on a topic now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "log_level": 0})
    values: list[bytes] = []
    try:
        partitions = consumer.list_topics(topic, timeout_s).topics[topic].partitions
        ends = {each: consumer.get_watermark_offsets(TopicPartition(topic, each), timeout_s)[1] for each in partitions}
        consumer.assign([TopicPartition(topic, each, 0) for each in ends])
        left = {each for each, end in ends.items() if end > 0}

        def ended() -> bool:
            for message in consumer.consume(1000, 0.1):
                assert message.error() is None
                values.append(message.value() or b"")
                if (message.offset() or 0) + 1 >= ends[message.partition() or 0]:
                    left.discard(message.partition() or 0)
            return not left

        wait_until(ended, timeout_s, f"everything on {topic}")
    finally:
        consumer.close()
    return values


def admin(bootstrap: str) -> AdminClient:
    """Return an admin client that prints nothing; hold on to it while a result is due (its answers die with it)."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
