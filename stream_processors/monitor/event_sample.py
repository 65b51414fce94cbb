"""A sample of a model's predictions, as features of events: the same ones whenever it is read again."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...infra.clickhouse import ClickHouse, quote
from ..lookups import instant

AN_HOUR = 300
"""Predictions of an hour that are looked at, about; twice as many at most."""
_FEATURES = 60
# Of hours with more predictions than that only some stretches are read.
_MOST_READ = 300_000
_STRETCHES = 6
_STRETCH_US = 600_000_000
_HASHES = 2**64 - 1
FEATURE = "features."
"""What names of features begin with: outputs have others."""
_OUTPUTS = ("score", "prediction", "latency_ms", "cost_usd")


class Event(NamedTuple):
    """A prediction: its numbers by name, 1 and 0 of what is true or false."""

    prediction_id: str
    numbers: dict[str, float]


def events_of(clickhouse: ClickHouse, model: str, hour_us: int, made: int) -> list[Event]:
    """Of the hour that begins `hour_us`, by event time, chosen by a hash of their id; `made`: how many there are.

    Of more than 300,000 the beginnings of every ten minutes are read, of such a length that it is no more than that.
    """
    read = min(1.0, _MOST_READ / made)
    up_to = min(_HASHES, int(_HASHES * min(1.0, AN_HOUR / (made * read))))
    stretches = (
        f"ts >= {instant(begin)} AND ts < {instant(begin + int(_STRETCH_US * read))}"
        for begin in range(hour_us, hour_us + _STRETCHES * _STRETCH_US, _STRETCH_US)
    )
    rows = clickhouse.rows(
        "SELECT prediction_id, score, prediction_value, latency_ms, cost_usd, numbers, flags FROM "
        "(SELECT ts, prediction_id, score, prediction_value, latency_ms, cost_usd, features_num AS numbers, "
        "mapFilter((k, v) -> v IN ('true', 'false'), features_cat) AS flags "
        f"FROM {clickhouse.database}.predictions PREWHERE model = {quote(model)} "
        f"AND ({' OR '.join(stretches)}) AND cityHash64(prediction_id) <= {up_to} "
        f"ORDER BY cityHash64(prediction_id) LIMIT {2 * AN_HOUR}) ORDER BY ts, prediction_id"
    )
    return [
        Event(prediction_id, dict(_outputs(outputs)) | dict(_features(numbers, flags)))
        for prediction_id, *outputs, numbers, flags in rows
    ]


def _outputs(values: list[float | None]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in zip(_OUTPUTS, values, strict=True) if value is not None)


def _features(numbers: Mapping[str, float | None], flags: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    found = {name: value for name, value in numbers.items() if value is not None}
    found |= {name: float(value == "true") for name, value in flags.items()}
    return ((FEATURE + name, found[name]) for name in sorted(found)[:_FEATURES])
