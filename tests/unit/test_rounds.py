"""A round joins what memory can tell about at once, and looks the rest up together, in the order it came."""

from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.output import Flush
from loopwatch.stream_processors.partition import Limits, PartitionProcessor
from loopwatch.stream_processors.recovered import Recovered, TopicPosition
from loopwatch.stream_processors.rounds import Round

from ..simulation.events import NOON_US, action, prediction, record
from ..simulation.log import ACTIONS, PREDICTIONS, TOPIC_IDS


def partition_that_knows(*ids: str) -> PartitionProcessor:
    positions = (TopicPosition(topic, TOPIC_IDS[topic]) for topic in (PREDICTIONS, ACTIONS))
    recovered = Recovered(*positions, known_ids=[list(ids)])
    return PartitionProcessor(0, 1, Rules(LoopwatchConfig()), Limits(), recovered)


def test_a_batch_without_unknown_ids_is_joined_as_it_is_added() -> None:
    flush = Flush(1)
    joined = Round(flush, NOON_US)
    joined.add(partition_that_knows(), PREDICTIONS, [record(0, prediction("p"))])
    assert (joined.unknown, len(flush.predictions)) == ([], 1)


def test_what_comes_behind_an_unknown_id_waits_for_the_lookup() -> None:
    flush, partition = Flush(1), partition_that_knows("old")
    joined = Round(flush, NOON_US)
    joined.add(partition, ACTIONS, [record(0, action("old"))])
    joined.add(partition, PREDICTIONS, [record(0, prediction("p"))])
    assert (joined.unknown, len(flush)) == (["old"], 0)
    joined.join({})
    assert (len(flush.output.actions), len(flush.predictions)) == (1, 1)
