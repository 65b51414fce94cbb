"""Estimated final shares of windows, asked of ClickHouse as of an instant and held against what came in the end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.outcomes import Outcome
from loopwatch.schemas.windows import Window
from loopwatch.stream_processors.evaluate import completeness
from loopwatch.stream_processors.evaluate.completeness import final_shares
from loopwatch.stream_processors.evaluate.slices import Slicing
from loopwatch.stream_processors.evaluate.windows import Cell, Windows

from tests.databases import insert_rows

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
DAY = timedelta(days=1)
ANSWER = Outcome("answer", window=10 * DAY)
NOW = BEGIN + 40 * DAY
N = 9000
QUOTED = "it's due"

Rows = dict[str, Any]


def store(clickhouse: ClickHouse, model: str, made: list[datetime], delay_d: np.ndarray, **carried: Any) -> None:
    """Predictions with their labels, all of those that ever come; a delay beyond the window is an expired row."""
    n = len(made)
    in_time = delay_d <= ANSWER.window / DAY
    stamp = pa.timestamp("us", "UTC")
    numbers, texts = carried.get("numbers", {}), carried.get("texts", {})
    shared = {
        "prediction_id": [f"{model}-{index}" for index in range(n)],
        "model": [model] * n,
        "segments": pa.array(
            [[("country", str(each))] for each in carried.get("country", ["de"] * n)], pa.map_(pa.string(), pa.string())
        ),
        "_ingested_at": pa.array([datetime.now(UTC)] * n, pa.timestamp("ms", "UTC")),
    }
    predictions = {
        **shared,
        "ts": pa.array(made, stamp),
        "features_num": pa.array(
            [[(name, float(values[index])) for name, values in numbers.items()] for index in range(n)],
            pa.map_(pa.string(), pa.float64()),
        ),
        "features_cat": pa.array(
            [[(name, str(values[index])) for name, values in texts.items()] for index in range(n)],
            pa.map_(pa.string(), pa.string()),
        ),
    }
    insert_rows(clickhouse, "predictions", pa.table(predictions))
    acted = [at + float(d) * DAY if known else None for at, d, known in zip(made, delay_d, in_time, strict=True)]
    feedback = {
        **shared,
        "outcome": ["answer"] * n,
        "status": ["matched" if known else "expired" for known in in_time],
        "label": ["true" if known else "false" for known in in_time],
        "prediction_ts": pa.array(made, stamp),
        "action_ts": pa.array(acted, stamp),
        "revision": pa.array(np.where(in_time, 2, 1), pa.uint32()),
    }
    insert_rows(clickhouse, "feedback", pa.table(feedback))


def times(rng: np.random.Generator, n: int) -> list[datetime]:
    """Over 44 days: the last four are after `NOW`."""
    return [BEGIN + float(day) * DAY for day in np.sort(rng.uniform(0, 44, n))]


@pytest.fixture(scope="module")
def planned(clickhouse: ClickHouse) -> Rows:
    """Labels come when they are planned, up to 20 days ahead; the plans get longer all the time. Beside it noise."""
    rng = np.random.default_rng(1)
    made = times(rng, N)
    age = np.array([(at - BEGIN) / DAY for at in made])
    due = rng.uniform(0, 6 + 14 * age / 44)
    rows: Rows = {
        "made": np.array(made),
        "delay_d": due * rng.uniform(0.9, 1.1, N),
        "country": rng.choice(["de", "fr"], N),
    }
    store(
        clickhouse, "planned", made, rows["delay_d"], country=rows["country"],
        numbers={QUOTED: due, "noise": rng.random(N)}, texts={"shop": rng.choice(["a", "b", "c'"], N)},
    )  # fmt: skip
    return rows


def of_window(rows: Rows, start: datetime, size: timedelta = DAY, now: datetime = NOW) -> np.ndarray:
    """Indices of the predictions that had been made in a window."""
    return np.flatnonzero((rows["made"] >= start) & (rows["made"] < start + size) & (rows["made"] <= now))


def truth(rows: Rows, at: np.ndarray) -> float:
    return float((rows["delay_d"][at] <= 10).mean())


def known(rows: Rows, at: np.ndarray, now: datetime = NOW) -> float:
    came = [made + float(d) * DAY <= now for made, d in zip(rows["made"][at], rows["delay_d"][at], strict=True)]
    return float((np.array(came) & (rows["delay_d"][at] <= 10)).mean())


def windows(model: str, **more: Any) -> Windows:
    return Windows(model, ANSWER, **more)


def test_a_settled_window_has_the_share_that_was_labelled(clickhouse: ClickHouse, planned: Rows) -> None:
    shares = final_shares(clickhouse, windows("planned"), NOW)
    settled = {cell: share for cell, share in shares.items() if cell[0] + DAY + ANSWER.window <= NOW}
    assert len(settled) == 30
    for (start, *_), share in settled.items():
        at = of_window(planned, start)
        assert share.n == len(at)
        assert share.value == share.lower == share.upper == pytest.approx(truth(planned, at))


def test_a_young_window_comes_near_what_it_will_have_in_the_end(clickhouse: ClickHouse, planned: Rows) -> None:
    shares = final_shares(clickhouse, windows("planned"), NOW)
    young = {start: share for (start, *_), share in shares.items() if start + ANSWER.window > NOW}
    assert max(young) == NOW - DAY
    errors = []
    for start, share in young.items():
        at = of_window(planned, start)
        assert share.lower is not None
        assert share.upper is not None
        assert known(planned, at) - 1e-12 <= share.lower <= share.value <= share.upper <= 1
        errors.append(share.value - truth(planned, at))
    # Every plan so far was shorter: the pooled delays alone are off by much more.
    assert np.mean(np.abs(errors)) < 0.03


def test_nothing_from_after_the_instant_is_used(clickhouse: ClickHouse, planned: Rows) -> None:
    at = np.flatnonzero(planned["made"] <= NOW)
    made = planned["made"][at]
    labels = [m + float(d) * DAY for m, d in zip(made, planned["delay_d"][at], strict=True)]
    # The same predictions without what came later: those labels are beyond the attribution window.
    seen = np.array([d if came <= NOW else 99.0 for d, came in zip(planned["delay_d"][at], labels, strict=True)])
    store(clickhouse, "planned-then", list(made), seen)
    store(clickhouse, "planned-now", list(made), planned["delay_d"][at])
    then = final_shares(clickhouse, windows("planned-then"), NOW)
    now = final_shares(clickhouse, windows("planned-now"), NOW)
    assert [(cell, round(share.value, 9)) for cell, share in then.items()] == [
        (cell, round(share.value, 9)) for cell, share in now.items()
    ]


def test_slices_have_shares_of_their_own(clickhouse: ClickHouse, planned: Rows) -> None:
    asked = windows("planned", window=Window.tumbling(2 * DAY), slicing=Slicing(("country",)), since=NOW - 16 * DAY)
    shares = final_shares(clickhouse, asked, NOW)
    assert {cell.value for cell in shares} == {"de", "fr"}
    for (start, _, segment, _), share in shares.items():
        at = of_window(planned, start, 2 * DAY)
        at = at[planned["country"][at] == segment]
        assert share.n == len(at) - sum(planned["made"][at] < asked.since)
        assert share.value == pytest.approx(truth(planned, at), abs=0.15)


def test_a_sample_tells_about_as_much(clickhouse: ClickHouse, planned: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = final_shares(clickhouse, windows("planned"), NOW)
    monkeypatch.setattr(completeness, "SAMPLE", 2000)
    sampled = final_shares(clickhouse, windows("planned"), NOW)
    assert sampled.keys() == whole.keys()
    assert [share.n for share in sampled.values()] == [share.n for share in whole.values()]
    differences = [abs(sampled[cell].value - whole[cell].value) for cell in whole]
    assert 0 < max(differences) < 0.06


def test_labels_within_seconds_leave_nothing_to_estimate(clickhouse: ClickHouse) -> None:
    rng = np.random.default_rng(2)
    store(clickhouse, "quick", times(rng, 2000), rng.uniform(0, 5, 2000) / 86_400)
    shares = final_shares(clickhouse, windows("quick"), NOW)
    assert len(shares) == 40
    assert all(share.value > 0.999 for share in shares.values())


def test_where_no_label_ever_came_none_is_expected(clickhouse: ClickHouse) -> None:
    rng = np.random.default_rng(3)
    store(clickhouse, "silent", times(rng, 2000), np.full(2000, 99.0))
    shares = final_shares(clickhouse, windows("silent"), NOW)
    assert {share.value for share in shares.values()} == {0.0}
    last = shares[Cell(NOW - DAY)]
    assert last.upper is not None
    assert 0 < last.upper < 0.15


def test_labels_at_the_very_end_of_the_window_are_foreseen(clickhouse: ClickHouse) -> None:
    rng = np.random.default_rng(4)
    store(clickhouse, "punctual", times(rng, 2000), np.where(rng.random(2000) < 0.4, 10.0, 99.0))
    shares = final_shares(clickhouse, windows("punctual"), NOW)
    assert [shares[Cell(NOW - days * DAY)].value for days in (1, 5, 9)] == pytest.approx([0.4] * 3, abs=0.05)


def test_a_handful_of_predictions_has_a_wide_interval(clickhouse: ClickHouse) -> None:
    made = [NOW - hours * timedelta(hours=5) for hours in range(6, 0, -1)]
    store(clickhouse, "new", made, np.array([0.1, 99.0, 0.2, 99.0, 99.0, 99.0]))
    for share in final_shares(clickhouse, windows("new", window=Window.tumbling(30 * DAY)), NOW).values():
        assert share.lower is not None
        assert share.upper is not None
        assert 2 / 6 <= share.lower <= share.value <= share.upper
        assert share.upper - share.lower > 0.3


def test_a_model_without_predictions_has_no_shares(clickhouse: ClickHouse) -> None:
    assert final_shares(clickhouse, windows("nobody"), NOW) == {}


def test_a_sliding_window_and_its_slices_share_their_predictions(clickhouse: ClickHouse, planned: Rows) -> None:
    sliding = windows("planned", window=Window(2 * DAY, DAY), slicing=Slicing(every=True), since=NOW - 8 * DAY)
    shares = final_shares(clickhouse, sliding, NOW)
    start = NOW - 3 * DAY
    whole, de, fr = (shares[cell] for cell in (Cell(start), Cell(start, "country", "de"), Cell(start, "country", "fr")))
    assert whole.n == len(of_window(planned, start, 2 * DAY)) == de.n + fr.n
    assert whole.value * whole.n == pytest.approx(de.value * de.n + fr.value * fr.n)
