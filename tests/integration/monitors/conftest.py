"""What was planted is stored once, and gone through once, for all tests of monitors in a process."""

from collections.abc import Iterator

import pytest

from .planted import Run, Stored, Stream, run


@pytest.fixture(scope="session")
def stored(clickhouse_url: str) -> Iterator[Stored]:
    stored = Stored(clickhouse_url, Stream())
    yield stored
    stored.clickhouse.close()


@pytest.fixture(scope="session")
def through(stored: Stored) -> Run:
    """One monitor from beginning to end."""
    return run(stored, lambda out: stored.monitor(out.extend))
