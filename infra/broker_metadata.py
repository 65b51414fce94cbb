"""Which brokers a Kafka cluster says it has: how one knows that a broker just started is ready."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient


def known_brokers(bootstrap: str, timeout_s: float = 5.0) -> set[int]:
    """Return the ids of the brokers that the cluster behind `bootstrap` names, none if it doesn't answer in time."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return set(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return set()
