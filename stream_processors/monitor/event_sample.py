"""A sample of a model's predictions, as features of events: the same ones whenever it is read again."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ...infra.clickhouse import ClickHouse
from ..evaluate.spread import Spread, read_spread
from ..records import from_micros

AN_HOUR = 300
"""Predictions of an hour that are looked at, at most."""
_FEATURES = 60
# Of hours with more predictions than that only some slots of time are read.
_MOST_READ = 300_000
_HOUR_US = 3_600_000_000
FEATURE = "features."
"""What names of features begin with: outputs have others."""
_OUTPUTS = {"score": "score", "prediction": "prediction_value", "latency_ms": "latency_ms", "cost_usd": "cost_usd"}
_ID, _TS, _NUMBERS, _FLAGS = "(id)", "(ts)", "(numbers)", "(flags)"
_COLUMNS = {
    _ID: "prediction_id", _TS: "toUnixTimestamp64Micro(ts)", _NUMBERS: "features_num",
    _FLAGS: "mapFilter((k, v) -> v IN ('true', 'false'), features_cat)", **_OUTPUTS,
}  # fmt: skip


class Event(NamedTuple):
    """A prediction: its numbers by name, 1 and 0 of what is true or false."""

    prediction_id: str
    numbers: dict[str, float]


def events_of(clickhouse: ClickHouse, model: str, hour_us: int, made: int) -> list[Event]:
    """Of the hour that begins `hour_us`, by event time; `made`: how many there are. Empty if reading takes too long."""
    stretch = from_micros(hour_us), from_micros(hour_us + _HOUR_US)
    spread = Spread(model, stretch, made, AN_HOUR, _MOST_READ, seed=hour_us // _HOUR_US)
    rows = read_spread(clickhouse, spread, _COLUMNS)
    if rows is None:
        return []
    return [
        Event(row[_ID], dict(_outputs(row)) | dict(_features(row[_NUMBERS], row[_FLAGS])))
        for row in rows.sort_by([(_TS, "ascending"), (_ID, "ascending")]).to_pylist()
    ]


def _outputs(row: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name in _OUTPUTS if (value := row[name]) is not None)


def _features(
    numbers: Iterable[tuple[str, float | None]], flags: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, float]]:
    found = {name: value for name, value in numbers if value is not None}
    found |= {name: float(value == "true") for name, value in flags}
    return ((FEATURE + name, found[name]) for name in sorted(found)[:_FEATURES])
