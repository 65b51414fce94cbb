"""Events and records at whole seconds from noon, for tests that read as sentences."""

from datetime import UTC, datetime, timedelta

import msgspec
from loopwatch.schemas.events import Action, Prediction, Scalar

from .log import Record

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
SECOND = 1_000_000


def us(seconds: float) -> int:
    """An instant in µs since 1970, from seconds after noon."""
    return NOON_US + int(seconds * SECOND)


def prediction(prediction_id: str, seconds: float = 0, model: str = "m") -> Prediction:
    """A prediction at some seconds after noon."""
    return Prediction(prediction_id, model, NOON + timedelta(seconds=seconds))


def action(
    prediction_id: str, action_id: str = "a", seconds: float = 0, name: str = "click", value: Scalar = None
) -> Action:
    """An action at some seconds after noon."""
    return Action(action_id, prediction_id, name, NOON + timedelta(seconds=seconds), value)


def record(
    offset: int, event: Prediction | Action | bytes | None, headers: tuple[tuple[str, bytes], ...] = ()
) -> Record:
    """A record without a key, of an event or of raw bytes."""
    value = msgspec.json.encode(event) if isinstance(event, Prediction | Action) else event
    return Record(offset, None, value, headers)
