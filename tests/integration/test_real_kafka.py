"""Apache Kafka without Docker: records come back, survive a restart, and one of three brokers may die."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from loopwatch.infra.broker_metadata import known_brokers
from loopwatch.infra.real_kafka import RealKafka
from loopwatch.schemas.errors import EmbeddedServiceError

from tests.kafka_records import admin, consume, create_topic, delete_topic, produce, topic_id
from tests.waiting import wait_until

pytestmark = pytest.mark.kafka


def test_a_record_comes_back_with_its_key_and_headers(real_kafka: RealKafka) -> None:
    topic = create_topic(real_kafka.bootstrap)
    headers = [("kind", b"first"), ("empty", None)]

    produce(
        real_kafka.bootstrap,
        topic,
        [(None, b"no key", headers), (b"key", b"x" * 5_000_000, [])],
        **{"message.max.bytes": 16_000_000, "compression.type": "zstd"},
    )

    first, second = consume(real_kafka.bootstrap, topic, 2)
    assert (first.key(), first.value(), first.headers()) == (None, b"no key", headers)
    assert (second.key(), len(second.value() or b"")) == (b"key", 5_000_000)


def test_a_topic_made_again_after_deletion_has_another_id(real_kafka: RealKafka) -> None:
    topic = create_topic(real_kafka.bootstrap)
    first_life = topic_id(real_kafka.bootstrap, topic)

    delete_topic(real_kafka.bootstrap, topic)
    wait_until(lambda: topic not in admin(real_kafka.bootstrap).list_topics(timeout=10).topics, 10, "the deletion")
    create_topic(real_kafka.bootstrap, name=topic)

    assert topic_id(real_kafka.bootstrap, topic) != first_life


def test_records_survive_the_crash_of_their_node() -> None:
    with RealKafka() as kafka:
        topic = create_topic(kafka.bootstrap)
        produce(kafka.bootstrap, topic, [(b"1", b"before", [])])

        kafka.kill(1)
        kafka.restart(1)

        produce(kafka.bootstrap, topic, [(b"2", b"after", [])])
        assert [message.value() for message in consume(kafka.bootstrap, topic, 2)] == [b"before", b"after"]


def test_records_and_topic_ids_are_found_again_in_the_data_directory(tmp_path: Path) -> None:
    with RealKafka(data_dir=tmp_path) as kafka:
        topic = create_topic(kafka.bootstrap)
        life = topic_id(kafka.bootstrap, topic)
        produce(kafka.bootstrap, topic, [(b"1", b"kept", [])])

    with RealKafka(data_dir=tmp_path) as kafka:
        assert topic_id(kafka.bootstrap, topic) == life
        assert [message.value() for message in consume(kafka.bootstrap, topic, 1)] == [b"kept"]


def leader_of(bootstrap: str, topic: str) -> int | None:
    partitions = admin(bootstrap).list_topics(topic, timeout=10).topics[topic].partitions
    return partitions[0].leader if partitions and partitions[0].leader > 0 else None


def test_with_one_of_three_brokers_dead_writes_to_all_in_sync_replicas_go_on() -> None:
    with RealKafka(brokers=3) as kafka:
        topic = create_topic(kafka.bootstrap, replicas=3)
        # The broker that is asked may learn of the topic a moment after the one that made it.
        leader = wait_until(lambda: leader_of(kafka.bootstrap, topic), 30, "a leader of the new topic")
        produce(kafka.bootstrap, topic, [(b"1", b"three brokers", [])])

        kafka.kill(leader)

        produce(kafka.bootstrap, topic, [(b"2", b"two brokers", [])])
        values = [message.value() for message in consume(kafka.bootstrap, topic, 2)]
        assert values == [b"three brokers", b"two brokers"]


def test_a_paused_node_answers_nothing_until_it_is_resumed(real_kafka: RealKafka) -> None:
    real_kafka.pause(1)
    try:
        assert known_brokers(real_kafka.bootstrap, timeout_s=0.5) == set()
    finally:
        real_kafka.resume(1)
    wait_until(lambda: known_brokers(real_kafka.bootstrap) == {1}, 20, "the node to answer again")


def test_by_hand_it_prints_its_address_and_ends_in_order_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loopwatch.infra.real_kafka", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready, bootstrap = process.stdout.readline().split()
            assert ready == "ready"
            create_topic(bootstrap)
            (broker,) = psutil.Process(process.pid).children()
        finally:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == 0
    assert not broker.is_running()


def test_a_machine_without_java_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(EmbeddedServiceError, match="apt-get install openjdk-17-jre-headless"):
        RealKafka().start()


def test_a_machine_without_maven_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("LOOPWATCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EmbeddedServiceError, match="apt-get install maven"):
        RealKafka().start()
