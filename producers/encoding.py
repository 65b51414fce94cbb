"""Events to bytes, checked on the way out by the decoder that reads them in the stream."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from ..schemas.decode import DEFAULT_MAX_EVENT_BYTES, EventDecoder
from ..schemas.errors import InvalidEvent, RejectReason
from ..schemas.events import Action, Prediction

E = TypeVar("E", Prediction, Action)

# JSON has no NaN: in these it would leave as null, that is, be lost without a word. In features null means missing.
_NUMBERS = {Prediction: ("prediction", "score", "latency_ms", "cost_usd"), Action: ("value",)}


class EventEncoder(Generic[E]):
    """Encodes one type of event; keep one, its construction compiles the type.

    Numbers and texts of numpy and pandas are taken as what they hold.
    """

    def __init__(self, event_type: type[E], *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._encode = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode
        self._decode = EventDecoder(event_type, max_event_bytes=max_event_bytes).decode
        self._numbers = _NUMBERS[event_type]

    def encode(self, event: E) -> tuple[bytes, E]:
        """The event's JSON, and the event as the stream will read it.

        Raises:
            InvalidEvent: the stream would refuse it; the detail names the field.
        """
        try:
            value = self._encode(event)
        except UnicodeEncodeError as exc:
            raise InvalidEvent(RejectReason.NOT_JSON, "text that cannot be UTF-8 (a lone surrogate)") from exc
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as exc:
            raise InvalidEvent(RejectReason.SCHEMA, str(exc)) from exc
        read = self._decode(value)
        for name in self._numbers:
            if getattr(read, name) is None and getattr(event, name) is not None:
                raise InvalidEvent(
                    RejectReason.SCHEMA, f"Expected a finite number, got NaN or infinity - at `$.{name}`"
                )
        return value, read


def _plain(value: Any) -> Any:
    """What a scalar or array of another library holds, for types that msgspec doesn't know."""
    if isinstance(value, datetime):
        return value.isoformat()
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} cannot be sent: use a number, text or bool")
