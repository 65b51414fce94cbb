"""Every error Loopwatch raises on purpose, under one root.

::

    LoopwatchError
    ├── ConfigError             loopwatch.yaml says something that cannot be meant (lists every mistake)
    ├── SettingsError           a setting of the environment or the command line has no usable value
    ├── ServiceUnavailable      Kafka, ClickHouse or a webhook cannot be reached at its address
    ├── InvalidEvent            a record that is no prediction or action; carries a `RejectReason`
    ├── FencedError             another worker owns the partition now: this one must stop writing it
    ├── PoisonLimitExceeded     so many of the latest records are invalid that going on would hide a broken producer
    ├── DeliveryError           an event that was handed over did not reach Kafka
    │   └── BufferFull          …because the producer's buffer has no room: slow down, then try again
    └── EmbeddedServiceError    the embedded broker or ClickHouse did not start, or stopped

Errors of libraries are translated at the edge where they appear, with ``raise … from exc``.
"""

from collections.abc import Sequence
from enum import StrEnum


class LoopwatchError(Exception):
    """Root of the errors Loopwatch raises on purpose."""


class ConfigError(LoopwatchError):
    """A mistake in ``loopwatch.yaml``: `path` (``models.ctr.outcomes.click.window``) and what to write there instead.

    `problems` holds every mistake as ``(path, message)``; `path` and `message` are those of the first.

    >>> print(ConfigError("defaults.disorder", "'soon' is not a duration: write 10s, 30m, 1h or 7d"))
    defaults.disorder: 'soon' is not a duration: write 10s, 30m, 1h or 7d
    """

    def __init__(self, path: str, message: str, others: Sequence[tuple[str, str]] = (), source: str = "") -> None:
        super().__init__(path, message, others, source)
        self.path = path
        self.message = message
        self.problems: tuple[tuple[str, str], ...] = ((path, message), *others)
        self.source = source

    def __str__(self) -> str:
        lines = [f"{path}: {message}" if path else message for path, message in self.problems]
        if len(lines) == 1:
            return f"{self.source}: {lines[0]}" if self.source else lines[0]
        where = f"{self.source} has" if self.source else "the configuration has"
        return "\n  ".join([f"{where} {len(lines)} mistakes:", *lines])


class SettingsError(LoopwatchError):
    """A setting (environment variable, option, topic prefix) has no usable value; the message names it."""


class ServiceUnavailable(LoopwatchError):
    """A service cannot be reached, or does not answer, at `address`."""

    def __init__(self, address: str, detail: str = "no answer") -> None:
        super().__init__(address, detail)
        self.address = address
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.address}: {self.detail}"


class RejectReason(StrEnum):
    """Why a record is not an event. The values go to ``dead_letters.reason``."""

    EMPTY = "empty"
    """No value: null or zero bytes."""
    TOO_LARGE = "too_large"
    """More bytes than the decoder takes (``max_event_bytes``)."""
    NOT_JSON = "not_json"
    """Not one JSON document, or text that cannot be UTF-8 (a lone surrogate)."""
    NOT_UTF8 = "not_utf8"
    """Bytes that are not UTF-8."""
    TOO_DEEP = "too_deep"
    """Nested so deep that parsing was given up."""
    SCHEMA = "schema"
    """JSON, but a field is missing, of another type, or out of its bounds."""
    TIMESTAMP_RANGE = "timestamp_range"
    """``ts`` is outside 1971–2199: usually seconds taken for milliseconds, or a clock never set."""
    FRAMING = "framing"
    """Starts like Confluent's schema-registry framing, but no JSON object follows."""


class InvalidEvent(LoopwatchError):
    """A record that is no valid event. `detail` names the field and never holds its value."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class FencedError(LoopwatchError):
    """Another worker owns the partition: what this one still holds for it must not be written or committed."""

    def __init__(self, topic: str, partition: int, detail: str = "another worker owns it now") -> None:
        super().__init__(topic, partition, detail)
        self.topic = topic
        self.partition = partition
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]: {self.detail}"


class PoisonLimitExceeded(LoopwatchError):
    """Too many of the latest records are invalid: stop, and let a person look, before all become dead letters."""


class DeliveryError(LoopwatchError):
    """An event that was handed to a producer did not reach Kafka."""


class BufferFull(DeliveryError):
    """The producer's buffer has no room: the event was not taken. Slow down, then try again."""


class EmbeddedServiceError(LoopwatchError):
    """The embedded broker or ClickHouse did not start, or stopped by itself."""
