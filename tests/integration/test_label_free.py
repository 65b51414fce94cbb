"""Estimates of windows before their labels, and what they are held against afterwards, from rows of ClickHouse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from loopwatch.detectors.label_free.calibration import bin_of
from loopwatch.detectors.label_free.delays import bucket
from loopwatch.detectors.quality.estimates import Estimate
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.errors import LoopwatchError
from loopwatch.schemas.outcomes import Outcome
from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.evaluate.label_free import estimated, reconciled
from loopwatch.stream_processors.evaluate.reference import SCORE_BIN, delay_bucket
from loopwatch.stream_processors.evaluate.slices import Slicing
from loopwatch.stream_processors.evaluate.windows import Cell, Windows
from sklearn import metrics as sk

from tests.databases import insert_rows

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 40
LAST = BEGIN + 35 * DAY
"""The window that is estimated: the five days from here, which are aligned to 1970."""
LATER = BEGIN + 400 * DAY
N = 24_000
METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")

Rows = dict[str, Any]


def rows_of(seed: int, score: Any = None, chance: Any = None) -> Rows:
    """Predictions of forty days and their truth; a positive label comes after about a day, a negative one after six."""
    rng = np.random.default_rng(seed)
    made_day = np.sort(rng.uniform(0, DAYS, N))
    score = rng.beta(1, 1.5, N) if score is None else score(rng, made_day)
    truth = rng.random(N) < (score if chance is None else chance(score, made_day))
    delay_day = np.where(truth, 1, 6) * rng.uniform(0.5, 1.5, N)
    country = rng.choice(["de", "fr"], N)
    return {"made": made_day, "score": score, "truth": truth, "delay": delay_day, "country": country}


def store(clickhouse: ClickHouse, model: str, rows: Rows, *, scores: bool = True) -> Rows:
    """Insert the predictions and all feedback that ever comes."""
    stamp = pa.timestamp("us", "UTC")
    made = [BEGIN + timedelta(days=float(day)) for day in rows["made"]]
    said, truth = rows["score"] >= 0.5, rows["truth"]
    shared = {
        "prediction_id": [f"{model}-{index}" for index in range(N)],
        "model": [model] * N,
        "prediction": pa.array(np.where(said, "true", "false"), pa.string()),
        "prediction_value": pa.array(said.astype(float)),
        "score": pa.array(rows["score"] if scores else [None] * N, pa.float64()),
        "segments": pa.array([[("country", each)] for each in rows["country"]], pa.map_(pa.string(), pa.string())),
        "_ingested_at": pa.array([datetime.now(UTC)] * N, pa.timestamp("ms", "UTC")),
    }
    feedback = {
        **shared,
        "outcome": ["answer"] * N,
        "status": ["matched"] * N,
        "label": pa.array(np.where(truth, "true", "false"), pa.string()),
        "label_value": pa.array(truth.astype(float)),
        "prediction_ts": pa.array(made, stamp),
        "action_ts": pa.array(
            [at + timedelta(days=float(day)) for at, day in zip(made, rows["delay"], strict=True)], stamp
        ),
        "revision": pa.array(np.full(N, 2), pa.uint32()),
    }
    insert_rows(clickhouse, "predictions", pa.table({**shared, "ts": pa.array(made, stamp)}))
    insert_rows(clickhouse, "feedback", pa.table(feedback))
    return rows


@pytest.fixture(scope="module")
def steady(clickhouse: ClickHouse) -> Rows:
    """Scores are chances, all the time."""
    return store(clickhouse, "steady", rows_of(1))


@pytest.fixture(scope="module")
def shifted(clickhouse: ClickHouse) -> Rows:
    """In the last days other scores come; a score goes on meaning the same."""

    def score(rng: np.random.Generator, day: Any) -> Any:
        return np.where(day < 35, rng.beta(1, 4, N), rng.beta(3, 3, N))

    return store(clickhouse, "shifted", rows_of(2, score))


@pytest.fixture(scope="module")
def flipped(clickhouse: ClickHouse) -> Rows:
    """In the last days a score means the opposite; the scores are as ever."""
    return store(clickhouse, "flipped", rows_of(3, chance=lambda score, day: np.where(day < 35, score, 1 - score)))


def last_window(model: str, *, size: timedelta = 5 * DAY, **more: Any) -> Windows:
    return Windows(model, more.pop("outcome", Outcome("answer", window=20 * DAY)), Window.tumbling(size), **more)


def realised(rows: Rows, chosen: Any) -> dict[str, float]:
    truth, score = rows["truth"][chosen], rows["score"][chosen]
    said = score >= 0.5
    return {
        "accuracy": sk.accuracy_score(truth, said),
        "precision": sk.precision_score(truth, said),
        "recall": sk.recall_score(truth, said),
        "f1": sk.f1_score(truth, said),
        "roc_auc": sk.roc_auc_score(truth, score),
    }


def holds(estimate: Estimate, value: float) -> bool:
    assert estimate.lower is not None
    assert estimate.upper is not None
    return estimate.lower <= value <= estimate.upper


def the_last(found: dict[Any, dict[str, Estimate]]) -> dict[str, Estimate]:
    return found[Cell(LAST)]


def test_an_estimate_is_there_before_its_labels_and_near_what_comes_out(clickhouse: ClickHouse, steady: Rows) -> None:
    metrics = the_last(estimated(clickhouse, last_window("steady"), LAST + 5 * DAY))
    assert metrics.keys() == set(METRICS)
    for name, value in realised(steady, steady["made"] >= 35).items():
        assert metrics[name].n == (steady["made"] >= 35).sum()
        assert metrics[name].value == pytest.approx(value, abs=0.025), name


def test_an_interval_holds_what_comes_out_about_as_often_as_it_says(clickhouse: ClickHouse, steady: Rows) -> None:
    found = estimated(clickhouse, last_window("steady", size=DAY, since=BEGIN + 15 * DAY), LATER)
    assert len(found) == 25
    for name in METRICS:
        inside = []
        for (start, *_), metrics in found.items():
            day = (start - BEGIN) / DAY
            values = realised(steady, (steady["made"] >= day) & (steady["made"] < day + 1))
            inside.append(holds(metrics[name], values[name]))
        assert np.mean(inside) >= 0.84, name


def test_early_labels_alone_would_be_wrong(clickhouse: ClickHouse, steady: Rows) -> None:
    """Most labels known on the tenth day are positive ones; the estimate is not led astray by them."""
    until = BEGIN + 10 * DAY
    known = (steady["made"] < 8) & (steady["made"] + steady["delay"] < 10)
    assert steady["truth"][known].mean() > steady["truth"][steady["made"] < 8].mean() + 0.1
    (metrics,) = estimated(
        clickhouse, last_window("steady", size=500 * DAY, since=until - 2 * DAY, until=until), until
    ).values()
    truth = realised(steady, (steady["made"] >= 8) & (steady["made"] < 10))
    for name in ("accuracy", "precision", "f1"):
        assert metrics[name].value == pytest.approx(truth[name], abs=0.05), name


def test_an_estimate_stays_as_it_was_when_its_window_ended(clickhouse: ClickHouse, steady: Rows) -> None:
    windows = last_window("steady")
    at_the_end = estimated(clickhouse, windows, LAST + 5 * DAY)
    assert estimated(clickhouse, windows, LATER)[Cell(LAST)] == at_the_end[Cell(LAST)]
    # Known a week before, it was another one.
    assert estimated(clickhouse, windows, LAST - 7 * DAY)[Cell(LAST)] != at_the_end[Cell(LAST)]


def test_the_same_rows_give_the_same_estimate(clickhouse: ClickHouse, steady: Rows) -> None:
    windows = last_window("steady", since=LAST, slicing=Slicing(("country",)))
    assert len(estimated(clickhouse, windows, LATER)) == 2
    assert estimated(clickhouse, windows, LATER) == estimated(clickhouse, windows, LATER)
    assert reconciled(clickhouse, windows, LATER) == reconciled(clickhouse, windows, LATER)


def test_other_scores_move_the_estimate_and_leave_no_gap(clickhouse: ClickHouse, shifted: Rows) -> None:
    windows = last_window("shifted")
    before, after = realised(shifted, shifted["made"] < 35), realised(shifted, shifted["made"] >= 35)
    assert after["accuracy"] < before["accuracy"] - 0.1
    metrics = the_last(estimated(clickhouse, windows, LAST + 5 * DAY))
    found = the_last(reconciled(clickhouse, windows, LATER))
    for name in METRICS:
        assert metrics[name].value == pytest.approx(after[name], abs=0.04), name
        assert found[f"{name}_realised"].value == pytest.approx(after[name], abs=0.002), name
        assert holds(found[f"{name}_gap"], 0), name


def test_a_score_that_means_something_else_opens_a_gap_that_the_estimate_does_not_see(
    clickhouse: ClickHouse, flipped: Rows
) -> None:
    windows = last_window("flipped")
    before, after = realised(flipped, flipped["made"] < 35), realised(flipped, flipped["made"] >= 35)
    found = the_last(reconciled(clickhouse, windows, LATER))
    for name in METRICS:
        assert after[name] < before[name] - 0.2, name
        assert found[f"{name}_estimated"].value > after[name] + 0.15, name
        assert (found[f"{name}_gap"].upper or 0) < -0.1, name
    assert found["accuracy_estimated"].value == pytest.approx(before["accuracy"], abs=0.06)


def test_a_gap_of_half_the_labels_is_not_the_delay_of_the_others(clickhouse: ClickHouse, steady: Rows) -> None:
    """Five days after the window most labels are positive ones: they are held against what such labels said before."""
    found = the_last(reconciled(clickhouse, last_window("steady"), LAST + 10 * DAY))
    chosen = (steady["made"] >= 35) & (steady["delay"] <= 5)
    assert steady["truth"][chosen].mean() > steady["truth"][steady["made"] >= 35].mean() + 0.1
    assert found["accuracy_realised"].n == chosen.sum()
    said = steady["score"][chosen] >= 0.5
    assert found["accuracy_realised"].value == pytest.approx(sk.accuracy_score(steady["truth"][chosen], said))
    for name in METRICS:
        assert found[f"{name}_gap"].value == pytest.approx(0, abs=0.03), name


def test_labels_of_one_class_alone_are_not_reconciled(clickhouse: ClickHouse, steady: Rows) -> None:
    """No negative label takes less than three days: those that took two say nothing about chances."""
    assert reconciled(clickhouse, last_window("steady"), LAST + 7 * DAY).keys().isdisjoint({Cell(LAST)})


def test_a_window_that_has_not_ended_is_not_reconciled(clickhouse: ClickHouse, steady: Rows) -> None:
    assert Cell(LAST) not in reconciled(clickhouse, last_window("steady"), LAST + 5 * DAY)


def test_slices_have_estimates_of_their_own(clickhouse: ClickHouse, steady: Rows) -> None:
    windows = last_window("steady", since=LAST, slicing=Slicing(("country",)))
    found = estimated(clickhouse, windows, LAST + 5 * DAY)
    assert found.keys() == {Cell(LAST, "country", "de"), Cell(LAST, "country", "fr")}
    for cell, metrics in found.items():
        chosen = (steady["made"] >= 35) & (steady["country"] == cell.value)
        assert metrics["accuracy"].n == chosen.sum()
        assert metrics["accuracy"].value == pytest.approx(realised(steady, chosen)["accuracy"], abs=0.05)


def test_without_scores_or_labels_there_is_no_estimate(clickhouse: ClickHouse, steady: Rows) -> None:
    store(clickhouse, "silent", rows_of(4), scores=False)
    for windows in (last_window("silent"), last_window("nobody"), last_window("steady", outcome=Outcome("other"))):
        assert estimated(clickhouse, windows, LATER) == {}
        assert reconciled(clickhouse, windows, LATER) == {}
    # The first window has nothing before it.
    first = min(cell.start for cell in estimated(clickhouse, last_window("steady"), LATER))
    assert first >= BEGIN


def test_an_expired_prediction_is_known_to_be_negative_when_its_window_ends(clickhouse: ClickHouse) -> None:
    """Clicks: a positive label at once, a negative one never, but by the end of the outcome's two days."""
    rows = rows_of(5)
    rows["delay"] = np.where(rows["truth"], 0.01, 2.0)
    store(clickhouse, "clicks", rows)
    clickhouse.command(
        f"INSERT INTO {clickhouse.database}.feedback SELECT * REPLACE (3 AS revision, 'expired' AS status, "
        f"CAST(NULL AS Nullable(DateTime64(6, 'UTC'))) AS action_ts) "
        f"FROM {clickhouse.database}.feedback_current WHERE model = 'clicks' AND label_value = 0"
    )
    windows = last_window("clicks", outcome=Outcome("answer", window=2 * DAY))
    metrics = the_last(estimated(clickhouse, windows, LATER))
    truth = realised(rows, rows["made"] >= 35)
    for name in METRICS:
        assert metrics[name].value == pytest.approx(truth[name], abs=0.03), name


def test_windows_by_label_cannot_be_estimated(clickhouse: ClickHouse) -> None:
    for function in (estimated, reconciled):
        with pytest.raises(LoopwatchError, match="by time of prediction"):
            function(clickhouse, last_window("steady", time_of=TimeOf.LABEL), LATER)


def test_clickhouse_counts_in_the_same_bins_and_buckets(clickhouse: ClickHouse) -> None:
    scores = [0.0, 1e-9, 0.001, 0.3, 0.5, 0.501, 0.999, 1.0]
    seconds = [-5.0, 0.0, 0.5, 59.0, 3600.0, 86_400.0, 3e7, 1e12]
    for values, name, sql, python in (
        (scores, "score", SCORE_BIN, bin_of),
        (seconds, "seconds", delay_bucket("seconds"), bucket),
    ):
        rows = clickhouse.rows(f"SELECT {sql} FROM (SELECT CAST(arrayJoin({values}) AS Nullable(Float64)) AS {name})")
        assert [row[0] for row in rows] == [python(value) for value in values]
