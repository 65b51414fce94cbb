"""What a dead letter may carry: shape and ids, never values; and that nothing breaks it."""

import json
from datetime import UTC, datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from loopwatch.schemas.dead_letters import DeadLetter
from loopwatch.schemas.errors import RejectReason
from loopwatch.schemas.redaction import redact, redact_key


def test_structure_keys_and_ids_stay_and_values_go() -> None:
    event = {
        "prediction_id": "p-1",
        "action_id": "a-1",
        "model": "ctr",
        "name": "click",
        "ts": "2024-07-15T12:00:00+02:00",
        "entity_id": "jane@example.org",
        "score": 1.7,
        "flag": True,
        "none": None,
        "features": {"iban": "DE02", "nested": {"name": "Jane", "ids": [1, 2]}},
    }
    assert json.loads(redact(json.dumps(event).encode())) == {
        "prediction_id": "p-1",
        "action_id": "a-1",
        "model": "ctr",
        "name": "click",
        "ts": "2024-07-15T12:00:00+02:00",
        "entity_id": "***",
        "score": "***",
        "flag": True,
        "none": None,
        "features": {"iban": "***", "nested": {"name": "***", "ids": ["***", "***"]}},
    }


def test_ids_that_are_no_short_text_are_masked() -> None:
    event = {"prediction_id": "x" * 129, "model": 7, "ts": "around noon", "name": "a\nb", "action_id": ""}
    assert set(json.loads(redact(json.dumps(event).encode())).values()) == {"***"}


def test_long_lists_say_how_much_was_cut() -> None:
    assert json.loads(redact(b'{"e": [1,2,3,4,5]}')) == {"e": ["***", "***", "***", "… 2 more"]}


def test_many_keys_are_cut_within_the_limit_and_stay_json() -> None:
    event = {f"feature-{i}": i for i in range(10_000)}
    redacted = redact(json.dumps(event).encode())
    assert len(redacted) <= 2048
    assert json.loads(redacted)["…"].endswith(" more")


def test_what_is_no_json_is_masked_to_its_punctuation() -> None:
    assert redact(b"card=4929;pin=12\n") == b"****=****;***=**. (17 bytes)"


def test_text_beyond_ascii_is_masked_too() -> None:
    redacted = redact("имя=Жанна".encode())
    assert redacted.isascii()
    assert not any(chr(code).isalpha() for code in redacted.split(b" (")[0])


def test_framed_json_is_read() -> None:
    assert redact(b'\x00\x00\x00\x00\x01{"model":"m","x":1}') == b'{"model":"m","x":"***"}'


def test_deep_and_large_values_are_survived() -> None:
    for data in (
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 500 + b"]" * 500,
        b"9" * 5_000_000,
        b"[1" + b",1" * 2_499_999,
    ):
        assert len(redact(data)) <= 2048
    assert b'"a"' in redact(b'{"a":"' + b"x" * 5_000_000 + b'"}')


def test_nothing_at_all_stays_nothing() -> None:
    assert redact(None) == redact(b"") == b""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=80), inner, max_size=8),
    max_leaves=40,
)


@settings(max_examples=150, deadline=None)
@given(json_values, st.integers(64, 4096))
def test_any_json_stays_within_the_limit_as_utf8(document: object, limit: int) -> None:
    redacted = redact(msgspec.json.encode(document), limit)
    assert len(redacted) <= limit
    redacted.decode()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    redact(data).decode()
    redact_key(data).encode()


def test_a_key_that_is_an_id_stays_and_another_is_masked() -> None:
    assert redact_key(b"0190b5f0-1234") == "0190b5f0-1234"
    assert redact_key(None) == ""
    assert "jane" not in redact_key(b"jane\x00doe")
    assert "x" not in redact_key(b"x" * 200)
    assert redact_key(b"\xff\xfe") == "** (2 bytes)"


def test_a_dead_letter_points_at_its_record() -> None:
    now = datetime(2024, 7, 15, tzinfo=UTC)
    letter = DeadLetter.of("t", 3, 9, RejectReason.SCHEMA, "detail", b"p-1", b'{"model":"m","x":"secret"}', now)
    assert msgspec.json.decode(msgspec.json.encode(letter), type=DeadLetter) == letter
    assert (letter.key, letter.value) == ("p-1", '{"model":"m","x":"***"}')
