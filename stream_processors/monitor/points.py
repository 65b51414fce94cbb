"""Series of a model, a point a step of event time: how many predictions, what they were like, and how good."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...detectors.anomaly.kinds import Kind as Made
from ...detectors.anomaly.points import Point
from ...infra.clickhouse import ClickHouse, quote
from ...schemas.outcomes import Kind, Outcome
from ..evaluate.panes import NULL, OUTPUTS, PREDICTIONS
from ..lookups import instant
from .losses import losses_as_rows
from .reached import Reached

MOST_STEPS = 2000
MOST_FEATURES = 100
LEAST_N = 30
"""A share or a mean of fewer is no number to a detector that does not know of how many it is; nor is a p95 to any."""
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


Valued = tuple[float, int | None]


class Series(NamedTuple):
    """What values are made of; by step a value, and of how many it is where that is known."""

    made: Made
    values: dict[int, Valued]


def first_step(clickhouse: ClickHouse, model: str, seconds: int) -> int | None:
    """The second of the model's first pane of that size; None without any."""
    ((first, n),) = clickhouse.rows(
        f"SELECT min(toUnixTimestamp64Second(start)), count() FROM {clickhouse.database}.panes "
        f"WHERE seconds = {seconds} AND slice = {_whole(model)} AND series = {PREDICTIONS}"
    )
    return int(first) if n else None


def end_of_steps(clickhouse: ClickHouse, begin: int, seconds: int, reached: Reached, *, of_predictions: bool) -> int:
    """The second by which steps are over: behind the newest prediction of all models nothing is missed of one."""
    end = reached.everywhere_us // _SECOND_US
    if of_predictions and end - begin >= seconds:
        ((newest,),) = clickhouse.rows(
            f"SELECT toUnixTimestamp64Micro(max(ts)) FROM {clickhouse.database}.predictions "
            f"WHERE ts >= {instant(begin * _SECOND_US)}"
        )
        end = min(end, newest // _SECOND_US)
    return end // seconds * seconds


def of_predictions(clickhouse: ClickHouse, model: str, steps: Steps) -> dict[str, Series]:
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
    volumes = dict.fromkeys(steps, 0)
    present: dict[int, dict[int, int]] = {id_: {} for id_ in names}
    found: dict[str, Series] = {}
    for step, series, n, numbers, mean, p95 in rows:
        if series == PREDICTIONS:
            volumes[step] = n
        elif series in present:
            present[series][step] = n
        elif OUTPUTS[series] != "latency_ms":
            if numbers:
                found.setdefault(f"mean {OUTPUTS[series]}", Series("mean", {})).values[step] = mean, numbers
        elif numbers >= LEAST_N:
            found.setdefault(LATENCY, Series("mean", {})).values[step] = p95, numbers
    for id_, of in present.items():
        shares: dict[int, Valued] = {step: (1 - of.get(step, 0) / n, n) for step, n in volumes.items() if n}
        found[MISSING + names[id_]] = Series("share", shares)
    found[VOLUME] = Series("count", {step: (float(n), None) for step, n in volumes.items()})
    return found


def of_losses(clickhouse: ClickHouse, model: str, outcome: Outcome, kind: Kind, steps: Steps) -> dict[str, Series]:
    """Mean loss and mean label of those that became known in each step, by series and step."""
    rows = clickhouse.rows(
        f"SELECT intDiv(toUnixTimestamp64Micro(at), {steps.seconds * _SECOND_US}) * {steps.seconds} AS step, "
        "count(), avg(loss), countIf(loss NOT IN (0, 1)), countIf(label IS NOT NULL) AS labels, avg(label) "
        f"FROM {losses_as_rows(clickhouse.database, model, outcome, kind, steps.first * _SECOND_US)} "
        f"WHERE at < {instant(steps.end * _SECOND_US)} GROUP BY step"
    )
    are_errors = kind is not Kind.REGRESSION and not any(others for _, _, _, others, _, _ in rows)
    losses = Series("share" if are_errors else "mean", {})
    labels = Series("mean" if kind is Kind.REGRESSION else "share", {})
    for step, n, loss, _, n_labels, label in rows:
        losses.values[step] = loss, n
        if n_labels:
            labels.values[step] = label, n_labels
    found = {LOSS + outcome.name: losses, LABEL + outcome.name: labels}
    return {name: of for name, of in found.items() if of.values}


def in_order(values: Mapping[int, Valued], steps: Steps, least_n: int) -> list[Point]:
    """A point for every step, NaN where there is no value or it is made of too few."""
    nothing: Valued = (math.nan, None)
    points = [(step * _SECOND_US, *values.get(step, nothing)) for step in steps]
    return [Point(at, math.nan if n is not None and n < least_n else value, n) for at, value, n in points]


def _whole(model: str) -> str:
    return f"bitOr(cityHash64({quote(model)}), 1)"
