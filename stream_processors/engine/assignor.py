"""Gives each worker the same partitions of both input topics.

Without tables Faust falls back to round robin over all partitions, where predictions and actions of one id can end on
different workers and never meet.
"""

from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.types import TP


class CoPartitionedAssignor(RangePartitionAssignor):
    """Kafka's range assignment, topic by topic: with equal partition counts and subscriptions, equal partitions.

    In the shape that Faust expects of its `PartitionAssignor` setting; there are no tables to report of.
    """

    name = "loopwatch-range"

    def __init__(self, app: Any, replicas: int = 0) -> None:
        self.app = app

    def assigned_actives(self) -> set[TP]:
        """Changelog partitions of tables: none."""
        return set()

    def assigned_standbys(self) -> set[TP]:
        """Standby partitions of tables: none."""
        return set()
