"""Topics, headers, and errors: the small vocabulary."""

import inspect
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopwatch.schemas import errors
from loopwatch.schemas.errors import ConfigError, FencedError, InvalidEvent, LoopwatchError, SettingsError
from loopwatch.schemas.headers import decode_origin, decode_watermark, encode_origin, encode_watermark
from loopwatch.schemas.topics import Topics


def test_topics_carry_the_prefix() -> None:
    assert Topics("x.").all == ("x.predictions", "x.actions", "x.feedback", "x.signals", "x.alerts", "x.dead-letters")
    assert Topics().dead_letters == "loopwatch.dead-letters"


@pytest.mark.parametrize("prefix", ["a b", "ü.", "x/", "p" * 201, "a\n"])
def test_a_prefix_that_kafka_would_refuse_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match="prefix"):
        Topics(prefix)


@given(st.integers(0, 10**6), st.integers(0, 2**63 - 1))
def test_an_origin_is_read_as_it_is_written(partition: int, offset: int) -> None:
    assert decode_origin(encode_origin("AaH8fqFddhGa/BQbM54MSw", partition, offset), "AaH8fqFddhGa/BQbM54MSw") == (
        partition,
        offset,
    )


@given(st.binary(max_size=60))
def test_any_header_bytes_are_survived(value: bytes) -> None:
    decode_origin(value, "AaH8")
    decode_watermark(value)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1), timezones=st.just(timezone(timedelta(hours=5)))))
def test_a_watermark_is_read_as_it_is_written(instant: datetime) -> None:
    read = decode_watermark(encode_watermark(instant))
    assert read == instant
    assert read.tzinfo is UTC


@pytest.mark.parametrize("value", [None, b"", b"noon", b"2024-07-15T12:00:00", b"0001-01-01T00:00:00+14:00", b"\xff"])
def test_what_is_no_instant_with_an_offset_is_no_watermark(value: bytes | None) -> None:
    assert decode_watermark(value) is None


def test_a_watermark_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="time zone"):
        encode_watermark(datetime(2024, 1, 1))


def test_every_error_has_the_one_root_and_is_in_the_tree_of_the_docstring() -> None:
    found = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)]
    assert len(found) >= 10
    for each in found:
        assert issubclass(each, LoopwatchError)
        assert each.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("a.b", "wrong", [("c", "also")], "f.yaml"),
        InvalidEvent(errors.RejectReason.EMPTY, "none"),
        FencedError("t", 3),
        errors.ServiceUnavailable("127.0.0.1:9092"),
        errors.BufferFull("full"),
    ],
)
def test_errors_cross_processes_whole(error: LoopwatchError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error) != ""
    assert vars(copy) == vars(error)
