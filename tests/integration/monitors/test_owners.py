"""Each signal once, whoever owns the model, and whatever dies where."""

from typing import Any

import pytest
from loopwatch.schemas.errors import FencedError
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.monitor.monitor import Monitor

from ..monitored import at
from .planted import HOURS, MODEL, PARTITIONS, WATERMARKS_H, Fails, Run, Stored, run, watch


def test_a_monitor_that_is_dropped_after_each_tick_finds_the_same(stored: Stored, through: Run) -> None:
    dropped = run(stored, lambda out: stored.monitor(out.extend), drop_each=True)
    said = {
        name: how for name, how, reached in stored.rows("monitors FINAL", "monitor, rebuilt, reached_us") if reached
    }
    assert len(said) > 3
    assert all("from its state of" in how for how in said.values()), said
    assert dropped.signals == through.signals
    assert dropped.contents == through.contents
    assert dropped.drift == through.drift


def test_a_worker_that_dies_at_any_step_finds_the_same(stored: Stored, through: Run) -> None:
    steps = [
        f"{when} {what}" for what in ("drift", "monitors", "signals", "publishing") for when in ("before", "behind")
    ]
    made: list[Fails] = []

    def make(out: list[Signal]) -> Monitor:
        fails = Fails(stored.inserter(), out, [*steps, *reversed(steps), ""][len(made)])
        made.append(fails)
        return stored.monitor(fails.publish, inserter=fails)  # pyright: ignore[reportArgumentType]

    found = run(stored, make)
    assert [fails.died for fails in made] == [True] * 16 + [False]
    assert found.signals == through.signals
    assert found.contents == through.contents
    assert found.drift == through.drift


def test_who_lost_a_model_lets_nothing_out(stored: Stored, through: Run) -> None:
    stored.begin()
    out: list[list[Signal]] = [[], []]
    stale = stored.monitor(out[0].extend, owner="stale")
    stored.workers.commit(0, 24 * 3600.0)
    stale.tick()
    fresh = stored.monitor(out[1].extend, owner="fresh")
    for hour in WATERMARKS_H[3:]:
        stored.workers.commit(0, hour * 3600.0)
        with pytest.raises(FencedError):
            stale.tick()
        fresh.tick()
        while fresh.is_behind:
            fresh.tick()
    assert {(signal.signal_id, signal.until) for signal in out[1]} == through.contents.keys() - {
        (signal.signal_id, signal.until) for signal in out[0]
    }
    assert all(signal.until <= at(24 * 3600) for signal in out[0])
    assert stored.signals() == through.signals


def test_who_lost_a_model_and_has_it_again_goes_on_from_what_others_found(stored: Stored, through: Run) -> None:
    stored.begin()
    out: list[list[Signal]] = [[], []]
    inserter = stored.inserter("back again")
    back = stored.monitor(out[0].extend, inserter=inserter)
    stored.workers.commit(0, 24 * 3600.0)
    watch(back)
    between = stored.monitor(out[1].extend, owner="between")
    for hour in WATERMARKS_H[3:-2]:
        stored.workers.commit(0, hour * 3600.0)
        watch(between)
    assert out[1]
    for partition in range(PARTITIONS):
        inserter.fence.claim(partition)
    for hour in WATERMARKS_H[-2:]:
        stored.workers.commit(0, hour * 3600.0)
        watch(back)
    said = [how for how, reached in stored.rows("monitors FINAL", "rebuilt, reached_us") if reached]
    assert all("from its state of" in how for how in said), said
    assert {(signal.signal_id, signal.until): signal for signal in (*out[0], *out[1])} == through.contents
    assert stored.signals() == through.signals


def test_a_monitor_of_labels_whose_kind_is_known_later_goes_on_from_its_state(stored: Stored) -> None:
    stored.begin()
    stored.workers.commit(0, 24 * 3600.0)
    watch(stored.monitor(lambda signals: None))
    successor = stored.monitor(lambda signals: None)
    model = successor._models[MODEL]
    known, model.definitions = model.definitions, {}
    watch(successor)
    model.definitions = known
    stored.workers.commit(0, 25 * 3600.0)
    watch(successor)
    said = dict(stored.rows("monitors FINAL", "monitor, rebuilt"))
    assert "from its state of" in said["losses/answer"]


def test_a_model_that_is_lost_in_the_middle_of_a_tick_is_left_alone(stored: Stored) -> None:
    stored.begin()
    out: list[Signal] = []
    inserter = stored.inserter("in the middle")
    monitor = stored.monitor(out.extend, inserter=inserter)
    stored.workers.commit(0, 24 * 3600.0)
    watch(monitor)
    kept = stored.rows("monitors FINAL ORDER BY monitor", "monitor, reached_us")
    stored.workers.commit(0, HOURS * 3600.0)
    for watched in monitor._watched[MODEL].values():

        def advance(until: Any, watch: Any = watched.watch) -> list[Signal]:
            # Somebody else has it, and the next moment we do again.
            for partition in range(PARTITIONS):
                inserter.fence.claim(partition)
            return type(watch).advance(watch, until)

        watched.watch.advance = advance  # pyright: ignore[reportAttributeAccessIssue]
    out.clear()
    assert monitor.tick() == 0
    assert out == []
    assert stored.rows("monitors FINAL ORDER BY monitor", "monitor, reached_us") == kept
