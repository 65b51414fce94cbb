"""Topics of Kafka: created when missing, checked when there, and the identity of each one's present life."""

import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic
from msgspec import Struct

from ..schemas.errors import ServiceUnavailable, SettingsError
from .settings import Settings
from .wrapped_errors import reason_in

_TIMEOUT_S = 30.0
_SETTLE_S = 5.0
_POLL_S = 0.2


class TopicInfo(Struct, frozen=True):
    """A topic as it is on the broker. `topic_id` changes when the topic is deleted and made again."""

    name: str
    topic_id: str
    partitions: int
    replication_factor: int


def admin(settings: Settings) -> AdminClient:
    """confluent-kafka's admin client for the settings' brokers."""
    return AdminClient({"bootstrap.servers": settings.kafka_bootstrap, "log_level": 2, "socket.timeout.ms": 15_000})


def apply_topics(settings: Settings, client: AdminClient | None = None) -> list[str]:
    """Create the topics that are missing; returns their names. The two input topics get the same partition count.

    Raises:
        SettingsError: the input topics exist with different partition counts.
        ServiceUnavailable: no broker answers.
    """
    client = client or admin(settings)
    existing = _cluster_topics(client, settings)
    topics = settings.topics
    present = {name for name in topics.inputs if name in existing}
    partitions = len(existing[min(present)].partitions) if present else settings.partitions
    missing = [name for name in topics.all if name not in existing]
    wanted = [
        NewTopic(
            name,
            num_partitions=partitions if name in topics.inputs else settings.partitions,
            replication_factor=settings.replication_factor,
            config={"cleanup.policy": "compact"} if name == topics.alerts else {},
        )
        for name in missing
    ]
    if wanted:
        for name, future in client.create_topics(wanted, request_timeout=_TIMEOUT_S).items():
            try:
                future.result()
            except KafkaException as exc:
                # Another worker was quicker.
                if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    said = f"Kafka: topic {name} was not created: {reason_in(str(exc))}"
                    raise ServiceUnavailable(settings.kafka_bootstrap, said) from exc
    _wait_until_known(settings, client)
    return missing


def input_topics(settings: Settings, client: AdminClient | None = None) -> tuple[TopicInfo, TopicInfo]:
    """The two input topics, as they are now.

    Raises:
        SettingsError: one is missing, or their partition counts differ.
        ServiceUnavailable: no broker answers.
    """
    predictions, actions = describe(settings, settings.topics.inputs, client)
    if predictions.partitions != actions.partitions:
        raise SettingsError(
            f"{predictions.name} has {predictions.partitions} partitions and {actions.name} has {actions.partitions}: "
            "they must have the same number, or a prediction and its actions never meet. Add some to the smaller one"
        )
    return predictions, actions


def _wait_until_known(settings: Settings, client: AdminClient) -> None:
    """A broker may not know a topic yet that another one just made."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        try:
            input_topics(settings, client)
            return
        except SettingsError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


def present_topics(settings: Settings, client: AdminClient | None = None) -> dict[str, TopicInfo]:
    """Those of our topics that exist, by name. Makes none, whatever the broker does with names it doesn't know.

    Raises:
        ServiceUnavailable: no broker answers.
    """
    client = client or admin(settings)
    existing = _cluster_topics(client, settings)
    names = [name for name in settings.topics.all if name in existing]
    return {topic.name: topic for topic in describe(settings, names, client)} if names else {}


def describe(settings: Settings, names: Sequence[str], client: AdminClient | None = None) -> list[TopicInfo]:
    """Topics by name, in order.

    Raises:
        SettingsError: one does not exist.
        ServiceUnavailable: no broker answers.
    """
    client = client or admin(settings)
    try:
        described = client.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT_S)
    except KafkaException as exc:
        raise ServiceUnavailable(settings.kafka_bootstrap, f"Kafka: {reason_in(str(exc))}") from exc
    found: list[TopicInfo] = []
    for name in names:
        try:
            topic: Any = described[name].result()
        except KafkaException as exc:
            if exc.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise SettingsError(
                    f"topic {name} does not exist on {settings.kafka_bootstrap}: run `loopwatch topics apply`"
                ) from exc
            raise ServiceUnavailable(settings.kafka_bootstrap, f"Kafka: topic {name}: {reason_in(str(exc))}") from exc
        replicas = min((len(partition.replicas) for partition in topic.partitions), default=0)
        found.append(TopicInfo(name, str(topic.topic_id), len(topic.partitions), replicas))
    return found


def _cluster_topics(client: AdminClient, settings: Settings) -> dict[str, Any]:
    try:
        return client.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as exc:
        raise ServiceUnavailable(settings.kafka_bootstrap, f"Kafka: {reason_in(str(exc))}") from exc
