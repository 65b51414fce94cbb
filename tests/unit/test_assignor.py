"""Predictions and actions of one partition always go to one worker, however many workers there are."""

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from loopwatch.infra.settings import Settings
from loopwatch.stream_processors.app import faust_app
from loopwatch.stream_processors.engine.assignor import CoPartitionedAssignor

TOPICS = ("loopwatch.actions", "loopwatch.predictions")


class Cluster(ClusterMetadata):
    """A cluster in which each topic has as many partitions as it is told."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._count = partitions

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._count))


@pytest.mark.parametrize("partitions", [1, 4, 7])
@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_each_worker_gets_the_same_partitions_of_both_topics(partitions: int, workers: int) -> None:
    members = {f"worker-{n}": CoPartitionedAssignor.metadata(TOPICS) for n in range(workers)}
    assigned = CoPartitionedAssignor.assign(Cluster(partitions), members)
    seen: list[int] = []
    for assignment in assigned.values():
        of_topic = {topic: list(numbers) for topic, numbers in assignment.assignment}
        assert of_topic.get(TOPICS[0], []) == of_topic.get(TOPICS[1], [])
        seen += of_topic.get(TOPICS[0], [])
    assert sorted(seen) == list(range(partitions))


def test_faust_assigns_with_it_although_there_are_no_tables() -> None:
    async def nothing(_: object) -> dict:
        return {}

    app = faust_app(Settings(), nothing, nothing)  # pyright: ignore[reportArgumentType]
    assert isinstance(app.assignor, CoPartitionedAssignor)
    assert isinstance(app.assignor, AbstractPartitionAssignor)
    # Faust looks at this to choose between its assignor and round robin.
    assert app.conf.table_standby_replicas > 0
