"""Records to Kafka: a bounded buffer, exact accounts of what arrived, and no silent loss."""

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ..schemas.errors import BufferFull, DeliveryError, ServiceUnavailable

log = logging.getLogger(__name__)

Headers = Mapping[str, bytes]
OnFailure = Callable[[Message, DeliveryError], None]

_POLL_S = 0.1
_SLICE_S = 0.5
_METADATA_TIMEOUT_S = 10.0
# Producers of a parent process: their threads don't exist in the child, so that destroying them there would hang.
_left_to_parents: list[Producer] = []


class Delivery:
    """Sends records, keyed by murmur2, in order within a partition, each once (idempotent, acks=all).

    Safe for threads. After a fork the child starts with an empty buffer and its own connection; what was buffered
    before is the parent's to deliver. `on_failure` runs in whichever thread learns of it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        on_failure: OnFailure,
        block_timeout_s: float,
        close_timeout_s: float,
    ) -> None:
        self._config = {
            "client.id": "loopwatch",
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            **config,
            "on_delivery": self._delivered_or_failed,
            "error_cb": self._on_error,
            "logger": log,
        }
        self._on_failure = on_failure
        self._block_timeout_s = block_timeout_s
        self._close_timeout_s = close_timeout_s
        self._closed = False
        self._start()
        if hasattr(os, "register_at_fork"):
            ref = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: (live := ref()) and live._after_fork())
        # This keeps an object that was never closed alive until the exit: collecting it would lose what it holds.
        atexit.register(self._close_at_exit)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._accepted = self._delivered = self._failed = 0
        self._unraised: list[DeliveryError] = []
        self._unraised_count = 0
        self._last_error = ""
        self._polled_at = 0.0

    @property
    def accepted(self) -> int:
        """Records taken into the buffer since the start."""
        return self._accepted

    @property
    def delivered(self) -> int:
        """Records that every in-sync replica has confirmed."""
        return self._delivered

    @property
    def failed(self) -> int:
        """Records given up: they are not in Kafka, or nobody knows."""
        return self._failed

    @property
    def undelivered(self) -> int:
        """Records still on their way."""
        return self._accepted - self._delivered - self._failed

    def send(
        self, topic: str, key: bytes | None, value: bytes, headers: Headers | None = None, partition: int = -1
    ) -> None:
        """Take a record into the buffer; a normal return promises nothing about its arrival.

        Blocks only while the buffer is full, and at most `block_timeout_s`.

        Raises:
            BufferFull: no room; the record was not taken.
            DeliveryError: closed, or librdkafka refuses it (too large, a fatal error); it was not taken.
        """
        producer = self._producer or self._connected()
        deadline = 0.0
        while True:
            try:
                producer.produce(topic, value, key, partition, headers=dict(headers) if headers else None)
                break
            except BufferError as exc:
                now = time.monotonic()
                deadline = deadline or now + self._block_timeout_s
                if now >= deadline:
                    raise BufferFull(self._full_message()) from exc
                producer.poll(min(0.05, deadline - now))
            except KafkaException as exc:
                raise DeliveryError(f"{topic}: the record was not taken: {exc.args[0].str()}") from exc
        with self._lock:
            self._accepted += 1
        producer.poll(0)
        self._polled_at = time.monotonic()

    def flush(self, timeout_s: float) -> None:
        """Wait until all that was taken is confirmed, at most `timeout_s`.

        Raises:
            DeliveryError: something is still on its way, or failed since it was last raised.
        """
        deadline = time.monotonic() + timeout_s
        if self._producer is not None:
            while self.undelivered > 0:
                left = deadline - time.monotonic()
                # In slices: Ctrl-C isn't seen inside librdkafka.
                self._producer.flush(max(0.0, min(_SLICE_S, left)))
                if left <= 0:
                    break
        self.raise_failures()
        if self.undelivered > 0:
            why = f": {self._last_error}" if self._last_error else ""
            raise DeliveryError(f"{self.undelivered:,} records are not confirmed after {timeout_s:g} s{why}")

    def raise_failures(self) -> None:
        """Raise what failed since it was last raised: the first failure, with their number."""
        with self._lock:
            failures, count = self._unraised, self._unraised_count
            self._unraised, self._unraised_count = [], 0
        if failures:
            more = f" (and {count - 1:,} more)" if count > 1 else ""
            raise DeliveryError(f"{failures[0]}{more}") from failures[0]

    def partitions(self, topic: str) -> int:
        """The topic's number of partitions, from the brokers. Blocks for up to 10 s.

        Raises:
            ServiceUnavailable: no broker answers, or the topic does not exist.
        """
        address = self._config["bootstrap.servers"]
        try:
            known = self._connected().list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic]
        except KafkaException as exc:
            raise ServiceUnavailable(address, exc.args[0].str()) from exc
        if known.error is not None or not known.partitions:
            raise ServiceUnavailable(address, f"no topic {topic}: create the topics with `loopwatch topics`")
        return len(known.partitions)

    def close(self) -> None:
        """Flush, then give up what is left: `on_failure` hears of each record. Closing twice does nothing.

        Raises:
            DeliveryError: as `flush`.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        try:
            self.flush(self._close_timeout_s)
        finally:
            producer, self._producer = self._producer, None
            if producer is not None and self.undelivered > 0:
                producer.purge()
                producer.flush(1.0)

    def _connected(self) -> Producer:
        with self._lock:
            if self._closed:
                raise DeliveryError("this client is closed: nothing can be sent through it any more")
            if self._producer is None:
                try:
                    self._producer = Producer(self._config)
                except KafkaException as exc:
                    raise DeliveryError(f"no Kafka producer with this configuration: {exc.args[0].str()}") from exc
                threading.Thread(
                    target=self._serve, args=(os.getpid(),), name="loopwatch-delivery", daemon=True
                ).start()
            return self._producer

    def _serve(self, pid: int) -> None:
        """Hear of deliveries while the service sends nothing; while it sends, `send` does that."""
        pause = threading.Event()
        while not pause.wait(_POLL_S) and not self._closed and os.getpid() == pid:
            producer = self._producer
            if producer is not None and time.monotonic() - self._polled_at > _POLL_S:
                producer.poll(0)

    def _delivered_or_failed(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            with self._lock:
                self._delivered += 1
            return
        failure = DeliveryError(f"{message.topic()}: a record was not delivered: {error.str()}")
        with self._lock:
            self._failed += 1
            self._unraised_count += 1
            if not self._unraised:
                self._unraised.append(failure)
        try:
            self._on_failure(message, failure)
        except Exception:
            log.exception("on_error raised")

    def _on_error(self, error: KafkaError) -> None:
        # librdkafka's own log, on our logger, says it already.
        self._last_error = error.str()

    def _full_message(self) -> str:
        waited = f" for {self._block_timeout_s:g} s" if self._block_timeout_s else ""
        why = f"; last error: {self._last_error}" if self._last_error else ""
        return f"the buffer is full{waited} ({self.undelivered:,} records on their way){why}"

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except DeliveryError as exc:
            log.error("events were lost at exit: %s", exc)

    def _after_fork(self) -> None:
        if self._producer is not None:
            _left_to_parents.append(self._producer)
        self._start()
