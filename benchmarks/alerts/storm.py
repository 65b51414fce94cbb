"""Alerts fire and resolve by the hundred while the process that alerts is killed again and again.

A table says which of many conditions hold, a rule in SQL reads it, and a receiver that takes each id once hears of
them. The conditions change all the time; at the end none holds. Then no alert may fire any more, and whoever was told
that one fires must have been told that it is resolved.
"""

import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from loopwatch.infra.child_process import ChildProcess
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from msgspec import Struct

from ..clickhouse_process import clickhouse_process
from .recorder import Recorder, new_secret

_CONDITIONS = 200
_CHANGED_AT_ONCE = 20
_LEASE_S = 1.0
_SETTLE_S = 120.0
_CONFIG = """
alerting:
  rules:
    Storm:
      sql: "SELECT condition, toFloat64(value) AS value FROM storm FINAL WHERE value > 0"
      above: 0
      keep_firing_for: 0s
      severity: critical
  receivers:
    recorder: {{url: "{url}", secret_env: STORM_SECRET, networks: [127.0.0.0/8], per_minute: 100000}}
  route:
    receiver: recorder
    group_by: [alertname, condition]
    group_wait: 0s
    group_interval: 1s
    repeat_interval: 4h
"""


class Storm(Struct, frozen=True):
    """How it ended. `stuck` and `missed` shall be 0."""

    kills: int
    changes: int
    told_firing: int
    told_resolved: int
    stuck: int
    """Alerts that fire when no condition holds."""
    missed: int
    """Alerts that the receiver believes to fire."""
    again: int
    """Requests with an id that was there before: what an honest receiver drops."""
    seconds: float


def run(kills: int, seed: int = 7) -> Storm:
    """Kill it `kills` times."""
    began, rng = time.monotonic(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="loopwatch-storm-", ignore_cleanup_errors=True) as directory:
        path, secret = Path(directory), new_secret()
        with clickhouse_process(path) as server, Recorder(secret) as recorder:
            settings = Settings(clickhouse_url=server.url)
            clickhouse = ClickHouse(settings)
            apply_tables(clickhouse, settings)
            clickhouse.command(
                f"CREATE TABLE {clickhouse.database}.storm (condition String, value UInt8, version UInt64) "
                "ENGINE = ReplacingMergeTree(version) ORDER BY condition"
            )
            config = path / "loopwatch.yaml"
            config.write_text(_CONFIG.format(url=recorder.url), encoding="utf-8")
            world = _World(clickhouse, rng)
            for kill in range(kills):
                with _alerter(path, settings, config, secret, kill):
                    _watch_until_told(recorder, world, rng)
            with _alerter(path, settings, config, secret, kills):
                world.calm()
                stuck, missed = _settle(clickhouse, recorder)
            heard = recorder.heard
            clickhouse.close()
            return Storm(
                kills, world.changes, sum(each.status == "firing" for each in heard),
                sum(each.status == "resolved" for each in heard), stuck, missed, recorder.again,
                time.monotonic() - began,
            )  # fmt: skip


class _World:
    """The conditions. One that holds again is another one: what keeps coming back would be damped."""

    def __init__(self, clickhouse: ClickHouse, rng: random.Random) -> None:
        self._clickhouse = clickhouse
        self._rng = rng
        self._holds = [""] * _CONDITIONS
        self._version = 0
        self.changes = 0

    def change(self) -> None:
        """Some of them."""
        self._write(self._rng.sample(range(_CONDITIONS), _CHANGED_AT_ONCE))

    def calm(self) -> None:
        """None holds any more."""
        self._write([place for place, name in enumerate(self._holds) if name])

    def _write(self, places: list[int]) -> None:
        self._version += 1
        rows: list[str] = []
        for place in places:
            name, holds = self._holds[place], not self._holds[place]
            name = name or f"c{place}-{self._version}"
            self._holds[place] = name if holds else ""
            rows.append(f"('{name}', {int(holds)}, {self._version})")
        self.changes += len(rows)
        if rows:
            self._clickhouse.command(f"INSERT INTO {self._clickhouse.database}.storm VALUES {', '.join(rows)}")


@contextlib.contextmanager
def _alerter(path: Path, settings: Settings, config: Path, secret: str, number: int) -> Iterator[ChildProcess]:
    """The process that alerts; killed at the end of the block."""
    environment = dict(os.environ) | settings.environment()
    environment |= {
        "LOOPWATCH_CONFIG": str(config), "STORM_SECRET": secret, "LOOPWATCH_ALERT_EVERY_S": "0.2",
        "LOOPWATCH_ALERT_LEASE_S": str(_LEASE_S),
    }  # fmt: skip
    command = [sys.executable, "-m", "loopwatch.console", "alerter"]
    process = ChildProcess(command, name="alerter", log_file=path / f"alerter-{number}.log", env=environment)
    process.start()
    try:
        yield process
    finally:
        process.kill()


def _watch_until_told(recorder: Recorder, world: _World, rng: random.Random) -> None:
    """Change the world until something is heard, and for a random moment more."""
    before, deadline = len(recorder.heard), time.monotonic() + _SETTLE_S
    while len(recorder.heard) == before:
        if time.monotonic() > deadline:
            raise RuntimeError("an alerter that was started told nothing for two minutes")
        world.change()
        time.sleep(0.2)
    until = time.monotonic() + rng.uniform(0, 2)
    while time.monotonic() < until:
        world.change()
        time.sleep(min(0.2, max(0.0, until - time.monotonic())))


def _settle(clickhouse: ClickHouse, recorder: Recorder) -> tuple[int, int]:
    """Alerts that are stuck, and those missed, once there are none or time is up."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        ((stuck,),) = clickhouse.rows(
            f"SELECT count() FROM {clickhouse.database}.alerts_current WHERE state != 'resolved' AND rule = 'Storm'"
        )
        missed = sum(each.status == "firing" for each in recorder.last().values())
        if not (stuck or missed) or time.monotonic() > deadline:
            return stuck, missed
        time.sleep(0.5)
