"""Decoding: what is an event, what is refused, and that a batch never raises."""

import json
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopwatch.schemas import examples
from loopwatch.schemas.decode import DEFAULT_MAX_EVENT_BYTES, MAX_DETAIL_LENGTH, action_decoder, prediction_decoder
from loopwatch.schemas.errors import InvalidEvent, RejectReason
from loopwatch.schemas.events import Action, Prediction

MINIMAL = {"prediction_id": "p-1", "model": "m", "ts": "2024-07-15T12:00:00Z"}
SECRET = "4929-1234-5678"

predictions = prediction_decoder()
actions = action_decoder()


def value(**fields: object) -> bytes:
    return json.dumps({**MINIMAL, **fields}).encode()


def raw(field: str, text: str) -> bytes:
    """A prediction with one more field whose JSON is `text`, as it stands."""
    return b'{"prediction_id":"p","model":"m","ts":"2024-07-15T12:00:00Z","%s":%s}' % (field.encode(), text.encode())


def refusal(data: bytes | None) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        predictions.decode(data)
    return caught.value


def test_a_minimal_prediction_gets_the_defaults() -> None:
    event = predictions.decode(value())
    assert event == Prediction("p-1", "m", datetime(2024, 7, 15, 12, tzinfo=UTC))
    assert (event.version, event.entity_id, event.trace_id, event.features, event.score) == ("", "", "", None, None)


def test_examples_survive_the_round_trip() -> None:
    for example in (examples.PREDICTION, examples.GENERATION):
        assert predictions.decode(msgspec.json.encode(example)) == example
    assert actions.decode(msgspec.json.encode(examples.ACTION)) == examples.ACTION


def test_fields_we_do_not_know_are_skipped() -> None:
    assert predictions.decode(value(tomorrow={"deep": [1, {"x": None}]})) == predictions.decode(value())


def test_an_offset_is_read_as_the_same_instant() -> None:
    event = predictions.decode(value(ts="2024-07-15T17:30:00+05:30"))
    assert event.ts == datetime(2024, 7, 15, 12, tzinfo=UTC)


def test_null_for_an_optional_text_is_as_if_it_were_left_out() -> None:
    nulls = value(version=None, entity_id=None, trace_id=None, score=None, generation={"provider": None})
    assert predictions.decode(nulls) == predictions.decode(value(generation={}))
    assert (
        actions.decode(json.dumps({**MINIMAL, "action_id": "a", "name": "n", "actor": None}).encode()).actor == "user"
    )


def test_null_for_a_required_field_is_refused() -> None:
    assert "model" in refusal(value(model=None)).detail


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(None, RejectReason.EMPTY, id="null"),
        pytest.param(b"", RejectReason.EMPTY, id="no bytes"),
        pytest.param(b" " * (DEFAULT_MAX_EVENT_BYTES + 1), RejectReason.TOO_LARGE, id="too large"),
        pytest.param(b"hello", RejectReason.NOT_JSON, id="text"),
        pytest.param(value() + b"x", RejectReason.NOT_JSON, id="something behind it"),
        pytest.param(value()[:-1], RejectReason.NOT_JSON, id="truncated"),
        pytest.param(b"[]", RejectReason.SCHEMA, id="a list"),
        pytest.param(b"null", RejectReason.SCHEMA, id="json null"),
        pytest.param(raw("entity_id", '"x\\ud800"'), RejectReason.NOT_JSON, id="lone high surrogate"),
        pytest.param(raw("entity_id", '"x\\udc00 y"'), RejectReason.NOT_JSON, id="lone low surrogate"),
        pytest.param(raw("features", '{"\\ud800":1}'), RejectReason.NOT_JSON, id="lone surrogate in a key"),
        pytest.param(value().replace(b"p-1", b"p\xff1"), RejectReason.NOT_UTF8, id="latin-1"),
        pytest.param(value().replace(b"p-1", b"\xed\xa0\x80"), RejectReason.NOT_UTF8, id="surrogate as bytes"),
        pytest.param(raw("other", "[" * 100_000), RejectReason.TOO_DEEP, id="deep list"),
        pytest.param(raw("other", '{"a":' * 100_000), RejectReason.TOO_DEEP, id="deep object"),
        pytest.param(value(prediction_id=""), RejectReason.SCHEMA, id="empty id"),
        pytest.param(value(prediction_id="x" * 129), RejectReason.SCHEMA, id="long id"),
        pytest.param(value(model=""), RejectReason.SCHEMA, id="empty model"),
        pytest.param(value(score=1.01), RejectReason.SCHEMA, id="score above 1"),
        pytest.param(value(score=-0.01), RejectReason.SCHEMA, id="score below 0"),
        pytest.param(value(features={"f": [1]}), RejectReason.SCHEMA, id="list as feature"),
        pytest.param(value(features={"": 1}), RejectReason.SCHEMA, id="nameless feature"),
        pytest.param(value(features={"x" * 257: 1}), RejectReason.SCHEMA, id="long feature name"),
        pytest.param(value(features={f"f{i}": i for i in range(1001)}), RejectReason.SCHEMA, id="1001 features"),
        pytest.param(value(segments={f"s{i}": "x" for i in range(21)}), RejectReason.SCHEMA, id="21 segments"),
        pytest.param(value(generation={"embedding": [0] * 16_385}), RejectReason.SCHEMA, id="long embedding"),
        pytest.param(value(generation={"retrieved": [{"doc_id": "d"}] * 1001}), RejectReason.SCHEMA, id="1001 docs"),
        pytest.param(value(generation={"prompt": "x" * 1_000_001}), RejectReason.SCHEMA, id="long prompt"),
        pytest.param(raw("prediction", "NaN"), RejectReason.NOT_JSON, id="NaN"),
        pytest.param(raw("prediction", "1e999"), RejectReason.SCHEMA, id="infinite prediction"),
        pytest.param(raw("features", '{"f":1e999}'), RejectReason.SCHEMA, id="infinite feature"),
        pytest.param(raw("features", '{"f":' + "9" * 400 + "}"), RejectReason.SCHEMA, id="feature of 400 digits"),
        pytest.param(raw("prediction", str(2**63)), RejectReason.SCHEMA, id="whole number beyond 64 bits"),
        pytest.param(raw("prediction", str(-(2**63) - 1)), RejectReason.SCHEMA, id="whole number below 64 bits"),
        pytest.param(raw("prediction", "9" * 5000), RejectReason.SCHEMA, id="5000 digits"),
        pytest.param(value(ts="2024-07-15T12:00:00"), RejectReason.SCHEMA, id="no offset"),
        pytest.param(value(ts=1721044800), RejectReason.SCHEMA, id="unix seconds"),
        pytest.param(value(ts="1970-01-20T22:04:04Z"), RejectReason.TIMESTAMP_RANGE, id="1970"),
        pytest.param(value(ts="1970-12-31T23:59:59.999999Z"), RejectReason.TIMESTAMP_RANGE, id="just before 1971"),
        pytest.param(value(ts="2200-01-01T00:00:00Z"), RejectReason.TIMESTAMP_RANGE, id="2200"),
        pytest.param(value(ts="9999-12-31T23:59:59-14:00"), RejectReason.TIMESTAMP_RANGE, id="beyond UTC's last year"),
        pytest.param(value(ts="0001-01-01T00:00:00+14:00"), RejectReason.TIMESTAMP_RANGE, id="before UTC's first year"),
        pytest.param(b"\x00\x00\x00\x00", RejectReason.FRAMING, id="half a frame"),
        pytest.param(b"\x00\x00\x00\x00\x07\x02\x06abc", RejectReason.FRAMING, id="framed Avro"),
        pytest.param(b"\x00\x00\x00\x00\x07{", RejectReason.NOT_JSON, id="framed half JSON"),
        pytest.param(b"\x00\x00\x00\x00\x07" + value(score=7), RejectReason.SCHEMA, id="framed, wrong"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(data: bytes | None, reason: RejectReason) -> None:
    error = refusal(data)
    assert error.reason is reason
    assert error.detail
    assert len(error.detail) <= MAX_DETAIL_LENGTH


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0, 1e300, 5e-324])
def test_numbers_at_the_edge_are_taken(number: float) -> None:
    assert predictions.decode(value(prediction=number)).prediction == number


def test_the_first_and_last_instants_are_taken() -> None:
    for ts in ("1971-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z"):
        assert predictions.decode(value(ts=ts)).ts.year in (1971, 2199)


def test_nul_characters_are_text_like_any_other() -> None:
    event = predictions.decode(value(prediction_id="a\0b", features={"\0": "\0"}))
    assert predictions.decode(msgspec.json.encode(event)) == event


@pytest.mark.parametrize(
    "data",
    [
        value(score=SECRET),
        value(prediction_id=[SECRET]),
        value(features={SECRET: {"x": SECRET}}),
        value(scores={SECRET: SECRET}),
        value(segments={SECRET: SECRET * 100}),
        value(ts=SECRET),
        value(generation={"retrieved": [{"doc_id": "", "score": SECRET}]}),
        value(generation={"prompt": {"text": SECRET}}),
        SECRET.encode(),
        b"\x00\x00\x00\x00\x01" + SECRET.encode(),
        value(entity_id=SECRET)[:-1] + b"\xff",
        value(prediction=SECRET, ts="1966-01-01T00:00:00Z"),
    ],
)
def test_a_detail_never_holds_what_the_event_says(data: bytes) -> None:
    assert SECRET[:4] not in refusal(data).detail


def test_confluent_framing_is_unwrapped() -> None:
    assert predictions.decode(b"\x00\x00\x00\x01\x02" + value()) == predictions.decode(value())


def test_bad_records_leave_the_others_in_their_places() -> None:
    values: list[bytes | None] = [value(prediction_id=f"p{i}") for i in range(100)]
    bad: dict[int, bytes | None] = {
        0: None,
        7: b"",
        8: b"nonsense",
        31: value(ts="1969-01-01T00:00:00Z"),
        32: b"\x00\x00\x00\x00\x01avro",
        64: b" " * (DEFAULT_MAX_EVENT_BYTES + 1),
        99: value(score=2),
    }
    for index, data in bad.items():
        values[index] = data
    for index in (33, 34, 50):
        values[index] = b"\x00\x00\x00\x00\x09" + value(prediction_id=f"p{index}")
    batch = predictions.decode_batch(values)
    ids = [event and event.prediction_id for event in batch.events]
    assert ids == [None if i in bad else f"p{i}" for i in range(100)]
    assert [(rejected.index, rejected.reason.value) for rejected in batch.rejected] == [
        (0, "empty"),
        (7, "empty"),
        (8, "not_json"),
        (31, "timestamp_range"),
        (32, "framing"),
        (64, "too_large"),
        (99, "schema"),
    ]


def test_a_batch_of_nothing_but_odd_frames_is_refused_one_by_one() -> None:
    batch = predictions.decode_batch([b"\x00\x00\x00\x00\x01avro"] * 20_000)
    assert len(batch.rejected) == 20_000


def test_an_empty_batch_is_empty() -> None:
    batch = predictions.decode_batch([])
    assert (batch.events, batch.rejected) == ([], [])


def test_the_size_limit_is_an_argument() -> None:
    small = prediction_decoder(max_event_bytes=len(value()))
    assert small.decode(value())
    with pytest.raises(InvalidEvent, match="too_large"):
        small.decode(value() + b" ")


@pytest.mark.parametrize("field", ["features", "segments", "variants", "scores", "attributes"])
@pytest.mark.parametrize("name", ["", "x" * 257])
def test_a_name_out_of_bounds_costs_only_its_own_event(field: str, name: str) -> None:
    content = 0.5 if field == "scores" else "x"
    good = value(**{field: {"x" * 256: content, "y": content}})
    batch = predictions.decode_batch([good, value(**{field: {"y": content, name: content}}), good, None])
    assert [event is None for event in batch.events] == [False, True, False, True]
    assert [(r.index, r.reason) for r in batch.rejected] == [(1, RejectReason.SCHEMA), (3, RejectReason.EMPTY)]
    assert f"$.{field}" in batch.rejected[0].detail


def test_a_name_out_of_bounds_is_refused_in_attributes_of_actions_too() -> None:
    with pytest.raises(InvalidEvent, match="attributes"):
        actions.decode(value(action_id="a", name="n", attributes={"": 1}))


def test_an_event_with_several_odd_fields_is_refused_once() -> None:
    odd = value(features={"": 1}, segments={"": "x"}, ts="1969-01-01T00:00:00Z")
    assert len(predictions.decode_batch([value(), odd]).rejected) == 1


def test_events_share_the_names_of_their_features() -> None:
    """What keeps the hot state small: a bound in the type of the key would make msgspec build each key anew."""
    batch = predictions.decode_batch([value(features={"age": i, "price_eur": i}) for i in range(2)])
    first, second = (list(event.features or ()) for event in batch.events if event)
    assert all(a is b for a, b in zip(first, second, strict=True))


def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(value(features={"a": 1, "b": "x\u00e9"}, generation={"retrieved": [{"doc_id": "d"}]}))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data) - 1))
        data[position : position + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"\\ud800", b"null", b"1e999", b'"', b"{", b"\\u0000", b"9" * 30])
        )
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.composite(damaged)() | st.binary() | st.none() | st.just(value()), max_size=8))
def test_whatever_comes_a_batch_answers_for_every_record(values: list[bytes | None]) -> None:
    batch = predictions.decode_batch(values)
    assert len(batch.events) == len(values)
    assert [i for i, event in enumerate(batch.events) if event is None] == [r.index for r in batch.rejected]
    for event in batch.events:
        if event is not None:
            msgspec.json.encode(event).decode()
            event.ts.astimezone(UTC)


def test_whatever_comes_an_action_decodes_or_is_refused() -> None:
    source = random.Random(7)
    good = msgspec.json.encode(examples.ACTION)
    values = [bytes(b if source.random() > 0.02 else source.randrange(256) for b in good) for _ in range(2000)]
    batch = actions.decode_batch(values)
    assert len(batch.events) == 2000
    assert batch.rejected
    assert any(batch.events)


def test_a_datetime_of_another_offset_compares_as_an_instant() -> None:
    batch = predictions.decode_batch([value(ts="1970-12-31T23:30:00-01:00"), value(ts="1971-01-01T00:30:00+01:00")])
    assert [r.index for r in batch.rejected] == [1]
    first = batch.events[0]
    assert first is not None
    assert first.ts.utcoffset() == timedelta(hours=-1)


def test_actions_need_their_own_id_and_name() -> None:
    with pytest.raises(InvalidEvent, match="action_id"):
        actions.decode(value())
    decoded = actions.decode(value(action_id="a", name="click"))
    assert decoded == Action("a", "p-1", "click", datetime(2024, 7, 15, 12, tzinfo=UTC))
    assert decoded.actor == "user"
