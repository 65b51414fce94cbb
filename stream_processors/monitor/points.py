"""Series of a model, a point a step of event time: how many predictions, what they were like, and how good."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, Outcome
from ..evaluate.panes import NULL, OUTPUTS, PREDICTIONS
from ..lookups import instant
from .losses import losses_as_rows

MOST_STEPS = 2000
MOST_FEATURES = 100
LEAST_N = 30
"""A share or a mean of fewer is no number."""
VOLUME = "volume"
LATENCY = "latency_ms p95"
MISSING = "missing share of "
LOSS, LABEL = "mean loss of ", "mean label of "

_SECOND_US = 1_000_000


class Steps(NamedTuple):
    """Steps of `seconds` each, from the second `first` on to before `end`."""

    seconds: int
    first: int
    end: int

    def __iter__(self) -> Iterator[int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return iter(range(self.first, self.end, self.seconds))


def first_step(clickhouse: ClickHouse, model: str, seconds: int) -> int | None:
    """The second of the model's first pane of that size; None without any."""
    ((first, n),) = clickhouse.rows(
        f"SELECT min(toUnixTimestamp64Second(start)), count() FROM {clickhouse.database}.panes "
        f"WHERE seconds = {seconds} AND slice = {_whole(model)} AND series = {PREDICTIONS}"
    )
    return int(first) if n else None


def of_predictions(clickhouse: ClickHouse, model: str, steps: Steps) -> dict[str, dict[int, float]]:
    """Values by series and step, from panes. Every step has a volume; what nothing is known of is left out."""
    named = clickhouse.rows(
        f"SELECT id, any(key) AS name FROM {clickhouse.database}.pane_names "
        f"WHERE model = {quote(model)} AND kind = 'feature' GROUP BY id ORDER BY name LIMIT {MOST_FEATURES}"
    )
    names: dict[int, str] = {int(id_): name for id_, name in named}
    magnitude = "reinterpretAsFloat64(bitShiftLeft(toUInt64(abs(bin)), 46))"
    above = "reinterpretAsFloat64(bitShiftLeft(toUInt64(abs(bin)) + 1, 46))"
    wanted = ",".join(map(str, (PREDICTIONS, *OUTPUTS, *names)))
    rows = clickhouse.rows(
        "SELECT step, series, sumIf(values, bin != {null}) AS present, sumIf(values, bin < {null}) AS numbers, "
        "sumIf(values * x, bin < {null}) / numbers AS mean, "
        "quantileExactWeightedIf(0.95)(x, values, bin < {null}) AS p95 FROM "
        "(SELECT toUnixTimestamp64Second(start) AS step, series, bin, sum(n) AS values, "
        f"if(bin < 0, -1, 1) * ({magnitude} + sum(steps) / values * ({above} - {magnitude}) / 65536) AS x "
        f"FROM {clickhouse.database}.panes WHERE seconds = {steps.seconds} AND slice = {_whole(model)} "
        f"AND start >= {instant(steps.first * _SECOND_US)} AND start < {instant(steps.end * _SECOND_US)} "
        f"AND series IN ({wanted}) GROUP BY step, series, bin) GROUP BY step, series".replace("{null}", str(NULL))
    )
    volumes = dict.fromkeys(steps, 0.0)
    present: dict[int, dict[int, int]] = {id_: {} for id_ in names}
    found: dict[str, dict[int, float]] = {VOLUME: volumes}
    for step, series, n, numbers, mean, p95 in rows:
        if series == PREDICTIONS:
            volumes[step] = float(n)
        elif series in present:
            present[series][step] = n
        elif numbers >= LEAST_N:
            name = OUTPUTS[series]
            is_latency = name == "latency_ms"
            found.setdefault(LATENCY if is_latency else f"mean {name}", {})[step] = p95 if is_latency else mean
    for id_, of in present.items():
        shares = {step: 1 - of.get(step, 0) / n for step, n in volumes.items() if n >= LEAST_N}
        found[MISSING + names[id_]] = shares
    return found


def of_losses(
    clickhouse: ClickHouse, model: str, outcome: Outcome, kind: Kind, steps: Steps
) -> dict[str, dict[int, float]]:
    """Mean loss and mean label of those that became known in each step, by series and step."""
    rows = clickhouse.rows(
        f"SELECT intDiv(toUnixTimestamp64Micro(at), {steps.seconds * _SECOND_US}) * {steps.seconds} AS step, "
        f"avg(loss), avg(label) "
        f"FROM {losses_as_rows(clickhouse.database, model, outcome, kind, steps.first * _SECOND_US)} "
        f"WHERE at < {instant(steps.end * _SECOND_US)} "
        f"GROUP BY step HAVING count() >= {LEAST_N}"
    )
    found: dict[str, dict[int, float]] = {LOSS + outcome.name: {}, LABEL + outcome.name: {}}
    for step, loss, label in rows:
        found[LOSS + outcome.name][step] = loss
        if label is not None:
            found[LABEL + outcome.name][step] = label
    return {name: of for name, of in found.items() if of}


def in_order(values: Mapping[int, float], steps: Steps) -> list[float]:
    """A value for every step, NaN where there is none."""
    return [values.get(step, math.nan) for step in steps]


def _whole(model: str) -> str:
    return f"bitOr(cityHash64({quote(model)}), 1)"
