"""The client against a broker: where records go, and what happens when they don't arrive."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from loopwatch.infra.child_process import free_port
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.settings import Settings
from loopwatch.producers import Action, BufferFull, DeliveryError, InvalidEvent, Loopwatch, Prediction
from loopwatch.producers.replay import replay_events
from loopwatch.schemas.decode import EventDecoder
from loopwatch.schemas.errors import ServiceUnavailable
from loopwatch.schemas.headers import REPLAY, WATERMARK, decode_watermark
from loopwatch.schemas.partitioner import partition_of

from tests.kafka_records import create_topic
from tests.waiting import wait_until

PARTITIONS = 4
NOON = datetime(2024, 7, 15, 12, tzinfo=UTC)


@pytest.fixture
def settings(embedded_kafka: EmbeddedKafka) -> Settings:
    """Settings of the embedded broker, with input topics of this test's own."""
    settings = Settings(kafka_bootstrap=embedded_kafka.bootstrap, topic_prefix=f"t-{uuid.uuid4().hex[:12]}.")
    for topic in settings.topics.inputs:
        create_topic(settings.kafka_bootstrap, PARTITIONS, name=topic)
    return settings


@pytest.fixture
def unreachable() -> Settings:
    """Settings of a broker that isn't there."""
    return Settings(kafka_bootstrap=f"127.0.0.1:{free_port()}")


def read(settings: Settings, topic: str, count: int) -> list[Message]:
    """The first `count` records of all partitions."""
    config = {"bootstrap.servers": settings.kafka_bootstrap, "group.id": "reader", "log_level": 0}
    consumer = Consumer(config)
    messages: list[Message] = []
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])

        def enough() -> bool:
            messages.extend(consumer.consume(count, 0.1))
            return len(messages) >= count

        wait_until(enough, 20, f"{count} records of {topic}")
    finally:
        consumer.close()
    return messages


def run_python(program: str, settings: Settings) -> str:
    """Run a program that finds the settings in its environment, and return what it prints."""
    environment = {**os.environ, **settings.environment()}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def test_predictions_and_actions_of_an_id_meet_on_the_partition_that_its_key_says(settings: Settings):
    with Loopwatch(settings) as client:
        ids = [client.predict("m", True, score=0.5, features={"i": i}) for i in range(100)]
        ids += [client.predict("m", prediction_id=name) for name in ("a", "order-17", "ключ", "x" * 128)]
        actions = [client.act(prediction_id, "click", value=1) for prediction_id in ids]
        client.flush()
        assert (client.delivered, client.failed, client.undelivered) == (208, 0, 0)
    predictions = read(settings, settings.topics.predictions, len(ids))
    clicks = read(settings, settings.topics.actions, len(ids))
    for message in predictions + clicks:
        assert message.partition() == partition_of(message.key() or b"", PARTITIONS)
    decoded = [EventDecoder(Prediction).decode(message.value()) for message in predictions]
    assert {event.prediction_id for event in decoded} == set(ids) == {(m.key() or b"").decode() for m in predictions}
    decoded_clicks = [EventDecoder(Action).decode(message.value()) for message in clicks]
    assert {event.action_id for event in decoded_clicks} == set(actions)
    assert {event.prediction_id for event in decoded_clicks} == set(ids)


def test_an_invalid_event_raises_at_the_call_and_sends_nothing(settings: Settings):
    with Loopwatch(settings) as client:
        with pytest.raises(InvalidEvent, match=r"\$\.score"):
            client.predict("m", score=2)
        with pytest.raises(InvalidEvent, match=r"\$\.prediction_id"):
            client.act("", "click")
        client.flush()
        assert (client.delivered, client.failed) == (0, 0)


def test_a_watermark_stands_behind_all_events_on_every_partition_of_both_topics(settings: Settings):
    with Loopwatch(settings) as client:
        for i in range(20):
            client.act(client.predict("m", ts=NOON), "click", ts=NOON + timedelta(seconds=i))
        client.watermark(NOON + timedelta(days=3))
    for topic in settings.topics.inputs:
        messages = read(settings, topic, 20 + PARTITIONS)
        marks = [message for message in messages if not message.value()]
        assert {message.partition() for message in marks} == set(range(PARTITIONS))
        assert len(marks) == PARTITIONS
        for mark in marks:
            others = [m.offset() for m in messages if m.partition() == mark.partition() and m is not mark]
            assert all((mark.offset() or 0) > (offset or 0) for offset in others)
            assert (mark.key(), mark.value()) == (None, b"")
            assert decode_watermark(dict(mark.headers() or [])[WATERMARK]) == NOON + timedelta(days=3)


def test_records_of_a_replay_are_marked_as_such_and_those_of_a_service_are_not(settings: Settings):
    class Source:
        name, size, position, invalid = "two", 2, 0, 0

        def __iter__(self) -> Iterator[Prediction | Action]:
            yield Prediction("p", "m", NOON)
            yield Action("a", "p", "click", NOON + timedelta(seconds=1))

    with Loopwatch(settings) as client:
        summary = replay_events(client, Source())
        client.predict("m", prediction_id="live")
    assert summary.watermark == NOON + timedelta(hours=24, seconds=11)
    messages = read(settings, settings.topics.predictions, 2 + PARTITIONS)
    marked = {message.key(): dict(message.headers() or []).get(REPLAY) for message in messages}
    assert marked == {b"p": b"1", None: b"1", b"live": None}


def test_a_delivery_that_fails_is_heard_of_though_the_service_makes_no_other_call(unreachable: Settings):
    lost: list[tuple[Prediction | Action, DeliveryError]] = []
    client = Loopwatch(
        unreachable, on_error=lambda event, error: lost.append((event, error)), delivery_timeout_s=0.5, linger_ms=5
    )
    prediction_id = client.predict("m", ts=NOON, features={"a": 1.5})
    client.act(prediction_id, "click", ts=NOON, action_id="c")
    wait_until(lambda: len(lost) == 2, 10, "both failures")
    events = {type(event): event for event, _ in lost}
    assert events[Prediction] == Prediction(prediction_id, "m", NOON, features={"a": 1.5})
    assert events[Action] == Action("c", prediction_id, "click", NOON)
    assert (client.failed, client.delivered, client.undelivered) == (2, 0, 0)
    with pytest.raises(DeliveryError, match=r"was not delivered.*and 1 more"):
        client.flush(1)
    client.flush(1)
    client.close()


def test_flush_raises_within_its_time_while_events_are_still_on_their_way(unreachable: Settings):
    lost: list[object] = []
    client = Loopwatch(unreachable, on_error=lambda event, error: lost.append(event), close_timeout_s=0.2)
    client.predict("m")
    started = time.monotonic()
    with pytest.raises(DeliveryError, match=r"1 records are not confirmed after 0\.3 s"):
        client.flush(0.3)
    with pytest.raises(DeliveryError):
        client.close()
    assert time.monotonic() - started < 20
    assert len(lost) == client.failed == 1
    client.close()
    with pytest.raises(DeliveryError, match="closed"):
        client.predict("m")


def test_a_failure_to_deliver_does_not_hide_the_exception_that_ends_the_context(unreachable: Settings):
    def service() -> None:
        with Loopwatch(unreachable, close_timeout_s=0.1) as client:
            client.predict("m")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        service()
    assert "not confirmed" in caught.value.__notes__[0]


def test_events_are_delivered_after_the_broker_was_away():
    with EmbeddedKafka() as kafka:
        kafka.stop()
        with Loopwatch(Settings(kafka_bootstrap=kafka.bootstrap)) as client:
            for _ in range(10):
                client.predict("m")
            with pytest.raises(DeliveryError):
                client.flush(0.3)
            # The embedded broker makes a topic as soon as somebody asks for it.
            kafka.start()
            client.flush(30)
            assert (client.delivered, client.failed) == (10, 0)


def test_a_full_buffer_raises_at_once_and_takes_nothing(unreachable: Settings):
    client = Loopwatch(unreachable, max_buffered=10, close_timeout_s=0.1)
    for _ in range(10):
        client.predict("m")
    with pytest.raises(BufferFull, match="the buffer is full"):
        client.predict("m")
    assert client.undelivered == 10
    with pytest.raises(DeliveryError):
        client.close()


def test_a_full_buffer_is_waited_for_up_to_a_deadline_when_asked(unreachable: Settings):
    client = Loopwatch(unreachable, max_buffered=1, block=True, block_timeout_s=0.5, close_timeout_s=0.1)
    client.predict("m")
    started = time.monotonic()
    with pytest.raises(BufferFull, match=r"full for 0\.5 s"):
        client.predict("m")
    assert 0.4 < time.monotonic() - started < 20
    with pytest.raises(DeliveryError):
        client.close()


def test_blocking_gets_everything_through_a_small_buffer(settings: Settings):
    with Loopwatch(settings, max_buffered=50, block=True, linger_ms=1) as client:
        for i in range(1000):
            client.predict("m", i)
    assert client.delivered == 1000


def test_an_event_that_kafka_refuses_for_its_size_fails_by_itself(settings: Settings):
    with Loopwatch(settings, kafka={"message.max.bytes": 2000}) as client:
        with pytest.raises(DeliveryError, match="was not taken"):
            client.predict("m", features={"text": "x" * 3000})
        client.predict("m")
    assert client.delivered == 1


def test_a_watermark_without_brokers_says_so(unreachable: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("loopwatch.producers.delivery._METADATA_TIMEOUT_S", 0.3)
    with Loopwatch(unreachable) as client, pytest.raises(ServiceUnavailable, match=unreachable.kafka_bootstrap):
        client.watermark(NOON)


def test_threads_share_a_client(settings: Settings):
    with Loopwatch(settings, block=True) as client:
        threads = [threading.Thread(target=lambda: [client.predict("m", i) for i in range(2000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.flush()
        assert (client.delivered, client.failed, client.undelivered) == (8000, 0, 0)


def test_what_is_left_is_flushed_when_the_process_exits(settings: Settings):
    # Nothing holds on to the client, which would wait ten seconds for more to send.
    call = "Loopwatch(linger_ms=10_000).predict('m', prediction_id='last')"
    run_python(f"from loopwatch.producers import Loopwatch; {call}", settings)
    (message,) = read(settings, settings.topics.predictions, 1)
    assert message.key() == b"last"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_sends_through_the_client_it_inherited(settings: Settings):
    program = """
import os, sys
from loopwatch.producers import Loopwatch
client = Loopwatch(linger_ms=200)
client.predict("m", prediction_id="parent")
child = os.fork()
if child == 0:
    client.predict("m", prediction_id="child")
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
client.close()
assert client.delivered == 1
"""
    run_python(program, settings)
    assert sorted(message.key() or b"" for message in read(settings, settings.topics.predictions, 2)) == [
        b"child",
        b"parent",
    ]


def test_the_example_runs(settings: Settings):
    example = Path(__file__).parents[2] / "examples" / "emit.py"
    assert "2 records confirmed" in run_python(example.read_text(), settings)
    (click,) = read(settings, settings.topics.actions, 1)
    assert EventDecoder(Action).decode(click.value()).name == "click"
