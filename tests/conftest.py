"""Services that tests share: each started at most once in a test process (with pytest-xdist: once in each worker)."""

import sys
from collections.abc import Iterator

import hypothesis
import pytest
from loopwatch.infra.child_process import ChildProcess, accepts_connections, free_port
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.real_kafka import RealKafka

from .databases import new_database

# Others use the machine too. All else is as it was: in CI the same cases each time, and none kept.
hypothesis.settings.register_profile(
    "loopwatch", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("loopwatch")


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


@pytest.fixture(scope="session")
def clickhouse_url() -> Iterator[str]:
    """The address of an embedded ClickHouse; tests name their own databases."""
    port = free_port()
    command = [sys.executable, "-m", "loopwatch.infra.embedded_clickhouse", "--port", str(port)]
    with ChildProcess(command, name="embedded ClickHouse") as child:
        child.wait_until(lambda: accepts_connections(port), 60)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def clickhouse(clickhouse_url: str) -> Iterator[ClickHouse]:
    """A connection to a database of the module's own, with all tables and no rows."""
    with new_database(clickhouse_url) as connection:
        yield connection
