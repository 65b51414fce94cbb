"""Servers that the tests share, and a table for each."""

from collections.abc import Iterator

import pytest

from .server import WRITER, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without tokens; one for this module (and worker): chDB takes a second to open."""
    running = Server(tmp_path_factory.mktemp("open"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With tokens and a body limit of 2 MB; has a table `t` of 3 rows."""
    running = Server(tmp_path_factory.mktemp("guarded"), "--max-body-bytes", "2000000", tokens=True)
    writer = running.client(username="w", password=WRITER)
    writer.command("CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    writer.insert("t", [[1, "x"], [2, "y"], [3, "z"]], column_names=["a", "s"])
    yield running
    running.stop()


@pytest.fixture
def table(server: Server, request: pytest.FixtureRequest) -> str:
    """A fresh table (a Int64, s String, f Float64) that deduplicates."""
    name = f"t_{abs(hash(request.node.nodeid)):x}"
    server.client().command(
        f"CREATE TABLE {name} (a Int64, s String, f Float64) ENGINE = MergeTree ORDER BY a "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    return name
