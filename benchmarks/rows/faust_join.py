"""Row (b): the join as a user of plain Faust would write it, with tables in memory.

Two agents, `faust.Record` types in JSON, one table with every prediction and one with actions whose prediction has not
come yet (Faust reads the two topics independently, so that happens). Everything else is Faust's default, among it the
tables' changelog topics, without which a restart would lose the join's state. Two favours: the joined record is made
and then dropped (`faust_join_to_topic` sends it on), and timestamps stay text.
"""

import asyncio
import tempfile
from typing import Any

import faust
from confluent_kafka.admin import AdminClient, NewTopic
from faust.types import StreamT
from loopwatch.infra.settings import Settings

from ..measurement import Counts, Measurement, Tally


class Prediction(faust.Record, serializer="json"):
    """A prediction."""

    prediction_id: str
    model: str
    ts: str
    version: str
    entity_id: str
    prediction: bool
    score: float
    features: dict[str, Any]


class Action(faust.Record, serializer="json"):
    """An action."""

    action_id: str
    prediction_id: str
    name: str
    ts: str
    value: bool


class Joined(faust.Record, serializer="json"):
    """A prediction with the action that answers it."""

    prediction_id: str
    model: str
    score: float
    prediction: bool
    label: bool
    prediction_ts: str
    action_ts: str


def run(settings: Settings, counts: Counts) -> Measurement:
    """Join everything once and drop what comes out."""
    return join(settings, counts, to_topic=False)


def join(settings: Settings, counts: Counts, *, to_topic: bool) -> Measurement:
    """Join everything once; `to_topic` sends each joined record to a topic."""
    with tempfile.TemporaryDirectory() as datadir:
        return asyncio.run(_join(settings, counts, to_topic, datadir))


async def _join(settings: Settings, counts: Counts, to_topic: bool, datadir: str) -> Measurement:
    app = faust.App(
        settings.consumer_group,
        broker=f"kafka://{settings.kafka_bootstrap}",
        store="memory://",
        topic_partitions=settings.partitions,
        consumer_auto_offset_reset="earliest",
        datadir=datadir,
        web_enabled=False,
    )
    prediction_topic = app.topic(settings.topics.predictions, key_type=str, value_type=Prediction)
    action_topic = app.topic(settings.topics.actions, key_type=str, value_type=Action)
    joined_topic = app.topic(f"{settings.consumer_group}-joined", key_type=str, value_type=Joined)
    if to_topic:
        _create_topic(settings, joined_topic.get_topic_name())
    predictions = app.Table("predictions", key_type=str, value_type=Prediction)
    waiting = app.Table("waiting", key_type=str, value_type=Action)
    tally = Tally(counts)
    done = asyncio.Event()

    async def emit(prediction: Prediction, action: Action) -> None:
        joined = Joined(
            prediction_id=prediction.prediction_id,
            model=prediction.model,
            score=prediction.score,
            prediction=prediction.prediction,
            label=action.value,
            prediction_ts=prediction.ts,
            action_ts=action.ts,
        )
        tally.pairs += 1
        if to_topic:
            await joined_topic.send(key=joined.prediction_id, value=joined)

    async def on_predictions(stream: StreamT[Prediction]) -> None:
        async for prediction in stream:
            tally.begin()
            key = prediction.prediction_id
            predictions[key] = prediction
            if key in waiting:
                await emit(prediction, waiting.pop(key))
            if tally.end():
                done.set()

    async def on_actions(stream: StreamT[Action]) -> None:
        async for action in stream:
            tally.begin()
            prediction = predictions.get(action.prediction_id)
            if prediction is None:
                waiting[action.prediction_id] = action
            else:
                await emit(prediction, action)
            if tally.end():
                done.set()

    app.agent(prediction_topic)(on_predictions)
    app.agent(action_topic)(on_actions)
    await app.start()
    await done.wait()
    measurement = tally.measurement
    await app.stop()
    assert measurement is not None
    return measurement


def _create_topic(settings: Settings, name: str) -> None:
    # It must be there: sending to a missing topic of a broker that makes none by itself waits for ever.
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    admin.create_topics([NewTopic(name, settings.partitions, settings.replication_factor)])[name].result(30)
