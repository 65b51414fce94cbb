"""Accidents of workers, one by one, on the simulated services: nothing is lost, doubled or left unsaid."""

from datetime import timedelta

import msgspec
import pytest
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.headers import WATERMARK, encode_watermark
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.schemas.partitioner import partition_of
from loopwatch.stream_processors.join.rules import Rules, micros
from loopwatch.stream_processors.partition import Limits

from ..simulation.events import NOON, action, prediction, us
from ..simulation.log import ACTIONS, PREDICTIONS, TOPICS, Log
from ..simulation.store import FeedbackRow, Store, latest
from ..simulation.worker import Cluster

ROWS_STORED = 5
"""Parts of a flush up to the feedback in ClickHouse: then come the feedback topic and the ledger."""
ALL = 1 << 30


class Scene:
    """Workers on one log; models are not configured, so any action within 24 hours counts."""

    def __init__(self, partitions: int = 1, workers: int = 1, flush_rows: int = 1000) -> None:
        self.log = Log(partitions)
        self.store = Store(self.log, micros(timedelta(days=1)))
        rules = Rules(LoopwatchConfig())
        self.cluster = Cluster(workers, self.store, self.log, rules, Limits(), us(10**9), flush_rows)

    def send(self, *events: Prediction | Action, beside: int = 0) -> None:
        for event in events:
            topic = PREDICTIONS if isinstance(event, Prediction) else ACTIONS
            home = partition_of(event.prediction_id, self.log.partitions)
            self.log.append(topic, (home + beside) % self.log.partitions, msgspec.json.encode(event))

    def close(self, *topics: str) -> None:
        """End the history with explicit watermarks, days behind everything."""
        for topic in topics or TOPICS:
            for partition in range(self.log.partitions):
                headers = ((WATERMARK, encode_watermark(NOON + timedelta(days=9))),)
                self.log.append(topic, partition, None, None, headers)

    def read(self, *topics: str, worker: int = 0) -> None:
        """A worker joins everything that it can read, the topics in this order."""
        for topic in topics or TOPICS:
            for partition in sorted(self.cluster.worker(worker).partitions):
                self.cluster.worker(worker).read((topic, partition, ALL))

    def feedback(self, prediction_id: str) -> FeedbackRow:
        ((key, rows),) = [item for item in self.store.feedback.items() if item[0][2] == prediction_id]
        current = latest([row for row, _ in rows])
        assert latest(self.store.published[key]) == current
        return current

    def check_nothing_is_doubled(self) -> None:
        assert all(len(rows) == 1 for rows in (*self.store.predictions.values(), *self.store.actions.values()))
        counted = sum(
            n
            for block in self.store.ledger
            for (_, _, event_class), n in block.counts.items()
            if event_class == "received"
        )
        duplicates = sum(
            n
            for block in self.store.ledger
            for (_, _, event_class), n in block.counts.items()
            if event_class == "duplicate"
        )
        assert counted - duplicates == len(self.store.predictions) + len(self.store.actions)


@pytest.mark.parametrize("parts", range(9))
def test_a_kill_after_any_part_of_a_flush_changes_nothing_in_the_end(parts: int) -> None:
    scene = Scene()
    scene.send(prediction("p"), action("p", "a", 5), action("q", "b", 5), prediction("q"), prediction("silent"))
    scene.read()
    scene.cluster.tear(0, parts)
    scene.close()
    scene.cluster.finish()
    assert [scene.feedback(each).status for each in ("p", "q", "silent")] == ["matched", "matched", "expired"]
    scene.check_nothing_is_doubled()


@pytest.mark.parametrize("parts", range(9))
def test_a_kill_after_any_part_of_the_last_flush_leaves_no_window_open(parts: int) -> None:
    scene = Scene()
    scene.send(prediction("p"), prediction("late-answer"))
    scene.close()
    scene.read()
    scene.cluster.tear(0, parts)
    scene.cluster.finish()
    scene.send(action("late-answer", "a", 5))
    scene.cluster.finish()
    assert scene.feedback("p").status == "expired"
    assert scene.feedback("late-answer").n_actions == 1
    scene.check_nothing_is_doubled()


def test_a_timeout_that_was_stored_and_not_published_is_published_after_the_kill() -> None:
    scene = Scene()
    scene.send(prediction("p"))
    scene.read()
    scene.cluster.flush(0)
    scene.close()
    scene.read()
    scene.cluster.tear(0, ROWS_STORED)
    assert not scene.store.published
    scene.cluster.finish()
    assert scene.feedback("p").status == "expired"


def test_a_kill_between_a_jump_of_the_watermark_and_the_sweep_leaves_no_window_open() -> None:
    scene = Scene()
    scene.send(prediction("p"))
    scene.read()
    scene.cluster.flush(0)
    scene.cluster.crash(0)
    scene.close()
    scene.read()
    scene.cluster.flush(0)
    scene.cluster.crash(0)
    scene.cluster.finish()
    assert scene.feedback("p").status == "expired"


def test_explicit_watermarks_survive_kills_between_them() -> None:
    scene = Scene()
    scene.send(prediction("p"), action("p", "too-late", 100_000))
    scene.close()
    for topic in TOPICS:
        scene.read(topic)
        scene.cluster.flush(0)
        scene.cluster.crash(0)
    scene.cluster.finish()
    scene.cluster.idle()
    assert scene.feedback("p").status == "expired"


def test_a_kill_between_two_batches_that_were_looked_up_together_loses_neither() -> None:
    scene = Scene(flush_rows=1)
    scene.send(prediction("p"), action("p", "a", 5))
    worker = scene.cluster.worker(0)
    worker.read((PREDICTIONS, 0, 1), (ACTIONS, 0, 1))
    scene.cluster.write(0, ALL)
    scene.cluster.crash(0)
    scene.cluster.finish()
    assert scene.feedback("p").status == "matched"
    scene.check_nothing_is_doubled()


def test_a_worker_that_slept_through_losing_a_partition_stores_nothing_any_more() -> None:
    scene = Scene(workers=2)
    scene.send(prediction("p"), action("p", "a", 5))
    scene.read(worker=0)
    scene.cluster.steal(0, 1)
    scene.read(worker=1)
    scene.cluster.flush(1)
    assert scene.cluster.worker(0).partitions
    scene.cluster.flush(0)
    assert not scene.cluster.worker(0).partitions
    scene.close()
    scene.cluster.finish()
    assert scene.feedback("p").status == "matched"
    scene.check_nothing_is_doubled()


@pytest.mark.parametrize("parts", range(9))
def test_a_misrouted_event_is_joined_once_however_often_it_is_forwarded(parts: int) -> None:
    scene = Scene(partitions=2)
    scene.send(prediction("p"))
    scene.send(action("p", "a", 5), action("p", "b", 6), beside=1)
    scene.read()
    scene.cluster.tear(0, parts)
    scene.cluster.finish()
    assert scene.feedback("p").n_actions == 2
    scene.check_nothing_is_doubled()


def test_a_rebalance_in_the_middle_of_a_flush_loses_nothing() -> None:
    scene = Scene(partitions=2, workers=2)
    scene.send(prediction("p"), prediction("q"), action("p", "a", 5))
    scene.read(worker=0)
    scene.cluster.rebalance(1)
    scene.read(worker=1)
    scene.cluster.worker(1).seal()
    scene.cluster.rebalance(0)
    scene.close()
    scene.cluster.finish()
    assert [scene.feedback(each).status for each in ("p", "q")] == ["matched", "expired"]
    scene.check_nothing_is_doubled()


def test_a_worker_keeps_what_it_knows_when_a_rebalance_gives_it_the_same_partitions() -> None:
    scene = Scene()
    scene.send(prediction("p"))
    scene.read()
    scene.cluster.flush(0)
    before = scene.cluster.worker(0).partitions[0]
    scene.cluster.rebalance(0)
    assert scene.cluster.worker(0).partitions[0] is before
