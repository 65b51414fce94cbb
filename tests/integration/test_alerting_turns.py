"""Turns of alerting: of all rules every so often, and of those on metrics as soon as there are new ones."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.schemas.config import load_config
from loopwatch.stream_processors.alerter_app import AlertingService
from loopwatch.stream_processors.alerts.store import read_alerts

from ..databases import new_database
from ..waiting import wait_until
from ..webhook_receiver import WebhookReceiver
from .alerted import NOW, store, window


@pytest.fixture
def clickhouse(clickhouse_url: str) -> Iterator[ClickHouse]:
    """A database for each test: alerts are of all that is in one."""
    with new_database(clickhouse_url) as connection:
        connection.command(f"CREATE TABLE {connection.database}.holds (model String) ENGINE = MergeTree ORDER BY model")
        yield connection


@contextmanager
def _alerting(clickhouse: ClickHouse, url: str, directory: Path, every_s: float) -> Iterator[AlertingService]:
    rules = {
        "ByMetric": {"metric": "accuracy", "below": 0.9, "keep_firing_for": "0s", "surely": False},
        "ByQuery": {"sql": f"SELECT model, 1 AS value FROM {clickhouse.database}.holds", "above": 0,
                    "keep_firing_for": "0s"},
        "Broken": {"sql": "SELECT nonsense FROM nowhere"},
    }  # fmt: skip
    receivers = {"hook": {"url": url, "networks": ["127.0.0.0/8"]}}
    route = {"receiver": "hook", "group_by": ["alertname", "model"], "group_wait": "0s", "group_interval": "1s"}
    file = directory / "loopwatch.yaml"
    file.write_text(json.dumps({"alerting": {"rules": rules, "receivers": receivers, "route": route}}), "utf-8")
    settings = Settings(
        clickhouse_url=clickhouse.address, clickhouse_database=clickhouse.database, kafka_bootstrap="127.0.0.1:1",
        topic_prefix=f"{uuid.uuid4().hex[:8]}.", alert_every_s=every_s,
    )  # fmt: skip
    service = AlertingService(settings, load_config(file), f"alerter-{every_s}", None)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def _evaluate(clickhouse: ClickHouse, accuracy: float) -> None:
    """A new revision, as of now: alerting looks for those of the last minutes."""
    store(clickhouse, "metrics", window("m", NOW.replace(minute=0), accuracy, evaluated=datetime.now(UTC)))


def _told(hook: WebhookReceiver) -> list[tuple[str, str]]:
    alerts = [alert for request in hook.requests for alert in json.loads(request.body)["alerts"]]
    return [(alert["labels"]["alertname"], alert["status"]) for alert in alerts if alert["labels"].get("model") == "m"]


def _states(clickhouse: ClickHouse) -> dict[str, str]:
    return {alert.rule: alert.state.value for alert in read_alerts(clickhouse, "1", 100)}


@pytest.mark.timeout(240)
def test_new_metrics_are_looked_at_though_a_turn_of_all_rules_is_far_off(
    clickhouse: ClickHouse, tmp_path: Path
) -> None:
    clickhouse.command(f"INSERT INTO {clickhouse.database}.holds VALUES ('m')")
    _evaluate(clickhouse, 0.95)
    with WebhookReceiver() as hook, _alerting(clickhouse, hook.url, tmp_path, 3600) as alerting:
        wait_until(lambda: _told(hook) == [("ByQuery", "firing")], 60, "the first turn, of all rules")
        before = _states(clickhouse)
        assert (before["ByQuery"], before["RuleFailing"]) == ("firing", "pending")

        clickhouse.command(f"TRUNCATE TABLE {clickhouse.database}.holds")
        _evaluate(clickhouse, 0.5)
        alerting.look()
        wait_until(lambda: ("ByMetric", "firing") in _told(hook), 60, "what new metrics show")
        # What was not asked is as it was: neither over nor mended.
        assert _states(clickhouse) == before | {"ByMetric": "firing"}

        _evaluate(clickhouse, 0.95)
        alerting.look()
        wait_until(lambda: ("ByMetric", "resolved") in _told(hook), 60, "that it is over")
        assert ("ByQuery", "resolved") not in _told(hook)


@pytest.mark.timeout(240)
def test_all_rules_have_their_turn_while_there_are_new_metrics_all_the_time(
    clickhouse: ClickHouse, tmp_path: Path
) -> None:
    with WebhookReceiver() as hook, _alerting(clickhouse, hook.url, tmp_path, 0.5) as alerting:
        wait_until(lambda: "RuleFailing" in _states(clickhouse), 60, "the first turn")
        clickhouse.command(f"INSERT INTO {clickhouse.database}.holds VALUES ('m')")

        def told_meanwhile() -> bool:
            alerting.look()
            return ("ByQuery", "firing") in _told(hook)

        wait_until(told_meanwhile, 60, "a turn of all rules")
