"""Events are checked on the way out, by what the stream reads them with."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from loopwatch.producers.encoding import EventEncoder
from loopwatch.schemas.decode import EventDecoder
from loopwatch.schemas.errors import InvalidEvent, RejectReason
from loopwatch.schemas.events import Action, Prediction

TS = datetime(2024, 7, 15, 12, tzinfo=UTC)
PREDICTIONS = EventEncoder(Prediction)
ACTIONS = EventEncoder(Action)


class Stamp(datetime):
    """A time of a library, as pandas.Timestamp is one."""


def prediction(**fields: object) -> Prediction:
    return Prediction(**{"prediction_id": "p", "model": "m", "ts": TS, **fields})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"prediction_id": ""}, "$.prediction_id"),
        ({"prediction_id": "x" * 129}, "$.prediction_id"),
        ({"model": None}, "`model`"),
        ({"ts": datetime(2024, 7, 15)}, "$.ts"),
        ({"score": 1.5}, "$.score"),
        ({"score": float("nan")}, "$.score"),
        ({"prediction": float("inf")}, "$.prediction"),
        ({"prediction": np.float32("nan")}, "$.prediction"),
        ({"prediction": 2**70}, "$.prediction"),
        ({"latency_ms": float("nan")}, "$.latency_ms"),
        ({"scores": {"a": float("nan")}}, "$.scores"),
        ({"features": {"a": [1, 2]}}, "$.features"),
        ({"segments": {str(i): "x" for i in range(21)}}, "$.segments"),
    ],
)
def test_an_event_that_the_stream_would_refuse_is_refused_with_its_field(fields: dict[str, object], where: str):
    with pytest.raises(InvalidEvent) as caught:
        PREDICTIONS.encode(prediction(**fields))
    assert caught.value.reason is RejectReason.SCHEMA
    assert where in caught.value.detail


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (prediction(ts=datetime(1960, 1, 1, tzinfo=UTC)), RejectReason.TIMESTAMP_RANGE),
        (prediction(entity_id="\ud800"), RejectReason.NOT_JSON),
        (prediction(prediction=object()), RejectReason.SCHEMA),
    ],
)
def test_the_reason_says_what_kind_of_mistake(event: Prediction, reason: RejectReason):
    with pytest.raises(InvalidEvent) as caught:
        PREDICTIONS.encode(event)
    assert caught.value.reason is reason


def test_an_action_with_a_value_that_is_no_number_is_refused():
    with pytest.raises(InvalidEvent, match=r"\$\.value"):
        ACTIONS.encode(Action("a", "p", "purchase", TS, value=float("nan")))


def test_an_event_larger_than_the_stream_takes_is_refused():
    with pytest.raises(InvalidEvent) as caught:
        EventEncoder(Prediction, max_event_bytes=200).encode(prediction(features={"text": "x" * 200}))
    assert caught.value.reason is RejectReason.TOO_LARGE


def test_scalars_and_times_of_other_libraries_are_taken_as_what_they_hold():
    event = prediction(
        ts=Stamp(2024, 7, 15, 12, tzinfo=UTC),
        prediction=np.bool_(True),
        score=np.float32(0.5),
        features={"a": np.float64(2), "b": np.int64(3), "c": np.str_("x"), "d": Decimal("1.25")},
    )
    value, read = PREDICTIONS.encode(event)
    assert read == prediction(prediction=True, score=0.5, features={"a": 2.0, "b": 3.0, "c": "x", "d": 1.25})
    assert EventDecoder(Prediction).decode(value) == read


def test_a_feature_that_is_nan_leaves_as_missing():
    assert PREDICTIONS.encode(prediction(features={"a": float("nan")}))[1].features == {"a": None}
