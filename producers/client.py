"""The client that services use: `predict`, then `act` when somebody does something about it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Message

from ..infra.settings import Settings
from ..schemas.decode import action_decoder, prediction_decoder
from ..schemas.errors import DeliveryError, InvalidEvent
from ..schemas.events import Action, Generation, Prediction
from ..schemas.headers import WATERMARK, encode_watermark
from .delivery import Delivery, Headers
from .encoding import EventEncoder
from .uuid7 import uuid7

Event = Prediction | Action
OnError = Callable[[Event, DeliveryError], None]


class Loopwatch:
    """Sends predictions and actions to Kafka. Make one for the process's life; safe for threads and after a fork.

    ::

        with Loopwatch() as loopwatch:
            prediction_id = loopwatch.predict("ctr-ranker", True, score=0.83, features={"hour": 9})
            loopwatch.act(prediction_id, "click")

    An event is checked when it is handed over, by the types that the stream reads it with, and is then sent in the
    background. Leaving the context, `close` and the process's exit flush what is left. An end that skips Python's exit
    does not (SIGTERM without a handler, a child of `multiprocessing`): flush before it.

    Args:
        settings: addresses and names; from the environment (``LOOPWATCH_…``) when left out.
        bootstrap: ``host:port,…`` of Kafka, in place of the settings' own.
        on_error: called with each event that did not arrive, in any thread; keep it short.
        max_buffered: events in the buffer at most.
        max_buffered_bytes: their bytes at most, rounded up to KiB.
        linger_ms: how long an event waits for others to travel with.
        block: on a full buffer wait for room, up to `block_timeout_s`, instead of raising at once.
        delivery_timeout_s: after so long without an answer an event counts as failed.
        close_timeout_s: how long closing waits for what is left.
        kafka: further librdkafka properties, such as ``security.protocol``.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        bootstrap: str | None = None,
        on_error: OnError | None = None,
        max_buffered: int = 100_000,
        max_buffered_bytes: int = 256 << 20,
        linger_ms: float = 20,
        block: bool = False,
        block_timeout_s: float = 30.0,
        delivery_timeout_s: float = 120.0,
        close_timeout_s: float = 30.0,
        kafka: Mapping[str, Any] | None = None,
    ) -> None:
        settings = settings or Settings.load()
        self.topics = settings.topics
        self._on_error = on_error
        self._predictions = EventEncoder(Prediction, max_event_bytes=settings.max_event_bytes)
        self._actions = EventEncoder(Action, max_event_bytes=settings.max_event_bytes)
        self._delivery = Delivery(
            {
                "bootstrap.servers": bootstrap or settings.kafka_bootstrap,
                "linger.ms": linger_ms,
                "queue.buffering.max.messages": max_buffered,
                "queue.buffering.max.kbytes": -(-max_buffered_bytes // 1024),
                "message.max.bytes": settings.max_event_bytes + 4096,
                "message.timeout.ms": int(delivery_timeout_s * 1000),
                **(kafka or {}),
            },
            on_failure=self._failed_to_deliver,
            block_timeout_s=block_timeout_s if block else 0.0,
            close_timeout_s=close_timeout_s,
        )

    def predict(
        self,
        model: str,
        prediction: float | str | bool | None = None,
        *,
        prediction_id: str | None = None,
        score: float | None = None,
        scores: dict[str, float] | None = None,
        features: Mapping[str, float | str | bool | None] | None = None,
        segments: dict[str, str] | None = None,
        variants: dict[str, str] | None = None,
        version: str = "",
        entity_id: str = "",
        ts: datetime | None = None,
        latency_ms: float | None = None,
        cost_usd: float | None = None,
        generation: Generation | None = None,
        trace_id: str = "",
        attributes: Mapping[str, float | str | bool | None] | None = None,
    ) -> str:
        """Send a prediction and return its id, for `act`: a new UUIDv7 unless one is given. `ts` is now by default.

        A NaN among the features leaves as null, which means missing; anywhere else it makes the event invalid.

        Raises:
            InvalidEvent: the stream would refuse it; nothing was sent.
            BufferFull: the buffer has no room (with `block`: for too long); nothing was sent.
            DeliveryError: the client is closed, or Kafka's library refuses the event; nothing was sent.
        """
        return self.send_prediction(
            Prediction(
                prediction_id=uuid7() if prediction_id is None else prediction_id,
                model=model,
                ts=datetime.now(UTC) if ts is None else ts,
                version=version,
                entity_id=entity_id,
                prediction=prediction,
                score=score,
                scores=scores,
                features=features,  # pyright: ignore[reportArgumentType]  (read only)
                segments=segments,
                variants=variants,
                latency_ms=latency_ms,
                cost_usd=cost_usd,
                generation=generation,
                trace_id=trace_id,
                attributes=attributes,  # pyright: ignore[reportArgumentType]  (read only)
            )
        )

    def act(
        self,
        prediction_id: str,
        name: str,
        value: float | str | bool | None = None,
        *,
        ts: datetime | None = None,
        actor: str = "user",
        attributes: Mapping[str, float | str | bool | None] | None = None,
        action_id: str | None = None,
    ) -> str:
        """Send what was done about a prediction and return the action's id: a new UUIDv7 unless one is given.

        Give an `action_id` of your own where a call may be repeated: the same id twice counts once.

        Raises:
            InvalidEvent, BufferFull, DeliveryError: as `predict`.
        """
        return self.send_action(
            Action(
                action_id=uuid7() if action_id is None else action_id,
                prediction_id=prediction_id,
                name=name,
                ts=datetime.now(UTC) if ts is None else ts,
                value=value,
                actor=actor,
                attributes=attributes,  # pyright: ignore[reportArgumentType]  (read only)
            )
        )

    def send_prediction(self, event: Prediction, *, headers: Headers | None = None) -> str:
        """Send a prediction as it is; returns its id. Raises as `predict`."""
        value, read = self._predictions.encode(event)
        self._delivery.send(self.topics.predictions, read.prediction_id.encode(), value, headers)
        return read.prediction_id

    def send_action(self, event: Action, *, headers: Headers | None = None) -> str:
        """Send an action as it is; returns its id. Raises as `predict`."""
        value, read = self._actions.encode(event)
        self._delivery.send(self.topics.actions, read.prediction_id.encode(), value, headers)
        return read.action_id

    def watermark(self, ts: datetime, *, headers: Headers | None = None, timeout_s: float = 60.0) -> None:
        """Say on every partition of both topics that everything up to `ts` (aware) has been sent. Blocks.

        What was sent before is flushed first, so that no event can follow its own watermark.

        Raises:
            DeliveryError: something did not arrive; then no watermark was sent, or not everywhere.
            ServiceUnavailable: the brokers don't answer, or don't know the topics.
        """
        marked = {**(headers or {}), WATERMARK: encode_watermark(ts)}
        self._delivery.flush(timeout_s)
        for topic, partitions in [(topic, self._delivery.partitions(topic)) for topic in self.topics.inputs]:
            for partition in range(partitions):
                self._delivery.send(topic, None, b"", marked, partition)
        self._delivery.flush(timeout_s)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything sent so far is confirmed, at most `timeout_s`.

        Raises:
            DeliveryError: something is unconfirmed, or failed since this was last raised.
        """
        self._delivery.flush(timeout_s)

    def raise_failures(self) -> None:
        """Raise the DeliveryError of events that failed since this was last raised, without waiting."""
        self._delivery.raise_failures()

    @property
    def delivered(self) -> int:
        """Records that Kafka has confirmed (watermarks count too)."""
        return self._delivery.delivered

    @property
    def failed(self) -> int:
        """Records that were taken and did not arrive."""
        return self._delivery.failed

    @property
    def undelivered(self) -> int:
        """Records that are still on their way."""
        return self._delivery.undelivered

    def close(self) -> None:
        """Flush for up to `close_timeout_s`, then give up what is left and close. Closing twice does nothing.

        Raises:
            DeliveryError: as `flush`.
        """
        self._delivery.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DeliveryError as lost:
            # The exception that is on its way says more than what it kept from being delivered.
            if exc is None:
                raise
            exc.add_note(f"and closing Loopwatch failed: {lost}")

    def _failed_to_deliver(self, message: Message, error: DeliveryError) -> None:
        value = message.value()
        if self._on_error is None or not value:
            return
        try:
            if message.topic() == self.topics.predictions:
                event = prediction_decoder(len(value)).decode(value)
            else:
                event = action_decoder(len(value)).decode(value)
        except InvalidEvent:  # it was valid when it was taken, so this would be ours
            return
        self._on_error(event, error)
