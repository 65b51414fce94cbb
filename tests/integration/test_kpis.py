"""Business indicators, beside pandas' on the same rows."""

import json
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from loopwatch.console.cli import app
from loopwatch.detectors.quality.estimates import proportion
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.kpis import Kpi, Measure
from loopwatch.schemas.outcomes import Outcome
from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.evaluate.kpis import kpis
from loopwatch.stream_processors.evaluate.slices import Slicing
from loopwatch.stream_processors.evaluate.windows import Windows
from msgspec.structs import replace
from typer.testing import CliRunner

from tests.databases import insert_rows

BEGIN = pd.Timestamp("2025-03-03", tz="UTC")
DAY = timedelta(days=1)
N = 3000
EXACT = 1e-9
STAMP = pa.timestamp("us", "UTC")
CONFIG = {
    "models": {
        "shop": {
            "kpis": {
                "ctr": {"share": "click"},
                "conversion": {"share": "purchase", "of": "click"},
                "clicks": {"count": "click"},
                "clicks_each": {"count": "click", "per": "prediction"},
                "revenue": {"sum": "purchase"},
                "revenue_each": {"sum": "purchase", "per": "prediction"},
                "order_value": {"mean": "purchase"},
                "big_orders": {"count": "purchase", "value": "> 30"},
                "csat": {"mean": "rating"},
                "satisfied": {"share": "rating", "value": ">= 4", "of": "rating"},
                "thumbs_up": {"share": "thumb", "value": "up", "of": "thumb"},
            }
        }
    }
}
DECLARED = parse_config(CONFIG).for_model("shop").kpis
NEED_EVERY_PREDICTION = {"ctr", "clicks_each", "revenue_each"}


class Shop(NamedTuple):
    """What pandas sees: predictions, and the actions that count."""

    predictions: pd.DataFrame
    actions: pd.DataFrame


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of three days, and all the actions there are."""
    rng = np.random.default_rng(1)
    predictions = pd.DataFrame(
        {
            "prediction_id": [f"p{index:04}" for index in range(N)],
            "ts": BEGIN + pd.to_timedelta(rng.integers(0, 3 * 86_400_000_000, N), unit="us"),
            "country": rng.choice(["de", "fr", ""], N),
        }
    )
    rows: list[tuple[Any, ...]] = []
    for prediction in predictions.itertuples():
        for name, rate in (("click", 0.6), ("purchase", 0.2), ("rating", 0.3), ("thumb", 0.2), ("view", 1.0)):
            for _ in range(rng.poisson(rate)):
                number = {"purchase": round(float(rng.exponential(20)), 2), "rating": float(rng.integers(1, 6))}.get(
                    name
                )
                text = str(rng.choice(["up", "down"])) if name == "thumb" else None
                if rng.random() < 0.05:
                    number, text = None, "later"
                # Some long before the prediction, some in another window.
                after = timedelta(seconds=float(rng.exponential(40_000))) - timedelta(hours=6) * (rng.random() < 0.1)
                rows.append((prediction.prediction_id, f"a{len(rows)}", name, prediction.ts + after, text, number))
    actions = pd.DataFrame(rows, columns=["prediction_id", "action_id", "name", "ts", "text", "number"])
    actions["ts"] = actions["ts"].dt.floor("us")
    return predictions, actions


def store_predictions(clickhouse: ClickHouse, predictions: pd.DataFrame, model: str) -> None:
    segments = [[("country", country)] if country else [] for country in predictions["country"]]
    table = {
        "prediction_id": predictions["prediction_id"].tolist(),
        "model": [model] * len(predictions),
        "ts": pa.array(predictions["ts"].tolist(), STAMP),
        "segments": pa.array(segments, pa.map_(pa.string(), pa.string())),
        "_ingested_at": pa.array([datetime.now(UTC)] * len(predictions), pa.timestamp("ms", "UTC")),
    }
    insert_rows(clickhouse, "predictions", pa.table(table))


def store_actions(clickhouse: ClickHouse, actions: pd.DataFrame, model: str, of_class: str) -> None:
    values = [
        (text if isinstance(text, str) else None) if math.isnan(number) else f"{number:g}"
        for text, number in zip(actions["text"], actions["number"], strict=True)
    ]
    numbers = [None if math.isnan(number) else number for number in actions["number"]]
    table = {
        "prediction_id": actions["prediction_id"].tolist(),
        "action_id": actions["action_id"].tolist(),
        "name": actions["name"].tolist(),
        "ts": pa.array(actions["ts"].tolist(), STAMP),
        "value": pa.array(values, pa.string()),
        "value_num": pa.array(numbers, pa.float64()),
        "model": [model] * len(actions),
        "class": [of_class] * len(actions),
        "_ingested_at": pa.array([datetime.now(UTC)] * len(actions), pa.timestamp("ms", "UTC")),
    }
    insert_rows(clickhouse, "actions", pa.table(table))


def settle(clickhouse: ClickHouse, actions: pd.DataFrame, of_class: str, model: str, rank: int) -> None:
    table = {
        "prediction_id": actions["prediction_id"].tolist(),
        "action_id": actions["action_id"].tolist(),
        "model": [model] * len(actions),
        "class": [of_class] * len(actions),
        "rank": pa.array([rank] * len(actions), pa.uint8()),
        "_ingested_at": pa.array([datetime.now(UTC)] * len(actions), pa.timestamp("ms", "UTC")),
    }
    insert_rows(clickhouse, "action_status", pa.table(table))


@pytest.fixture(scope="module")
def shop(clickhouse: ClickHouse) -> Shop:
    """Actions of all classes: a seventh ignored, a seventh held until its prediction came, a seventh orphans."""
    predictions, actions = frames()
    store_predictions(clickhouse, predictions, "shop")
    group = np.arange(len(actions)) % 7
    store_actions(clickhouse, actions[group > 2], "shop", "matched")
    store_actions(clickhouse, actions[group == 0], "shop", "ignored")
    early, orphans = actions[group == 1], actions[group == 2]
    store_actions(clickhouse, pd.concat([early, orphans]), "", "held")
    settle(clickhouse, pd.concat([early[::2], orphans]), "orphan", "", 1)
    settle(clickhouse, early, "matched", "shop", 2)
    # Rows that are there twice, and those of another model.
    store_actions(clickhouse, actions[group == 3], "shop", "matched")
    others = actions[group == 4].assign(prediction_id=lambda rows: "other-" + rows["prediction_id"])
    store_actions(clickhouse, others, "other", "matched")
    return Shop(predictions, actions[group != 2])


def windows(**more: Any) -> Windows:
    return Windows("shop", Outcome("default"), **more)


def by_kpi(found: dict[Any, dict[str, Any]]) -> dict[tuple[str, datetime, str], Any]:
    return {(name, cell.start, cell.value): each for cell, of in found.items() for name, each in of.items()}


def samples(shop: Shop, kpi: Kpi, time_of: TimeOf) -> pd.DataFrame:
    """Rows of (at, country, x) that the indicator is made of, after the words of docs/metrics.md."""
    actions = shop.actions.merge(
        shop.predictions.rename(columns={"ts": "made"}), on="prediction_id", validate="many_to_one"
    )
    chosen = actions[actions["name"] == kpi.action]
    if kpi.value is not None:
        is_it: Callable[[Any], Any] = {
            ">= 4": lambda rows: rows["number"] >= 4,
            "> 30": lambda rows: rows["number"] > 30,
            "up": lambda rows: rows["text"] == "up",
        }[CONFIG["models"]["shop"]["kpis"][kpi.name]["value"]]
        chosen = chosen[is_it(chosen)]
    by_prediction = time_of is TimeOf.PREDICTION
    if kpi.measure is Measure.MEAN or (not by_prediction and kpi.measure is not Measure.SHARE):
        rows = chosen.assign(x=chosen["number"] if kpi.measure is not Measure.COUNT else 1.0).dropna(subset="x")
        return rows.assign(at=rows["made" if by_prediction else "ts"])
    x = (
        chosen.groupby("prediction_id")["number"].sum()
        if kpi.measure is Measure.SUM
        else chosen.groupby("prediction_id").size()
    )
    base = shop.predictions.set_index("prediction_id")
    if kpi.of is not None:
        first = actions[actions["name"] == kpi.of].groupby("prediction_id")["ts"].min()
        base = base.loc[first.index].assign(ts=base.loc[first.index, "ts"] if by_prediction else first)
    x = x.reindex(base.index, fill_value=0)
    return base.assign(at=base["ts"], x=(x > 0).astype(float) if kpi.measure is Measure.SHARE else x.astype(float))


def expected(shop: Shop, time_of: TimeOf, *, sliced: bool = False) -> dict[tuple[str, datetime, str], tuple[Any, ...]]:
    """Value, n, lower and upper bound of each indicator, window and slice."""
    found: dict[tuple[str, datetime, str], tuple[Any, ...]] = {}
    for kpi in DECLARED:
        if time_of is TimeOf.LABEL and kpi.name in NEED_EVERY_PREDICTION:
            continue
        rows = samples(shop, kpi, time_of)
        rows = rows.assign(start=rows["at"].dt.floor("D"), slice=rows["country"] if sliced else "")
        for (start, country), of in rows.groupby(["start", "slice"])["x"]:
            key = (kpi.name, start.to_pydatetime(), country)
            if kpi.measure is Measure.SHARE:
                share = proportion(int(of.sum()), len(of))
                assert share is not None
                found[key] = (of.mean(), len(of), share.lower, share.upper)
            elif kpi.measure is Measure.MEAN or kpi.per:
                half = 1.959963984540054 * of.sem()
                bounds = (None, None) if len(of) == 1 else (of.mean() - half, of.mean() + half)
                found[key] = (of.mean(), len(of), *bounds)
            else:
                found[key] = (of.sum(), len(of), None, None)
    return found


@pytest.mark.parametrize("time_of", list(TimeOf))
@pytest.mark.parametrize("sliced", [False, True])
def test_each_indicator_equals_pandas(clickhouse: ClickHouse, shop: Shop, time_of: TimeOf, sliced: bool) -> None:
    slicing = Slicing(("country",)) if sliced else Slicing()
    found = by_kpi(kpis(clickhouse, windows(time_of=time_of, slicing=slicing), DECLARED))
    wanted = expected(shop, time_of, sliced=sliced)
    names = {kpi.name for kpi in DECLARED} - (NEED_EVERY_PREDICTION if time_of is TimeOf.LABEL else set())
    assert {name for name, _, _ in wanted} == names
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key][:2] == pytest.approx(value[:2], rel=EXACT, abs=EXACT), key
        for bound, wanted_bound in zip(found[key][2:], value[2:], strict=True):
            assert bound == (None if wanted_bound is None else pytest.approx(wanted_bound, rel=EXACT, abs=EXACT)), key


@pytest.mark.parametrize("time_of", list(TimeOf))
def test_the_time_asked_for_changes_no_whole_window(clickhouse: ClickHouse, shop: Shop, time_of: TimeOf) -> None:
    since, until = (BEGIN + DAY).to_pydatetime(), (BEGIN + 2 * DAY).to_pydatetime()
    whole = by_kpi(kpis(clickhouse, windows(time_of=time_of), DECLARED))
    part = by_kpi(kpis(clickhouse, windows(time_of=time_of, since=since, until=until), DECLARED))
    assert part == {key: each for key, each in whole.items() if key[1] == since}
    assert len(part) >= len(DECLARED) - len(NEED_EVERY_PREDICTION)


@pytest.mark.parametrize("time_of", list(TimeOf))
def test_all_slices_at_once_are_those_of_each(clickhouse: ClickHouse, shop: Shop, time_of: TimeOf) -> None:
    every = kpis(clickhouse, windows(time_of=time_of, slicing=Slicing(every=True)), DECLARED)
    assert {cell: of for cell, of in every.items() if not cell.key} == kpis(
        clickhouse, windows(time_of=time_of), DECLARED
    )
    by_country = kpis(clickhouse, windows(time_of=time_of, slicing=Slicing(("country",))), DECLARED)
    named = {cell: of for cell, of in by_country.items() if cell.value}
    assert {cell: of for cell, of in every.items() if cell.key == "country"} == named


@pytest.mark.parametrize("time_of", list(TimeOf))
def test_models_at_once_are_those_of_each(clickhouse: ClickHouse, shop: Shop, time_of: TimeOf) -> None:
    predictions, actions = (
        rows.head(1500).assign(prediction_id="stall-" + rows["prediction_id"].head(1500)) for rows in frames()
    )
    store_predictions(clickhouse, predictions, "stall")
    store_actions(clickhouse, actions, "stall", "matched")
    asked = windows(time_of=time_of, slicing=Slicing(every=True))
    together = kpis(clickhouse, replace(asked, models=("shop", "stall")), DECLARED)
    assert {cell.model for cell in together} == {"shop", "stall"}
    for model in ("shop", "stall"):
        of_model = {cell._replace(model=""): of for cell, of in together.items() if cell.model == model}
        assert of_model == kpis(clickhouse, replace(asked, model=model), DECLARED)


@pytest.mark.parametrize("time_of", list(TimeOf))
def test_rare_values_are_one(clickhouse: ClickHouse, time_of: TimeOf) -> None:
    """The twenty most frequent values of a day are kept: by predictions, or by label by what is counted."""
    model = f"town-{time_of}"
    predictions, actions = (rows.assign(prediction_id=f"{model}-" + rows["prediction_id"]) for rows in frames())
    towns = np.minimum(np.random.default_rng(2).zipf(1.3, len(predictions)), 60)
    predictions["country"] = [f"t{town:02}" for town in towns]
    store_predictions(clickhouse, predictions, model)
    store_actions(clickhouse, actions, model, "matched")
    clicks = [kpi for kpi in DECLARED if kpi.name == "clicks"]
    asked = replace(windows(time_of=time_of, slicing=Slicing(("country",))), model=model)
    found = {
        (cell.start, cell.value): round(of["clicks"].value)
        for cell, of in kpis(clickhouse, asked, clicks).items()
        if cell.value
    }
    clicked = actions[actions["name"] == "click"].drop(columns="ts" if time_of is TimeOf.PREDICTION else [])
    counted = clicked.merge(
        predictions.drop(columns="ts" if time_of is TimeOf.LABEL else []), on="prediction_id", validate="many_to_one"
    )
    known = counted if time_of is TimeOf.LABEL else predictions
    expected: Counter[tuple[datetime, str]] = Counter()
    for day in pd.date_range(BEGIN - 2 * DAY, BEGIN + 30 * DAY):
        seen, counting = (rows[rows["ts"].dt.floor("D") == day]["country"].value_counts() for rows in (known, counted))
        frequent = sorted(seen.items(), key=lambda each: (-each[1], str(each[0])))
        for place, (town, _) in enumerate(frequent):
            kept = str(town) if place < 20 else "other"
            expected[day.to_pydatetime(), kept] += int(counting.get(str(town), 0))
    assert sum(town == "other" for _, town in expected) >= 3
    assert dict(expected) == found


def test_windows_that_slide_count_an_action_in_each(clickhouse: ClickHouse, shop: Shop) -> None:
    clicks = [kpi for kpi in DECLARED if kpi.name == "clicks"]
    sliding = by_kpi(kpis(clickhouse, windows(window=Window.parse("2d/1d")), clicks))
    daily = by_kpi(kpis(clickhouse, windows(), clicks))
    both = daily["clicks", BEGIN.to_pydatetime(), ""].value + daily["clicks", (BEGIN + DAY).to_pydatetime(), ""].value
    assert sliding["clicks", BEGIN.to_pydatetime(), ""].value == both


def test_no_indicators_are_no_queries_and_no_actions_no_indicators(clickhouse: ClickHouse, shop: Shop) -> None:
    assert kpis(clickhouse, windows(), ()) == {}
    never = (Kpi("never", Measure.MEAN, "refund"), Kpi("none", Measure.SUM, "refund"))
    found = kpis(clickhouse, windows(window=Window.tumbling(28 * DAY)), never)
    assert [of.keys() for of in found.values()] == [{"none"}]
    assert [tuple(of["none"]) for of in found.values()] == [(0.0, N, None, None)]


def test_the_command_shows_indicators_beside_the_metrics(
    clickhouse: ClickHouse, shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_URL", clickhouse.address)
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_DATABASE", clickhouse.database)
    config = tmp_path / "loopwatch.yaml"
    config.write_text(json.dumps(CONFIG))
    for time_of in TimeOf:
        arguments = ["metrics", "shop", "--config", str(config), "--by", time_of, "--format", "json"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        rows = [row for row in json.loads(result.stdout) if row["metric"] != "final_share"]
        shown = {(row["metric"], row["window_start"]): row["value"] for row in rows}
        wanted = by_kpi(kpis(clickhouse, windows(time_of=time_of), DECLARED))
        assert shown == {(f"kpi.{name}", start.isoformat()): each.value for (name, start, _), each in wanted.items()}
    table = CliRunner().invoke(app, ["metrics", "shop", "--config", str(config)])
    assert "kpi.ctr" in table.stdout
