"""One process alerts at a time: who it is, and when another one takes over."""

import uuid

from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.stream_processors.alerts.lease import ALERTING, Lease
from loopwatch.stream_processors.sink.fence import Fence

from ..waiting import wait_until


def _lease(clickhouse: ClickHouse, topic: str, owner: str, lease_s: float = 60.0) -> tuple[Lease, Fence]:
    fence = Fence(clickhouse, topic, owner)
    return Lease(clickhouse, fence, topic, lease_s), fence


def test_the_first_one_has_it_and_keeps_it_from_others(clickhouse: ClickHouse) -> None:
    topic = uuid.uuid4().hex
    (first, fence), (second, _) = _lease(clickhouse, topic, "a"), _lease(clickhouse, topic, "b")
    assert [first.hold(), second.hold(), first.hold(), second.hold()] == [True, False, True, False]
    assert fence.holds(ALERTING)


def test_who_gives_it_up_is_followed_at_once(clickhouse: ClickHouse) -> None:
    topic = uuid.uuid4().hex
    (first, fence), (second, _) = _lease(clickhouse, topic, "a"), _lease(clickhouse, topic, "b")
    assert first.hold()
    second.give_up()
    assert first.hold()
    first.give_up()
    assert not fence.holds(ALERTING)
    assert second.hold()
    assert not first.hold()


def test_a_silent_holder_is_followed_and_knows_when_it_wakes_up(clickhouse: ClickHouse) -> None:
    topic = uuid.uuid4().hex
    (first, fence), (second, _) = (_lease(clickhouse, topic, owner, lease_s=0.3) for owner in "za")
    assert first.hold()
    wait_until(second.hold, 20)
    assert not first.hold()
    assert not fence.holds(ALERTING)


def test_a_holder_that_renews_is_not_followed(clickhouse: ClickHouse) -> None:
    topic = uuid.uuid4().hex
    (first, _), (second, _) = _lease(clickhouse, topic, "a", lease_s=0.0), _lease(clickhouse, topic, "b")
    assert first.hold()
    ((before,),) = clickhouse.rows(f"SELECT max(claimed_at) FROM {clickhouse.database}.fences WHERE _topic = '{topic}'")

    def renewed() -> bool:
        assert first.hold()
        rows = clickhouse.rows(f"SELECT max(claimed_at) FROM {clickhouse.database}.fences WHERE _topic = '{topic}'")
        return rows[0][0] > before

    wait_until(renewed, 20)
    assert not second.hold()


def test_a_holder_asks_nobody_until_it_is_time_to_renew(clickhouse: ClickHouse) -> None:
    topic = uuid.uuid4().hex
    (first, fence), (second, _) = _lease(clickhouse, topic, "a"), _lease(clickhouse, topic, "b")
    assert first.hold()
    assert first.hold()
    clickhouse.command(
        f"INSERT INTO {clickhouse.database}.fences (_topic, partition, epoch, owner, claimed_at) "
        f"VALUES ('{topic}', {ALERTING}, 1000, 'b', now64(3))"
    )
    # Nobody who keeps to the rules takes it so early: what is written is checked all the same.
    assert first.hold()
    assert not fence.holds(ALERTING)
    assert second.hold()
    first.give_up()
    assert not first.hold()
