"""What services use: the client that gets events to Kafka, and the verifier of webhooks that they receive."""

from ..infra.webhook_signature import InvalidWebhook, Once, Refusal, WebhookVerifier
from ..schemas.errors import BufferFull, DeliveryError, InvalidEvent
from ..schemas.events import Action, Generation, Prediction, Retrieved
from .client import Loopwatch

__all__ = [
    "Action",
    "BufferFull",
    "DeliveryError",
    "Generation",
    "InvalidEvent",
    "InvalidWebhook",
    "Loopwatch",
    "Once",
    "Prediction",
    "Refusal",
    "Retrieved",
    "WebhookVerifier",
]
