"""The benchmark's input: predictions of about 400 bytes with 10 features, and one action for every two of them.

The same seed and start give the same bytes. Events come in event-time order, as services would have sent them.
"""

import heapq
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from loopwatch.schemas.topics import Topics

from .measurement import Counts

MODELS = ("ctr-ranker", "fraud-screen", "churn-score")
COUNTRIES = ("de", "fr", "gb", "in", "jp", "us")
DEVICES = ("desktop", "phone", "tablet")
PREDICTIONS_PER_SECOND = 5000
MEAN_DELAY_S = 2.0
_encode = msgspec.json.encode


class Event(NamedTuple):
    """One record to produce."""

    is_action: bool
    ts: datetime
    key: bytes
    value: bytes


class EventMaker:
    """Makes single events; every choice comes from `seed`, every time from the caller."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)

    def prediction(self, ts: datetime) -> Event:
        """A prediction made at `ts`: 7 numeric features, 2 strings and a bool."""
        rnd = self._random
        prediction_id = self._uuid7(ts)
        score = round(rnd.random(), 4)
        event = {
            "prediction_id": prediction_id,
            "model": rnd.choice(MODELS),
            "ts": _rfc3339(ts),
            "version": "2025.11",
            "entity_id": f"u-{rnd.randrange(1_000_000)}",
            "prediction": score > 0.5,
            "score": score,
            "latency_ms": round(rnd.lognormvariate(2.5, 0.5), 3),
            "features": {
                "age_days": rnd.randrange(4000),
                "basket_eur": round(rnd.expovariate(1 / 40), 2),
                "clicks_7d": rnd.randrange(50),
                "dwell_s": round(rnd.gauss(30, 8), 3),
                "distance_km": round(rnd.random() * 900, 1),
                "price_rank": rnd.randrange(1, 20),
                "similarity": round(rnd.random(), 6),
                "country": rnd.choice(COUNTRIES),
                "device": rnd.choice(DEVICES),
                "returning": rnd.random() < 0.6,
            },
        }
        return Event(False, ts, prediction_id.encode(), _encode(event))

    def action(self, prediction_key: bytes, ts: datetime) -> Event:
        """A click on that prediction at `ts`."""
        event = {
            "action_id": self._uuid7(ts),
            "prediction_id": prediction_key.decode(),
            "name": "click",
            "ts": _rfc3339(ts),
            "value": self._random.random() < 0.8,
        }
        return Event(True, ts, prediction_key, _encode(event))

    def delay(self) -> timedelta:
        """How long after a prediction its action comes: exponential, and never before."""
        return timedelta(seconds=self._random.expovariate(1 / MEAN_DELAY_S))

    def _uuid7(self, ts: datetime) -> str:
        milliseconds = int(ts.timestamp() * 1000)
        bits = (milliseconds << 80) | self._random.getrandbits(80)
        bits = bits & ~(0xF << 76) | (7 << 76)
        return str(UUID(int=bits & ~(3 << 62) | (2 << 62)))


def history(counts: Counts, start: datetime, seed: int = 7) -> Iterator[Event]:
    """Both streams merged in event-time order: the first `counts.actions` of every second prediction are acted on."""
    if counts.actions > counts.predictions // 2:
        raise ValueError(f"{counts.actions} actions need {2 * counts.actions} predictions, not {counts.predictions}")
    maker = EventMaker(seed)
    pause = timedelta(seconds=1 / PREDICTIONS_PER_SECOND)
    due: list[tuple[datetime, bytes]] = []
    for index in range(counts.predictions):
        prediction = maker.prediction(start + index * pause)
        while due and due[0][0] <= prediction.ts:
            yield _next_action(maker, due)
        yield prediction
        if index % 2 == 0 and index < 2 * counts.actions:
            heapq.heappush(due, (prediction.ts + maker.delay(), prediction.key))
    while due:
        yield _next_action(maker, due)


def create_topics(bootstrap: str, topics: Topics, partitions: int = 4) -> None:
    """Create the two input topics.

    Raises KafkaException if one exists already or the broker doesn't answer.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(name, partitions, 1) for name in topics.inputs]).values():
        future.result(30)


def new_producer(bootstrap: str) -> Producer:
    """An idempotent producer that puts a key where Kafka's Java clients and Loopwatch's put it (murmur2)."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 20,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 100_000,
        }
    )


def fill_topics(bootstrap: str, topics: Topics, counts: Counts, seed: int = 7) -> None:
    """Create the input topics and produce a history that ends about now; return once the broker has all of it.

    Raises RuntimeError if a record was not delivered.
    """
    create_topics(bootstrap, topics)
    start = datetime.now(UTC) - timedelta(seconds=counts.predictions / PREDICTIONS_PER_SECOND)
    producer = new_producer(bootstrap)
    failures: list[str] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(str(error))

    for event in history(counts, start, seed):
        topic = topics.actions if event.is_action else topics.predictions
        timestamp_ms = int(event.ts.timestamp() * 1000)
        while True:
            try:
                producer.produce(topic, event.value, event.key, timestamp=timestamp_ms, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(60)
    if left or failures:
        raise RuntimeError(f"{left + len(failures)} records were not delivered to {bootstrap}; {failures[:1]}")


def _next_action(maker: EventMaker, due: list[tuple[datetime, bytes]]) -> Event:
    ts, key = heapq.heappop(due)
    return maker.action(key, ts)


def _rfc3339(ts: datetime) -> str:
    return ts.isoformat(timespec="microseconds").replace("+00:00", "Z")
