"""Metrics of rankings, beside scikit-learn's and a plain reading of their definitions on the same requests."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.outcomes import Comparison, Kind, Outcome, Positive
from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.evaluate.quality import quality
from loopwatch.stream_processors.evaluate.ranking import requests
from loopwatch.stream_processors.evaluate.slices import Slicing
from loopwatch.stream_processors.evaluate.windows import Windows
from msgspec.structs import replace
from sklearn.metrics import ndcg_score

from tests.databases import insert_rows

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = Window.tumbling(30 * DAY)
EXACT = 1e-9
STAMP = pa.timestamp("us", "UTC")
CLICK = Outcome("click")


@dataclass
class Item:
    """A prediction; `label` None is one that is not settled yet."""

    ts: datetime
    label: float | None = 0.0
    acted: datetime | None = None
    score: float | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    trace_id: str = ""
    country: str = ""


def store(clickhouse: ClickHouse, model: str, items: Sequence[Item]) -> None:
    ids = [f"{model}-{index:05}" for index in range(len(items))]
    maps = pa.map_(pa.string(), pa.string())
    shared = {
        "prediction_id": ids,
        "model": [model] * len(items),
        "score": pa.array([item.score for item in items], pa.float64()),
        "segments": pa.array([[("country", item.country)] if item.country else [] for item in items], maps),
        "_ingested_at": pa.array([datetime.now(UTC)] * len(items), pa.timestamp("ms", "UTC")),
    }
    times = pa.array([item.ts for item in items], STAMP)
    attributes = pa.array([list(item.attributes.items()) for item in items], maps)
    traces = [item.trace_id for item in items]
    predictions = pa.table({**shared, "ts": times, "trace_id": traces, "attributes": attributes})
    insert_rows(clickhouse, "predictions", predictions)
    feedback = pa.table(
        {
            **shared,
            "outcome": ["click"] * len(items),
            "status": ["matched" if item.acted else "expired" for item in items],
            "label": pa.array([None if item.label is None else f"{item.label:g}" for item in items], pa.string()),
            "label_value": pa.array([item.label for item in items], pa.float64()),
            "prediction_ts": times,
            "action_ts": pa.array([item.acted for item in items], STAMP),
            "revision": pa.array([1] * len(items), pa.uint32()),
        }
    ).filter(pa.array([item.label is not None for item in items]))
    insert_rows(clickhouse, "feedback", feedback)


def searches(seed: int, grades: Sequence[float]) -> list[list[Item]]:
    """600 requests over three days, of 2 to 15 items: some placed, some in the order of their scores."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(600):
        begin = BEGIN + timedelta(seconds=float(rng.uniform(0, 3 * 86_400)))
        count = int(rng.integers(2, 16))
        placed, traced = number % 3 == 0, number % 4 == 0
        places = rng.permutation(count) + 1
        items = []
        for place in places:
            ts = begin + timedelta(microseconds=int(rng.integers(0, 50_000)))
            label = float(rng.choice(grades, p=[0.8, *[0.2 / (len(grades) - 1)] * (len(grades) - 1)]))
            acted = ts + timedelta(seconds=float(rng.exponential(20_000))) if label else None
            attributes = {"position": str(place)} if placed else {}
            identity = {} if traced else {"request_id": f"q{number}"}
            trace = f"t{number}" if traced else ""
            country = ("de", "fr", "")[number % 3]
            items.append(Item(ts, label, acted, float(rng.random()), attributes | identity, trace, country))
        found.append(items)
    return found


def shown_order(items: Sequence[Item]) -> list[Item]:
    if all("position" in item.attributes for item in items):
        return sorted(items, key=lambda item: int(item.attributes["position"]))
    return sorted(items, key=lambda item: -(item.score or 0))


def plain(requests: Sequence[Sequence[Item]], least: float = 0.0) -> dict[str, list[float]]:
    """Each metric of each request by its definition, NDCG by scikit-learn; relevant is what is above `least`."""
    values: dict[str, list[float]] = defaultdict(list)
    for request in requests:
        ordered = shown_order(request)
        hits = [(item.label or 0) > least for item in ordered]
        values["mrr"].append(1 / (hits.index(True) + 1) if any(hits) else 0.0)
        for k in (1, 5, 10):
            top = hits[:k]
            values[f"precision@{k}"].append(sum(top) / k)
            values[f"hit_rate@{k}"].append(float(any(top)))
            if any(hits):
                values[f"recall@{k}"].append(sum(top) / sum(hits))
            precisions = [sum(hits[: at + 1]) / (at + 1) for at, hit in enumerate(top) if hit]
            values[f"map@{k}"].append(sum(precisions) / min(k, sum(hits)) if any(hits) else 0.0)
            gains, places = [[item.label for item in ordered]], [[-float(at) for at in range(len(ordered))]]
            values[f"ndcg@{k}"].append(float(ndcg_score(gains, places, k=k)))
    return values


def near(found: dict[str, Any], expected: dict[str, list[float]]) -> None:
    assert len(expected) == 16
    for name, values in expected.items():
        assert found[name].value == pytest.approx(np.mean(values), rel=EXACT, abs=EXACT), name
        assert found[name].n == len(values), name
        if not name.startswith("hit_rate"):
            half = 1.959963984540054 * np.std(values, ddof=1) / math.sqrt(len(values))
            assert found[name].upper - found[name].value == pytest.approx(half, rel=1e-6), name


def windows(model: str, **more: Any) -> Windows:
    return Windows(model, more.pop("outcome", CLICK), **more)


@pytest.fixture(scope="module")
def clicks(clickhouse: ClickHouse) -> list[list[Item]]:
    found = searches(1, (0, 1))
    store(clickhouse, "clicks", [item for request in found for item in request])
    return found


@pytest.fixture(scope="module")
def stars(clickhouse: ClickHouse) -> list[list[Item]]:
    found = searches(2, (0, 1, 2, 5))
    store(clickhouse, "stars", [item for request in found for item in request])
    return found


def first(request: Sequence[Item]) -> Item:
    return min(request, key=lambda item: item.ts)


def test_each_day_equals_the_definitions(clickhouse: ClickHouse, clicks: list[list[Item]]) -> None:
    found = quality(clickhouse, windows("clicks"), Kind.RANKING)
    assert [row.cell.start for row in found] == [BEGIN, BEGIN + DAY, BEGIN + 2 * DAY]
    for row in found:
        near(row.metrics, plain([each for each in clicks if row.cell.start <= first(each).ts < row.cell.start + DAY]))
        at = [i for each in clicks for i in each if row.cell.start <= i.ts < row.cell.start + DAY]
        assert row.metrics["ctr"][:2] == (np.mean([item.label for item in at]), len(at))
        assert row.labelled == row.predictions == len(at)
        assert {"roc_auc", "accuracy"} <= row.metrics.keys()


def test_grades_weigh_in_ndcg_and_leave_no_two_classes(clickhouse: ClickHouse, stars: list[list[Item]]) -> None:
    (row,) = quality(clickhouse, windows("stars", window=MONTH), Kind.RANKING)
    near(row.metrics, plain(stars))
    assert row.metrics["ctr"].value == np.mean([item.label != 0 for each in stars for item in each])
    assert "accuracy" not in row.metrics


def test_a_bound_says_what_is_relevant(clickhouse: ClickHouse, stars: list[list[Item]]) -> None:
    liked = Outcome("click", positive=Positive(comparison=Comparison.AT_LEAST, bound=2))
    (row,) = quality(clickhouse, windows("stars", window=MONTH, outcome=liked), Kind.RANKING)
    near(row.metrics, plain(stars, least=1))
    assert "accuracy" in row.metrics


def test_one_label_says_what_is_relevant(clickhouse: ClickHouse, stars: list[list[Item]]) -> None:
    loved = Outcome("click", positive=Positive(text="5"))
    (row,) = quality(clickhouse, windows("stars", window=MONTH, outcome=loved), Kind.RANKING)
    judged = [[Item(i.ts, float(i.label == 5), score=i.score, attributes=i.attributes) for i in r] for r in stars]
    near(row.metrics, plain(judged))


def test_slices_have_requests_of_their_own(clickhouse: ClickHouse, clicks: list[list[Item]]) -> None:
    found = quality(clickhouse, windows("clicks", window=MONTH, slicing=Slicing(("country",))), Kind.RANKING)
    assert [row.cell.value for row in found] == ["", "de", "fr"]
    for row in found:
        near(row.metrics, plain([each for each in clicks if each[0].country == row.cell.value]))


def test_all_slices_at_once_are_those_of_each(clickhouse: ClickHouse, clicks: list[list[Item]]) -> None:
    every = requests(clickhouse, windows("clicks", slicing=Slicing(every=True)))
    whole = requests(clickhouse, windows("clicks"))
    assert {cell: of for cell, of in every.items() if not cell.key} == whole
    by_country = requests(clickhouse, windows("clicks", slicing=Slicing(("country",))))
    # Of those without a country there is no row then.
    named = {cell: of for cell, of in by_country.items() if cell.value}
    assert {cell: of for cell, of in every.items() if cell.key == "country"} == named


@pytest.mark.parametrize("time_of", list(TimeOf))
def test_models_at_once_are_those_of_each(
    clickhouse: ClickHouse, clicks: list[list[Item]], stars: list[list[Item]], time_of: TimeOf
) -> None:
    """Though they call their requests by the same names."""
    asked = windows("clicks", time_of=time_of, slicing=Slicing(every=True))
    together = quality(clickhouse, replace(asked, models=("clicks", "stars")), Kind.RANKING)
    assert {row.cell.model for row in together} == {"clicks", "stars"}
    for model in ("clicks", "stars"):
        alone = quality(clickhouse, replace(asked, model=model), Kind.RANKING)
        assert [replace(row, cell=row.cell._replace(model="")) for row in together if row.cell.model == model] == alone


def test_a_cell_has_of_a_request_what_is_its_own(clickhouse: ClickHouse) -> None:
    noon, of_one = BEGIN + DAY / 2, {"request_id": "across"}
    early = Item(noon - DAY / 86_400_000, 0.0, None, 0.9, of_one, country="de")
    late = Item(noon, 1.0, noon + DAY, 0.1, of_one, country="fr")
    store(clickhouse, "across", [early, late])
    hour = Window.tumbling(timedelta(hours=1))
    for more in ({"window": MONTH}, {"window": hour}, {"window": MONTH, "slicing": Slicing(("country",))}):
        found = requests(clickhouse, windows("across", **more))
        parts = [0.5] if more == {"window": MONTH} else [0.0, 1.0]
        assert [found[cell].reciprocal_rank.total for cell in sorted(found)] == parts
    (row,) = quality(clickhouse, windows("across", window=hour, until=noon), Kind.RANKING)
    assert row.metrics["mrr"][:2] == (0.0, 1)


def test_by_label_there_are_no_requests(clickhouse: ClickHouse, clicks: list[list[Item]]) -> None:
    found = quality(clickhouse, windows("clicks", time_of=TimeOf.LABEL), Kind.RANKING)
    assert sum(row.labelled for row in found) == sum(item.acted is not None for each in clicks for item in each)
    assert all("roc_auc" not in row.metrics and {"mrr", "ctr", "ndcg@5"}.isdisjoint(row.metrics) for row in found)
    assert all("recall" in row.metrics for row in found)


def test_what_is_no_whole_request_counts_in_the_ctr_alone(clickhouse: ClickHouse) -> None:
    late = BEGIN + DAY

    def pair(name: str, **of_second: Any) -> list[Item]:
        given = {"score": 0.4, "attributes": {"request_id": name}} | of_second
        return [Item(BEGIN, 0.0, None, 0.8, {"request_id": name}), Item(BEGIN, 1.0, late, **given)]

    items = [
        *pair("whole"),
        *pair("no score", score=None),
        *[Item(BEGIN, 1.0, late, 0.5), Item(BEGIN, 0.0, None, 0.6)],
        Item(BEGIN, 0.0, None, 0.9, {"request_id": "half known"}),
        Item(BEGIN, None, None, 0.1, {"request_id": "half known"}),
    ]
    store(clickhouse, "parts", items)
    (row,) = quality(clickhouse, windows("parts"), Kind.RANKING)
    assert (row.metrics["mrr"].value, row.metrics["mrr"].n) == (0.5, 1)
    assert row.metrics["ctr"][:2] == (3 / 7, 7)
    assert (row.predictions, row.completeness) == (8, 7 / 8)


def test_positions_go_before_scores_and_ids_break_ties(clickhouse: ClickHouse) -> None:
    def item(request: str, label: float, score: float, **placed: str) -> Item:
        return Item(BEGIN, label, BEGIN + DAY if label else None, score, {"request_id": request, **placed})

    ranks = {
        "placed": [item("placed", 1, 0.1, position="1"), item("placed", 0, 0.9, position="2")],
        "half": [item("half", 1, 0.1), item("half", 0, 0.9, position="1")],
        "tied": [item("tied", 0, 0.5), item("tied", 0, 0.5), item("tied", 1, 0.5)],
    }
    for name, items in ranks.items():
        store(clickhouse, f"order-{name}", items)
    found = {name: requests(clickhouse, windows(f"order-{name}")).values() for name in ranks}
    assert {name: [each.reciprocal_rank.total for each in of] for name, of in found.items()} == {
        "placed": [1.0], "half": [0.5], "tied": [pytest.approx(1 / 3)],
    }  # fmt: skip
