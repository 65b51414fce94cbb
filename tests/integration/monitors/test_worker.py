"""Signals through a real worker, killed on the way: in ClickHouse and on Kafka, each with one content."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.producers import Loopwatch
from loopwatch.producers.replay import REPLAY_HEADERS
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.signals import Signal, SignalKind
from msgspec import json as msgspec_json

from tests.waiting import wait_until

from ..test_any_way import BEGIN, Loop, loop_of

CONFIG = """
models:
  shop:
    kind: classification
    monitoring: {drift: {windows: [1h], reference: 2024-07-15T00:00Z/2024-07-15T04:00Z}, series: none}
    outcomes:
      bought: {actions: [label], window: 30m, label: value}
"""
HOURS, AN_HOUR = 12, 250


def events() -> list[Prediction | Action]:
    """From hour 8 on a feature has moved, and half of the predictions are wrong."""
    rng = np.random.default_rng(8)
    found: list[Prediction | Action] = []
    for n in range(HOURS * AN_HOUR):
        made = BEGIN + timedelta(seconds=n * 3600 / AN_HOUR)
        broken, said = n >= 8 * AN_HOUR, bool(rng.random() < 0.5)
        features = {"moved": float(rng.normal(2 * broken, 1)), "calm": float(rng.normal())}
        wrong = rng.random() < (0.5 if broken else 0.05)
        found.append(Prediction(f"p{n}", "shop", made, prediction=said, features=features))
        found.append(Action(f"a{n}", f"p{n}", "label", made + timedelta(seconds=30), said != wrong))
    return sorted(found, key=lambda event: event.ts)


def close(loop: Loop, hours: float) -> None:
    with Loopwatch(loop.settings) as client:
        client.watermark(BEGIN + timedelta(hours=hours), headers=REPLAY_HEADERS)


def published(loop: Loop, is_all: Callable[[list[Signal]], bool]) -> list[Signal]:
    """What is on the topic, read until it is all."""
    name = loop.settings.topics.signals
    consumer = Consumer(
        {
            "bootstrap.servers": loop.settings.kafka_bootstrap,
            "group.id": f"{name}.test",
            "auto.offset.reset": "earliest",
        }
    )
    found: list[Signal] = []

    def read() -> bool:
        for message in consumer.consume(100, 0.2):
            if message.error() is None:
                assert message.key() == b"shop"
                found.append(msgspec_json.decode(message.value() or b"", type=Signal))
        return is_all(found)

    consumer.subscribe([name])
    try:
        wait_until(read, 30, "signals on their topic")
    finally:
        consumer.close()
    return found


@pytest.mark.timeout(180)
def test_signals_come_out_of_a_worker_that_is_killed_on_the_way(
    embedded_kafka: EmbeddedKafka, clickhouse_url: str, tmp_path: Path
) -> None:
    with loop_of(embedded_kafka, clickhouse_url, tmp_path, 2) as loop:
        (tmp_path / "loopwatch.yaml").write_text(CONFIG, encoding="utf-8")
        every = events()
        loop.start(0)
        middle = len(every) * 9 // HOURS
        loop.send(every[:middle])
        close(loop, 9)
        loop.wait(lambda: loop.count("signals_current") >= 2)
        loop.kill(0)
        kept = {name for (name,) in loop.rows("monitors FINAL", "monitor")}
        loop.send(every[middle:])
        close(loop, HOURS + 2)
        loop.start(0)
        loop.wait(lambda: loop.count("feedback_current") == HOURS * AN_HOUR)
        last = f"until >= toDateTime64({(BEGIN + timedelta(hours=HOURS)).timestamp()}, 6, 'UTC')"
        loop.wait(lambda: loop.count(f"signals_current WHERE {last} AND kind = 'data_drift'") == 1)
        stored = {row[0]: row[1:] for row in loop.rows("signals_current", "signal_id, kind, subject, until, message")}
        out = published(loop, lambda found: {(each.signal_id, each.message) for each in found} >= {
            (id_, row[3]) for id_, row in stored.items()
        })  # fmt: skip
        rebuilt = dict(loop.rows("monitors FINAL", "monitor, rebuilt"))
        assert kept
        assert all("from its state of" in rebuilt[name] for name in kept), rebuilt
        contents: dict[tuple[str, datetime], Signal] = {}
        for signal in out:
            assert contents.setdefault((signal.signal_id, signal.until), signal) == signal
        assert {signal.signal_id for signal in out} == stored.keys()
        assert sorted((row[0], row[1]) for row in stored.values()) == [
            (SignalKind.CONCEPT_DRIFT, "loss"), (SignalKind.DATA_DRIFT, "moved")
        ]  # fmt: skip
        hours = {signal.until for signal in out if signal.kind is SignalKind.DATA_DRIFT}
        assert hours == {BEGIN + timedelta(hours=hour) for hour in range(9, HOURS + 1)}
