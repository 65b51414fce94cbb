"""Segments that are features: what `segments` of a model names and the service sent as a feature only."""

from collections.abc import Sequence

from ...schemas.events import MAX_LABEL_LENGTH, MAX_SEGMENTS, Prediction
from ...schemas.labels import number_text


def add_segments(event: Prediction, keys: Sequence[str]) -> None:
    """Give the event segments out of its features, for those `keys` that it has no segment of.

    >>> from datetime import datetime
    >>> event = Prediction("p", "ctr", datetime.now(), features={"country": "de"}, segments={"age": "30-39"})
    >>> add_segments(event, ["country", "age"])
    >>> event.segments
    {'age': '30-39', 'country': 'de'}
    """
    features, segments = event.features, event.segments or {}
    if not features:
        return
    for key in keys:
        value = features.get(key)
        if value is not None and key not in segments and len(segments) < MAX_SEGMENTS:
            segments[key] = _text(value)
    event.segments = segments or None


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value[:MAX_LABEL_LENGTH] if isinstance(value, str) else number_text(value)
