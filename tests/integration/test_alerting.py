"""From a condition that holds to a webhook that says so: with ClickHouse, a receiver, and processes that die."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loopwatch.infra.child_process import ChildProcess
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.producers import WebhookVerifier

from ..databases import new_database
from ..waiting import wait_until
from ..webhook_receiver import WebhookReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def clickhouse(clickhouse_url: str) -> Iterator[ClickHouse]:
    """A database for each test: alerts are of all that is in one."""
    with new_database(clickhouse_url) as connection:
        yield connection


class World:
    """Conditions in a table, a rule that reads it, a receiver that hears, and commands."""

    def __init__(self, clickhouse: ClickHouse, hook: WebhookReceiver, directory: Path, **route: Any) -> None:
        self.clickhouse = clickhouse
        self.hook = hook
        self.table = f"{clickhouse.database}.holds_{uuid.uuid4().hex[:8]}"
        clickhouse.command(
            f"CREATE TABLE {self.table} (model String, value Float64, version UInt64) "
            "ENGINE = ReplacingMergeTree(version) ORDER BY model"
        )
        self._version = 0
        self.topic = f"{uuid.uuid4().hex[:8]}."
        config = {
            "alerting": {
                "rules": {
                    "Holds": {
                        "sql": f"SELECT model, value FROM {self.table} FINAL", "above": 0, "keep_firing_for": "0s",
                        "severity": "critical",
                    },
                    "Broken": {"sql": "SELECT nonsense FROM nowhere"},
                },
                "receivers": {"hook": {"url": hook.url, "secret_env": "HOOK_SECRET", "networks": ["127.0.0.0/8"]}},
                "route": {"receiver": "hook", "group_by": ["alertname", "model"], "group_wait": "0s",
                          "group_interval": "1s", **route},
            }
        }  # fmt: skip
        self._config = directory / "loopwatch.yaml"
        self._config.write_text(json.dumps(config), encoding="utf-8")
        self._directory = directory
        self.environment = os.environ | {
            "LOOPWATCH_CLICKHOUSE_URL": clickhouse.address, "LOOPWATCH_CLICKHOUSE_DATABASE": clickhouse.database,
            "LOOPWATCH_TOPIC_PREFIX": self.topic, "LOOPWATCH_KAFKA_BOOTSTRAP": "127.0.0.1:1", "HOOK_SECRET": SECRET,
            "LOOPWATCH_CONFIG": str(self._config), "LOOPWATCH_ALERT_EVERY_S": "0.1", "LOOPWATCH_ALERT_LEASE_S": "1.5",
        }  # fmt: skip

    def set(self, **values: float) -> None:
        self._version += 1
        rows = ", ".join(f"('{model}', {value}, {self._version})" for model, value in values.items())
        self.clickhouse.command(f"INSERT INTO {self.table} VALUES {rows}")

    @contextmanager
    def alerter(self) -> Iterator[ChildProcess]:
        """Kafka is away all the time: alerting doesn't need it."""
        log = self._directory / f"alerter-{uuid.uuid4().hex[:6]}.log"
        command = [sys.executable, "-m", "loopwatch.console", "alerter"]
        process = ChildProcess(command, name="alerter", log_file=log, env=self.environment)
        process.start()
        try:
            yield process
        finally:
            process.kill()

    def loopwatch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "loopwatch.console", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)

    def heard(self, model: str) -> list[str]:
        """What was heard of a model's alert, by messages told apart by their ids."""
        seen: dict[str, str] = {}
        for request in self.hook.requests:
            id_ = WebhookVerifier(SECRET, tolerance_s=1e9).verify(request.body, request.headers)
            for alert in json.loads(request.body)["alerts"]:
                if alert["labels"].get("model") == model and alert["labels"]["alertname"] == "Holds":
                    seen.setdefault(id_, alert["status"])
        return list(seen.values())

    def until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, 60, what, poll_s=0.1)


@pytest.mark.timeout(240)
def test_an_alert_is_told_survives_its_process_and_is_told_to_be_over(clickhouse: ClickHouse, tmp_path: Path) -> None:
    with WebhookReceiver() as hook:
        world = World(clickhouse, hook, tmp_path)
        world.set(fraud=1)
        with world.alerter():
            world.until(lambda: world.heard("fraud") == ["firing"], "the alert")
            body = json.loads(hook.requests[0].body)
            assert body["alerts"][0]["labels"]["severity"] == "critical"
            world.until(lambda: "RuleFailing" in world.loopwatch("alerts").stdout, "the broken rule")
        with world.alerter():
            world.set(fraud=0, ctr=1)
            world.until(lambda: world.heard("fraud") == ["firing", "resolved"], "the end")
            world.until(lambda: world.heard("ctr") == ["firing"], "the second alert")
            # The one that stands by takes over when the other is killed.
            with world.alerter() as second:
                assert second.running
        with world.alerter():
            world.set(ctr=0)
            world.until(lambda: world.heard("ctr") == ["firing", "resolved"], "the second end")
        assert world.heard("fraud") == ["firing", "resolved"]
        states = clickhouse.rows(
            f"SELECT state, count() FROM {clickhouse.database}.alerts_current WHERE rule = 'Holds' GROUP BY state"
        )
        assert dict(map(tuple, states)) == {"resolved": 2}
        tries = clickhouse.rows(f"SELECT DISTINCT result FROM {clickhouse.database}.alert_deliveries")
        assert list(map(tuple, tries)) == [("delivered",)]


@pytest.mark.timeout(240)
def test_people_look_acknowledge_and_silence(clickhouse: ClickHouse, tmp_path: Path) -> None:
    with WebhookReceiver() as hook:
        world = World(clickhouse, hook, tmp_path, repeat_interval="1s")
        world.set(churn=7, noise=1)
        silenced = world.loopwatch("silence", 'model="noise"', "--for", "1h", "--reason", "known", "--author", "ann")
        assert silenced.returncode == 0, silenced.stderr
        with world.alerter():
            world.until(lambda: len(world.heard("churn")) >= 3, "repeats")
            listed = json.loads(world.loopwatch("alerts", "--model", "churn", "--format", "json").stdout)
            (alert,) = [each for each in listed if each["rule"] == "Holds"]
            assert (alert["state"], alert["details"]["value"]) == ("firing", 7.0)
            assert "silenced by ann" in world.loopwatch("alerts", "--model", "noise").stdout
            acknowledged = world.loopwatch("ack", alert["fingerprint"][:10], "-m", "on it", "--author", "ann")
            assert acknowledged.returncode == 0, acknowledged.stderr
            assert "acknowledged by ann" in world.loopwatch("alerts").stdout
            shown = world.loopwatch("alerts", alert["fingerprint"][:10]).stdout
            assert "Holds of model churn is 7" in shown
            assert "hook" in shown

            def quiet() -> bool:
                before = len(world.heard("churn"))
                # Another group goes on being told meanwhile: turns pass.
                done = len(world.heard("loud"))
                world.set(loud=1)
                world.until(lambda: len(world.heard("loud")) >= done + 3, "another group")
                return len(world.heard("churn")) == before

            world.until(quiet, "no repeats of what is acknowledged")
            assert world.heard("noise") == []
            (silence,) = json.loads(world.loopwatch("silence", "--format", "json").stdout)
            assert world.loopwatch("silence", "--end", silence["id"]).returncode == 0
            world.until(lambda: world.heard("noise"), "what was silenced")
            world.set(churn=0)
            world.until(lambda: world.heard("churn")[-1] == "resolved", "the end of what was acknowledged")
        changes = world.loopwatch("history", "--model", "churn").stdout
        assert "found" in changes
        assert "over" in changes
        assert world.loopwatch("ack", alert["fingerprint"][:10]).returncode == 1
        assert "there is no such alert" in world.loopwatch("alerts", "ffff0000").stderr


@pytest.mark.timeout(120)
def test_a_receiver_is_tried_and_what_it_did_not_take_is_sent_again(clickhouse: ClickHouse, tmp_path: Path) -> None:
    answers = {"status": 410}
    with WebhookReceiver(lambda *_: answers["status"]) as hook:
        world = World(clickhouse, hook, tmp_path)
        refused = world.loopwatch("webhook", "test", "hook")
        assert refused.returncode == 1
        assert "takes nothing any more" in refused.stderr
        assert "no such receiver" in world.loopwatch("webhook", "test", "nobody").stderr
        world.set(late=1)
        with world.alerter():
            world.until(
                lambda: clickhouse.rows(
                    f"SELECT 1 FROM {clickhouse.database}.notifications FINAL "
                    "WHERE state = 'dead' AND group_key LIKE '%late%'"
                ),
                "a dead notification",
            )
        answers["status"] = 200
        assert "took it" in world.loopwatch("webhook", "test", "hook").stdout
        assert world.loopwatch("webhook", "replay").returncode == 1
        before = len(hook.requests)
        assert "on their way again" in world.loopwatch("webhook", "replay", "--receiver", "hook").stdout
        with world.alerter():
            world.until(lambda: len(hook.requests) > before, "what was sent again")
        assert world.heard("late")[0] == "firing"


def test_settings_of_alerting_reach_the_process(tmp_path: Path) -> None:
    settings = Settings.load({"LOOPWATCH_ALERT_EVERY_S": "0"})
    done = subprocess.run(
        [sys.executable, "-m", "loopwatch.console", "alerter"],
        env=os.environ | {"LOOPWATCH_CLICKHOUSE_URL": "http://127.0.0.1:1"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert settings.alert_every_s == 0
    assert done.returncode == 69
    assert "ClickHouse at http://127.0.0.1:1" in done.stderr
