"""Records that are no event, each with the reason it must be refused for."""

from collections.abc import Iterator
from typing import NamedTuple


class Poison(NamedTuple):
    """A bad value and its reason in `dead_letters`."""

    value: bytes
    reason: str


_HEAD = b'{"prediction_id":"bad","action_id":"b","name":"click","model":"shop","ts":"2025-01-01T00:00:00Z",'
SMALL = (
    Poison(_HEAD + b'"score":0.5,"featur', "not_json"),
    Poison(_HEAD + b'"score":NaN,"value":NaN}', "not_json"),
    Poison(b'{"prediction_id":17,"action_id":[],"model":{},"ts":"today","name":3}', "schema"),
    Poison(b"\xff\xfe\x00binary", "not_json"),
    Poison(_HEAD + b'"nested":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
    Poison(b"", "empty"),
)
HUGE = Poison(_HEAD + b'"trace_id":"' + b"x" * 5_000_000 + b'"}', "too_large")


def poison(n: int, huge: int) -> Iterator[Poison]:
    """`n` bad records of every small kind in turn, `huge` of 5 MB among them."""
    for number in range(n):
        yield HUGE if number % 40 == 39 and number // 40 < huge else SMALL[number % len(SMALL)]
