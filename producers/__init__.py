"""How events get to Kafka: the client that services use, and replays of histories."""

from ..schemas.errors import BufferFull, DeliveryError, InvalidEvent
from ..schemas.events import Action, Generation, Prediction, Retrieved
from .client import Loopwatch

__all__ = [
    "Action",
    "BufferFull",
    "DeliveryError",
    "Generation",
    "InvalidEvent",
    "Loopwatch",
    "Prediction",
    "Retrieved",
]
