"""Metrics of windows, beside scikit-learn's on the same rows."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from loopwatch.console.cli import app
from loopwatch.console.metrics_view import with_final_shares
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.errors import LoopwatchError
from loopwatch.schemas.outcomes import Comparison, Kind, Outcome, Positive
from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.evaluate import statistics
from loopwatch.stream_processors.evaluate.quality import Quality, infer_kind, known_outcomes, quality
from loopwatch.stream_processors.evaluate.slices import Slicing
from loopwatch.stream_processors.evaluate.sums import bounded_sum
from loopwatch.stream_processors.evaluate.windows import Windows
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from typer.testing import CliRunner

from tests.databases import insert_rows

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
DAY = timedelta(days=1)
N = 6000
EXACT = 1e-9

Rows = dict[str, Any]


def rows_of(model: str, seed: int, **columns: Any) -> Rows:
    """Feedback of a model over three days; labels come within two days, an eighth of them never."""
    rng = np.random.default_rng(seed)
    made = [BEGIN + timedelta(seconds=float(at)) for at in np.sort(rng.uniform(0, 3 * 86_400, N))]
    labelled = rng.random(N) > 0.125
    delays = rng.exponential(30_000, N).clip(max=172_800)
    return {
        "model": model,
        "made": made,
        "acted": [at + timedelta(seconds=float(delay)) for at, delay in zip(made, delays, strict=True)],
        "labelled": labelled,
        "country": rng.choice(["de", "fr", ""], N),
        **columns,
    }


def store(clickhouse: ClickHouse, rows: Rows) -> Rows:
    """Insert predictions and feedback; a tenth of the unlabelled predictions is still pending."""
    ids = rows.get("ids") or [f"{rows['model']}-{index}" for index in range(N)]
    segments = [[("country", str(each))] if each else [] for each in rows["country"]]
    shared = {
        "prediction_id": ids,
        "model": [rows["model"]] * N,
        "prediction": pa.array(rows["said"], pa.string()),
        "prediction_value": pa.array(rows["said_value"], pa.float64()),
        "score": pa.array(rows.get("score", [None] * N), pa.float64()),
        "segments": pa.array(segments, pa.map_(pa.string(), pa.string())),
        "_ingested_at": pa.array([datetime.now(UTC)] * N, pa.timestamp("ms", "UTC")),
    }
    stamp = pa.timestamp("us", "UTC")
    insert_rows(clickhouse, "predictions", pa.table({**shared, "ts": pa.array(rows["made"], stamp)}))
    labelled = rows["labelled"]
    rows["settled"] = settled = [bool(known) or index % 10 != 0 for index, known in enumerate(labelled)]
    feedback = pa.table(
        {
            **shared,
            "outcome": ["answer"] * N,
            "status": ["matched" if each else "expired" for each in labelled],
            "label": pa.array([label if k else None for label, k in zip(rows["label"], labelled, strict=True)]),
            "label_value": pa.array(
                [
                    None if value is None or not k else float(value)
                    for value, k in zip(rows["label_value"], labelled, strict=True)
                ],
                pa.float64(),
            ),
            "prediction_ts": pa.array(rows["made"], stamp),
            "action_ts": pa.array([at if k else None for at, k in zip(rows["acted"], labelled, strict=True)], stamp),
            "revision": pa.array(np.where(labelled, 2, 1), pa.uint32()),
        }
    )
    insert_rows(clickhouse, "feedback", feedback.filter(pa.array(settled)))
    return rows


@pytest.fixture(scope="module")
def fraud(clickhouse: ClickHouse) -> Rows:
    """Booleans, with scores of two decimals: many ties."""
    rng = np.random.default_rng(1)
    score = rng.random(N).round(2)
    truth = rng.random(N) < score
    return store(
        clickhouse,
        rows_of(
            "fraud", 2, score=score, said=np.where(score >= 0.6, "true", "false"),
            said_value=(score >= 0.6).astype(float), truth=truth,
            label=np.where(truth, "true", "false").tolist(), label_value=truth,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def minutes(clickhouse: ClickHouse) -> Rows:
    """Numbers: a delay in minutes, with a few zeros."""
    rng = np.random.default_rng(3)
    truth = rng.normal(20, 15, N).round(1)
    truth[::500] = 0
    said = truth + rng.normal(1, 4, N)
    return store(
        clickhouse,
        rows_of(
            "minutes", 4, said=[repr(float(each)) for each in said], said_value=said, truth=truth,
            label=[repr(float(each)) for each in truth], label_value=truth,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def animals(clickhouse: ClickHouse) -> Rows:
    """Four classes, one of them never predicted."""
    rng = np.random.default_rng(5)
    truth = rng.choice(["cat", "dog", "eel", "fox"], N, p=[0.5, 0.3, 0.15, 0.05])
    said = np.where(rng.random(N) < 0.7, truth, rng.choice(["cat", "dog"], N))
    said[said == "fox"] = "eel"
    nothing = [None] * N
    return store(
        clickhouse,
        rows_of("animals", 6, said=said, said_value=nothing, truth=truth, label=truth.tolist(), label_value=nothing),
    )


def windows(model: str, *, size: timedelta = DAY, **more: Any) -> Windows:
    return Windows(model, more.pop("outcome", Outcome("answer")), Window.tumbling(size), **more)


def chosen(rows: Rows, of: Callable[[int], bool] = lambda _: True) -> list[int]:
    """Indices of the labelled rows."""
    return [index for index in range(N) if rows["labelled"][index] and of(index)]


def near(found: dict[str, Any], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=EXACT, abs=EXACT), name


def expected_binary(truth: Any, said: Any, score: Any) -> dict[str, float]:
    return {
        "accuracy": sk.accuracy_score(truth, said),
        "precision": sk.precision_score(truth, said),
        "recall": sk.recall_score(truth, said),
        "f1": sk.f1_score(truth, said),
        "specificity": sk.recall_score(~truth, said == 0),
        "roc_auc": sk.roc_auc_score(truth, score),
        "pr_auc": sk.average_precision_score(truth, score),
        "log_loss": sk.log_loss(truth, score),
        "brier": sk.brier_score_loss(truth, score),
    }


def test_binary_metrics_equal_scikit_learns(clickhouse: ClickHouse, fraud: Rows) -> None:
    found = quality(clickhouse, windows("fraud"))
    assert [row.cell.start for row in found] == [BEGIN, BEGIN + DAY, BEGIN + 2 * DAY]
    for row in found:
        at = chosen(fraud, lambda index, row=row: row.cell.start <= fraud["made"][index] < row.cell.start + DAY)
        truth, said, score = (fraud[name][at] for name in ("truth", "said_value", "score"))
        assert row.labelled == len(at)
        near(row.metrics, expected_binary(truth, said, score))


def test_the_calibration_error_is_the_mean_gap_of_ten_bins(clickhouse: ClickHouse, fraud: Rows) -> None:
    (row,) = quality(clickhouse, windows("fraud", size=30 * DAY))
    at = chosen(fraud)
    truth, score = fraud["truth"][at], fraud["score"][at]
    bins = np.minimum((score * 10).astype(int), 9)
    gaps = [abs(score[bins == each].sum() - truth[bins == each].sum()) for each in range(10)]
    assert row.metrics["calibration_error"].value == pytest.approx(sum(gaps) / len(at), rel=EXACT)


def test_regression_metrics_equal_scikit_learns(clickhouse: ClickHouse, minutes: Rows) -> None:
    (row,) = quality(clickhouse, windows("minutes", size=30 * DAY))
    at = chosen(minutes)
    truth, said = minutes["truth"][at], minutes["said_value"][at]
    near(
        row.metrics,
        {
            "mae": sk.mean_absolute_error(truth, said),
            "rmse": sk.root_mean_squared_error(truth, said),
            "mape": sk.mean_absolute_percentage_error(truth, said),
            "r2": sk.r2_score(truth, said),
            "bias": float(np.mean(said - truth)),
            **{f"quantile_loss_{q}": sk.mean_pinball_loss(truth, said, alpha=q) for q in (0.1, 0.5, 0.9)},
        },
    )


def test_multiclass_metrics_equal_scikit_learns(clickhouse: ClickHouse, animals: Rows) -> None:
    (row,) = quality(clickhouse, windows("animals", size=30 * DAY))
    at = chosen(animals)
    truth, said = animals["truth"][at], animals["said"][at]
    expected = {"accuracy": sk.accuracy_score(truth, said)}
    for average in ("macro", "weighted"):
        for name, of in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
            expected[f"{average}_{name}"] = of(truth, said, average=average, zero_division=0)
    near(row.metrics, expected)


def test_a_bound_on_numbers_makes_two_classes_of_them(clickhouse: ClickHouse, minutes: Rows) -> None:
    late = Outcome("answer", positive=Positive(comparison=Comparison.MORE, bound=15))
    (row,) = quality(clickhouse, windows("minutes", size=30 * DAY, outcome=late))
    at = chosen(minutes)
    truth, said = minutes["truth"][at] > 15, minutes["said_value"][at] > 15
    near(row.metrics, {"accuracy": sk.accuracy_score(truth, said), "f1": sk.f1_score(truth, said)})
    assert "roc_auc" not in row.metrics


def test_one_label_against_the_rest(clickhouse: ClickHouse, animals: Rows) -> None:
    eel = Outcome("answer", positive=Positive(text="eel"))
    (row,) = quality(clickhouse, windows("animals", size=30 * DAY, outcome=eel))
    at = chosen(animals)
    truth, said = animals["truth"][at] == "eel", animals["said"][at] == "eel"
    near(row.metrics, {"precision": sk.precision_score(truth, said), "recall": sk.recall_score(truth, said)})


def test_completeness_is_the_share_that_is_settled(clickhouse: ClickHouse, fraud: Rows) -> None:
    for row in quality(clickhouse, windows("fraud")):
        at = [index for index in range(N) if row.cell.start <= fraud["made"][index] < row.cell.start + DAY]
        assert row.predictions == len(at)
        assert row.completeness == pytest.approx(np.mean([fraud["settled"][index] for index in at]))
        assert 0.9 < (row.completeness or 0) < 1


def test_by_label_time_a_prediction_is_in_the_window_of_its_action(clickhouse: ClickHouse, fraud: Rows) -> None:
    found = quality(clickhouse, windows("fraud", time_of=TimeOf.LABEL))
    assert len(found) == 5
    for row in found:
        at = chosen(fraud, lambda index, row=row: row.cell.start <= fraud["acted"][index] < row.cell.start + DAY)
        assert (row.labelled, row.predictions, row.completeness) == (len(at), None, None)
        near(row.metrics, {"accuracy": sk.accuracy_score(fraud["truth"][at], fraud["said_value"][at])})


def test_slices_have_windows_of_their_own(clickhouse: ClickHouse, fraud: Rows) -> None:
    found = quality(clickhouse, windows("fraud", size=30 * DAY, slicing=Slicing(("country",))))
    assert [row.cell.value for row in found] == ["", "de", "fr"]
    for row in found:
        at = chosen(fraud, lambda index, row=row: fraud["country"][index] == row.cell.value)
        near(row.metrics, {"roc_auc": sk.roc_auc_score(fraud["truth"][at], fraud["score"][at])})


def test_since_and_until_cut_the_rows(clickhouse: ClickHouse, fraud: Rows) -> None:
    since, until = BEGIN + timedelta(hours=6, microseconds=1), BEGIN + timedelta(hours=30)
    found = quality(clickhouse, windows("fraud", since=since, until=until))
    at = chosen(fraud, lambda index: since <= fraud["made"][index] < until)
    assert sum(row.labelled for row in found) == len(at)


def test_labels_say_what_kind_a_model_is(clickhouse: ClickHouse, fraud: Rows, minutes: Rows, animals: Rows) -> None:
    kinds = [infer_kind(clickhouse, windows(rows["model"])) for rows in (fraud, minutes, animals)]
    assert kinds == [Kind.CLASSIFICATION, Kind.REGRESSION, Kind.MULTICLASS]
    # Labels that came after the last prediction are of the same model.
    late = quality(clickhouse, windows("minutes", time_of=TimeOf.LABEL, since=BEGIN + 3 * DAY))
    assert [row.cell.start for row in late] == [BEGIN + 3 * DAY, BEGIN + 4 * DAY]
    assert all("mae" in row.metrics for row in late)
    assert known_outcomes(clickhouse, "fraud") == [Outcome("answer")]


def test_yes_and_no_beside_numbers_ask_for_the_positive_class(clickhouse: ClickHouse, minutes: Rows) -> None:
    late = minutes["said_value"] > 15
    rows = rows_of("late", 7, said=np.where(late, "true", "false"), said_value=late.astype(float))
    store(clickhouse, {**rows, "label": minutes["label"], "label_value": minutes["label_value"]})
    with pytest.raises(LoopwatchError, match="`positive` of outcome answer"):
        quality(clickhouse, windows("late"))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("fraud", ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "brier")),
        ("minutes", ("mae", "rmse", "bias", "r2", "quantile_loss_0.1")),
        ("animals", ("accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision", "weighted_f1")),
    ],
)
def test_an_interval_holds_the_truth_about_as_often_as_it_says(
    clickhouse: ClickHouse, fraud: Rows, minutes: Rows, animals: Rows, model: str, names: tuple[str, ...]
) -> None:
    (whole,) = quality(clickhouse, windows(model, size=30 * DAY))
    parts = quality(clickhouse, windows(model, size=timedelta(minutes=60)))
    for name in names:
        inside = [_holds(row, name, whole.metrics[name].value) for row in parts if name in row.metrics]
        assert len(inside) > 60
        assert 0.85 <= np.mean(inside) <= 1, name


def test_a_sliding_window_is_what_a_tumbling_one_is_over_the_same_time(clickhouse: ClickHouse, fraud: Rows) -> None:
    sliding = Windows("fraud", Outcome("answer"), Window(2 * DAY, DAY))
    by_start = {row.cell.start: row for row in quality(clickhouse, sliding)}
    assert sorted(by_start) == [BEGIN + day * DAY for day in (-1, 0, 1, 2)]
    for start, row in by_start.items():
        at = chosen(fraud, lambda index, start=start: start <= fraud["made"][index] < start + 2 * DAY)
        near(row.metrics, {"roc_auc": sk.roc_auc_score(fraud["truth"][at], fraud["score"][at])})
        assert row.labelled == len(at)


def test_every_slice_at_once_is_each_alone(clickhouse: ClickHouse, fraud: Rows) -> None:
    found = {row.cell: row for row in quality(clickhouse, windows("fraud", slicing=Slicing(every=True)))}
    alone = quality(clickhouse, windows("fraud")) + [
        row for row in quality(clickhouse, windows("fraud", slicing=Slicing(("country",)))) if row.cell.value
    ]
    assert all(found[row.cell] == row for row in alone)
    assert {(cell.key, cell.value) for cell in found} == {
        ("", ""), ("version", ""), ("country", "de"), ("country", "fr"),
    }  # fmt: skip


def test_rare_values_share_a_slice(clickhouse: ClickHouse, minutes: Rows) -> None:
    town = [f"town-{min(index % 100, 25)}" for index in range(N)]
    store(clickhouse, {**minutes, "model": "towns", "country": town})
    rows = quality(clickhouse, windows("towns", size=30 * DAY, slicing=Slicing(("country",))))
    assert len(rows) == 21
    (other,) = [row for row in rows if row.cell.value == "other"]
    (largest,) = [row for row in rows if row.cell.value == "town-25"]
    assert (largest.predictions, other.predictions) == (N * 75 // 100, N * 6 // 100)


@pytest.mark.parametrize("time_of", TimeOf)
def test_where_nothing_is_rare_folding_makes_no_difference(
    clickhouse: ClickHouse, fraud: Rows, time_of: TimeOf
) -> None:
    folding = windows("fraud", time_of=time_of, slicing=Slicing(every=True))
    _, plain = statistics.counted(clickhouse, folding)
    assert folding.folds
    assert not plain.folds
    assert list(statistics.binary(clickhouse, plain)) == list(statistics.binary(clickhouse, folding))


def test_rows_in_another_order_give_the_same_bits(clickhouse: ClickHouse, fraud: Rows, minutes: Rows) -> None:
    for rows in (fraud, minutes):
        order = np.random.default_rng(8).permutation(N)
        copy = {**rows, "model": f"{rows['model']}-again", "ids": [f"{rows['model']}-{index}" for index in order]}
        for name in ("made", "acted", "labelled", "country", "said", "said_value", "truth", "score", "label"):
            if name in rows:
                copy[name] = [rows[name][index] for index in order]
        copy["label_value"] = [rows["label_value"][index] for index in order]
        copy["labelled"] = np.array(copy["labelled"])
        store(clickhouse, copy)
        one, two = (
            quality(clickhouse, windows(model, slicing=Slicing(every=True))) for model in (rows["model"], copy["model"])
        )
        # Which of the unlabelled are still pending is another matter here.
        assert [(row.cell, row.labelled, row.metrics) for row in one] == [
            (row.cell, row.labelled, row.metrics) for row in two
        ]


def _holds(row: Quality, name: str, truth: float) -> bool:
    metric = row.metrics[name]
    return metric.lower is not None and metric.upper is not None and metric.lower <= truth <= metric.upper


def run(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_URL", clickhouse.address)
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_DATABASE", clickhouse.database)
    return CliRunner().invoke(app, ["metrics", *words])


def rows_printed(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[dict[str, Any]]:
    result = run(clickhouse, monkeypatch, *words, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_reliability_curve_is_that_of_scikit_learn(
    clickhouse: ClickHouse, fraud: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rows_printed(clickhouse, monkeypatch, "fraud", "--show", "reliability")
    at = chosen(fraud)
    # The bins of scikit-learn are open below, ours above: scores of two decimals lie on the edges.
    shares, scores = calibration_curve(fraud["truth"][at], np.minimum(fraud["score"][at] + 1e-12, 1), n_bins=10)
    near_lists([row["positive_share"] for row in found], shares)
    near_lists([row["mean_score"] for row in found], scores)
    assert sum(row["n"] for row in found) == len(at)


def near_lists(found: list[float], expected: Any) -> None:
    assert found == pytest.approx(list(expected), rel=1e-6)


@pytest.mark.parametrize("model", ["animals", "fraud"])
def test_the_confusion_matrix_is_that_of_scikit_learn(
    clickhouse: ClickHouse, fraud: Rows, animals: Rows, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    rows = {"animals": animals, "fraud": fraud}[model]
    at = chosen(rows)
    truth = [rows["label"][index] for index in at]
    said = [str(rows["said"][index]) for index in at]
    names = sorted({*truth, *said})
    matrix = sk.confusion_matrix(truth, said, labels=names)
    found = rows_printed(clickhouse, monkeypatch, model, "--show", "confusion")
    assert {(row["label"], row["prediction"]): row["n"] for row in found if row["n"]} == {
        (label, prediction): int(matrix[i, j])
        for i, label in enumerate(names)
        for j, prediction in enumerate(names)
        if matrix[i, j]
    }


def test_a_sum_has_the_same_bits_however_often_it_was_asked_for(clickhouse: ClickHouse) -> None:
    sums = f"SELECT number % 5000 AS g, {bounded_sum('log(1 + number)')} FROM numbers(20000) GROUP BY g ORDER BY g"
    first, *others = [list(clickhouse.rows(sums)) for _ in range(6)]
    assert all(each == first for each in others)


def test_the_worst_slice_is_the_broken_one(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(12)
    rows = rows_of("slices", 9, said=np.array([]), said_value=np.array([]))
    rows["country"] = rng.choice([f"c{each}" for each in range(12)], N)
    truth = rng.random(N) < 0.5
    wrong = rng.random(N) < np.where(rows["country"] == "c7", 0.35, 0.1)
    said = truth ^ wrong
    rows |= {"said": np.where(said, "true", "false"), "said_value": said.astype(float), "truth": truth}
    store(clickhouse, {**rows, "label": np.where(truth, "true", "false").tolist(), "label_value": truth})
    first, *others = rows_printed(clickhouse, monkeypatch, "slices", "--show", "worst")
    assert (first["key"], first["segment"], first["beyond_chance"]) == ("country", "c7", True)
    assert not any(row["beyond_chance"] for row in others)


def test_the_command_prints_tables_csv_and_json(
    clickhouse: ClickHouse, fraud: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {
        (row.cell.start.isoformat(), name): m.value
        for row in with_final_shares(clickhouse, windows("fraud"), quality(clickhouse, windows("fraud")))
        for name, m in row.metrics.items()
    }
    # Some of its predictions still wait.
    assert (BEGIN.isoformat(), "final_share") in expected
    table = run(clickhouse, monkeypatch, "fraud")
    assert table.exit_code == 0
    assert "roc_auc" in table.stdout
    assert "2025-03-05" in table.stdout
    as_json = rows_printed(clickhouse, monkeypatch, "fraud")
    assert {(row["window_start"], row["metric"]): row["value"] for row in as_json} == expected
    as_csv = csv.DictReader(io.StringIO(run(clickhouse, monkeypatch, "fraud", "--format", "csv").stdout))
    assert {(row["window_start"], row["metric"]): float(row["value"]) for row in as_csv} == expected
    nothing = run(clickhouse, monkeypatch, "nobody")
    assert nothing.exit_code != 0
    assert "nobody has no feedback" in nothing.stderr
