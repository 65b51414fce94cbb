"""Services that tests share: each started at most once in a test process (with pytest-xdist: once in each worker)."""

from collections.abc import Iterator

import pytest
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.real_kafka import RealKafka


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator[EmbeddedKafka]:
    """The embedded broker; tests name their own topics and groups."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[RealKafka]:
    """Apache Kafka with one broker; tests name their own topics and groups, and mark themselves `kafka`."""
    with RealKafka() as kafka:
        yield kafka
