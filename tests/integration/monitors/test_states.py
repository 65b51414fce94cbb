"""States that are damaged, or too large, stop nobody."""

from typing import Any

import msgspec
import numpy as np
import pytest
from loopwatch.infra import metrics
from loopwatch.infra.clickhouse import quote
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.monitor import states

from .planted import HOURS, Run, Stored, run


@pytest.mark.parametrize(
    "damage", ['{"state":', "{}", '{"state":{}}', '{"state":[]}', '{"state":{"watched":1},"unpublished":[{}]}']
)
def test_a_state_that_cant_be_read_is_made_anew_and_says_so(stored: Stored, through: Run, damage: str) -> None:
    stored.begin()
    out: list[Signal] = []
    stored.workers.commit(0, 33 * 3600.0)
    before = stored.monitor(out.extend)
    before.tick()
    names = {row[0] for row in stored.rows("monitors FINAL", "monitor")}
    stored.clickhouse.command(
        f"INSERT INTO {stored.clickhouse.database}.monitors SELECT model, monitor, reached_us, {quote(damage)}, '', "
        f"_written_at + 1 FROM {stored.clickhouse.database}.monitors FINAL"
    )
    stored.workers.commit(0, HOURS * 3600.0)
    after = stored.monitor(out.extend)
    after.tick()
    while after.is_behind:
        after.tick()
    said = dict(stored.rows("monitors FINAL", "monitor, rebuilt"))
    assert said.keys() == names
    assert all("can't be read" in how for how in said.values())
    assert {row[0] for row in stored.signals()} == {row[0] for row in through.signals}


def test_a_state_that_is_damaged_anywhere_stops_nobody(stored: Stored, through: Run) -> None:
    stored.begin()
    out: list[Signal] = []
    stored.workers.commit(0, 33 * 3600.0)
    stored.monitor(out.extend).tick()
    kept = stored.rows("monitors FINAL", "monitor, state")
    errors = metrics.REGISTRY.get_sample_value("loopwatch_monitor_errors_total")
    rng = np.random.default_rng(1)
    for _ in range(12):
        for name, text in kept:
            document = msgspec.json.decode(text)
            damaged = msgspec.json.encode({"state": damage(document["state"], rng)}).decode()
            # Behind what the tick before wrote, by the clock of the monitor.
            stored.clickhouse.command(
                f"INSERT INTO {stored.clickhouse.database}.monitors SELECT model, monitor, 0, {quote(damaged)}, '', "
                f"_written_at + 1 FROM {stored.clickhouse.database}.monitors FINAL WHERE monitor = {quote(name)}"
            )
            assert stored.rows(f"monitors FINAL WHERE monitor = {quote(name)}", "state") == [(damaged,)]
        stored.monitor(out.extend).tick()
    assert metrics.REGISTRY.get_sample_value("loopwatch_monitor_errors_total") == errors


def damage(value: Any, rng: np.random.Generator) -> Any:
    """The same with one thing in it replaced by something else."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[int(rng.integers(len(value)))]
        return {**value, key: damage(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at_ = int(rng.integers(len(value)))
        return [*value[:at_], damage(value[at_], rng), *value[at_ + 1 :]]
    return [None, "x", -1, 1e300, [], {}, 10**18][int(rng.integers(7))]


def test_a_state_that_is_too_large_is_not_kept(stored: Stored, through: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "LARGEST", 2000)
    found = run(stored, lambda out: stored.monitor(out.extend))
    kept = stored.rows("monitors", "length(state)")
    assert all(length <= 2000 for (length,) in kept)
    assert found.signals == through.signals


def test_states_are_small(stored: Stored) -> None:
    stored.begin()
    stored.workers.commit(0, HOURS * 3600.0)
    monitor = stored.monitor(lambda _: None)
    monitor.tick()
    sizes = dict(stored.rows("monitors FINAL", "monitor, length(state)"))
    assert max(sizes.values()) < 300_000, sizes
