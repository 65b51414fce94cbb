"""Where the seconds between an event and its webhook go, by the instants that tables have of it."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from loopwatch.infra.clickhouse import ClickHouse, quote, quoted
from loopwatch.infra.settings import Settings
from msgspec import Struct

from .recorder import Heard

_INSTANT = "toUnixTimestamp64Micro({}) / 1e6"


class Stage(Struct, frozen=True):
    """Seconds from the end of the stage before to that of this one.

    Where threads overlap it may be negative: what a look finds can be stored after the look has begun.
    """

    name: str
    p50_s: float
    p99_s: float


def stages(settings: Settings, rule: str, sent: Mapping[str, float], heard: Mapping[str, Heard]) -> list[Stage]:
    """Of probes whose model, prediction and action have one name: when they were sent, and what was heard of them.

    `joined`: its rows were made; `looked at`: the look at windows began that found it; `decided`: the turn of alerting
    began that fired; `tried`: the webhook was sent.
    """
    clickhouse = ClickHouse(settings)
    database = clickhouse.database
    of_models = f"model IN ({quoted(sorted(sent))})"

    def first(sql: str) -> dict[str, float]:
        return {name: float(at) for name, at in clickhouse.rows(sql)}

    rows = " UNION ALL ".join(
        f"SELECT prediction_id, _ingested_at FROM {database}.{table} WHERE prediction_id IN ({quoted(sorted(sent))})"
        for table in ("predictions", "actions")
    )
    joined = first(
        f"SELECT prediction_id, toUnixTimestamp64Milli(max(_ingested_at)) / 1e3 FROM ({rows}) GROUP BY prediction_id"
    )
    looked_at = first(
        f"SELECT model, {_INSTANT.format('min(_evaluated_at)')} FROM {database}.metrics "
        f"WHERE {of_models} AND outcome = '' AND metric = 'kpi.faults' AND value > 0 GROUP BY model"
    )
    decided = first(
        f"SELECT model, {_INSTANT.format('min(assumeNotNull(fired_at))')} FROM {database}.alerts "
        f"WHERE {of_models} AND rule = {quote(rule)} AND fired_at IS NOT NULL GROUP BY model"
    )
    tried = first(
        f"SELECT notification_id, {_INSTANT.format('min(attempted_at)')} FROM {database}.alert_deliveries "
        "GROUP BY notification_id"
    )
    clickhouse.close()
    instants = {
        name: (at, joined[name], looked_at[name], decided[name], tried[heard[name].notification_id], heard[name].at)
        for name, at in sent.items()
        if name in heard
    }
    names = ("joined", "looked at", "decided", "tried", "received")
    took = zip(*([end - begin for begin, end in pairwise(each)] for each in instants.values()), strict=True)
    return [
        Stage(name, float(np.quantile(each, 0.5)), float(np.quantile(each, 0.99)))
        for name, each in zip(names, took, strict=False)
    ]
