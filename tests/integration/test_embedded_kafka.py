"""The embedded broker: it carries records unchanged, forgets everything when it stops, and says when it can't start."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.schemas.errors import EmbeddedServiceError

from tests.kafka_records import admin, consume, create_topic, delete_topic, produce, topic_id
from tests.waiting import wait_until


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_record_comes_back_with_its_key_headers_and_timestamp(embedded_kafka: EmbeddedKafka, codec: str) -> None:
    topic = create_topic(embedded_kafka.bootstrap)
    headers = [("kind", b"first"), ("empty", None)]
    records = [(None, b"no key " * 50, headers), (b"key", b"with key " * 50, [])]

    produce(embedded_kafka.bootstrap, topic, records, **{"compression.type": codec, "enable.idempotence": True})

    first, second = consume(embedded_kafka.bootstrap, topic, 2)
    assert (first.key(), first.value(), first.headers()) == (None, b"no key " * 50, headers)
    assert (second.key(), second.value(), second.headers()) == (b"key", b"with key " * 50, None)
    assert first.timestamp()[1] > 0


def test_a_topic_made_again_after_deletion_is_empty_and_has_another_id(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap
    topic = create_topic(bootstrap)
    produce(bootstrap, topic, [(None, b"old", [])])
    first_life = topic_id(bootstrap, topic)

    delete_topic(bootstrap, topic)
    create_topic(bootstrap, name=topic)

    assert topic_id(bootstrap, topic) != first_life
    assert produce(bootstrap, topic, [(None, b"new", [])]) == [0]


def test_after_a_restart_the_broker_has_forgotten_its_topics_and_gives_them_other_ids() -> None:
    with EmbeddedKafka() as kafka:
        topic = create_topic(kafka.bootstrap)
        first_life = topic_id(kafka.bootstrap, topic)

        kafka.stop()
        kafka.start()

        assert topic not in admin(kafka.bootstrap).list_topics(timeout=10).topics
        create_topic(kafka.bootstrap, name=topic)
        assert topic_id(kafka.bootstrap, topic) != first_life


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(EmbeddedServiceError, match=rf"port {port} of 127\.0\.0\.1 is taken"):
            EmbeddedKafka(port).start()


def test_the_broker_ends_with_its_owner_even_when_that_is_killed(tmp_path: Path) -> None:
    program = (
        "from loopwatch.infra.embedded_kafka import EmbeddedKafka\n"
        "kafka = EmbeddedKafka(); kafka.start(); print(kafka.port, flush=True); input()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    try:
        port = owner.stdout.readline().strip()
        (broker,) = psutil.Process(owner.pid).children()
        assert any(port in argument for argument in broker.cmdline())
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.communicate()

    wait_until(lambda: _ended(broker), 10, "the broker to end")


def _ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
