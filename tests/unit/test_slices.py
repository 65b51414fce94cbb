"""Slices that `segments` of a model names: of what the service sends, or of its features."""

from typing import Any

import pytest
from loopwatch.schemas.events import MAX_LABEL_LENGTH, MAX_SEGMENTS
from loopwatch.stream_processors.join.slices import add_segments

from ..simulation.events import prediction

FULL = {str(each): "" for each in range(MAX_SEGMENTS)}


@pytest.mark.parametrize(
    ("features", "segments", "expected"),
    [
        ({"country": "de", "other": 1.0}, None, {"country": "de"}),
        ({"age": 31.0, "new": False}, {"country": "fr"}, {"country": "fr", "age": "31", "new": "false"}),
        ({"country": "de"}, {"country": "fr"}, {"country": "fr"}),
        ({"country": None}, None, None),
        (None, {"country": "fr"}, {"country": "fr"}),
        ({"country": "x" * 5000}, None, {"country": "x" * MAX_LABEL_LENGTH}),
        (
            {"country": "de"},
            {str(each): "" for each in range(MAX_SEGMENTS)},
            {str(each): "" for each in range(MAX_SEGMENTS)},
        ),
    ],
)
def test_a_feature_becomes_a_segment_where_there_is_none(
    features: dict[str, Any] | None, segments: dict[str, str] | None, expected: dict[str, str] | None
) -> None:
    event = prediction("p")
    event.features, event.segments = features, segments
    add_segments(event, ("country", "age", "new"))
    assert event.segments == expected
