"""What detectors found, as read on the command line; what explains it; and training data as a reference."""

import csv
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopwatch.console.cli import app
from loopwatch.detectors.drift.result import Drift, Question, Reason
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.signals import Shift, Signal, SignalKind
from loopwatch.stream_processors.evaluate.panes import ALL, Series, Slice, Stretch, distributions
from loopwatch.stream_processors.evaluate.training import training_of
from loopwatch.stream_processors.monitor.comparisons import Compared
from loopwatch.stream_processors.monitor.drift_rows import store_comparisons
from loopwatch.stream_processors.monitor.signals import store_signals
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter
from typer.testing import CliRunner, Result

from tests.databases import insert_rows

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
N = 8000
CHANGE = BEGIN + DAY


@pytest.fixture(scope="module")
def inserter(clickhouse: ClickHouse) -> Inserter:
    return Inserter(clickhouse, Fence(clickhouse, "", "tests"), give_up_after_s=5, stop=Event())


@pytest.fixture(scope="module")
def risk(clickhouse: ClickHouse) -> dict[str, Any]:
    """Two days of a classifier. On the second one errors double in one of three countries, and `x` moves by a half."""
    rng = np.random.default_rng(7)
    made = [BEGIN + timedelta(seconds=float(at)) for at in np.sort(rng.uniform(0, 2 * 86_400, N))]
    is_new = np.array([at >= CHANGE for at in made])
    country = rng.choice(["de", "fr", "us"], N)
    truth = rng.random(N) < 0.5
    wrong = rng.random(N) < np.where(is_new & (country == "us"), 0.6, 0.2)
    said = truth ^ wrong
    x = rng.normal(0, 1, N) + 0.5 * is_new
    numbers: list[dict[str, float | None]] = [
        {"x": float(x[at]), "y": None if at % 50 == 0 else float(rng.integers(0, 9))} for at in range(N)
    ]
    texts = [{"colour": str(each)} for each in rng.choice(["red", "blue", "green"], N)]
    shared = {
        "prediction_id": [f"p{at}" for at in range(N)],
        "model": ["risk"] * N,
        "version": ["7"] * N,
        "prediction": ["true" if each else "false" for each in said],
        "prediction_value": said.astype(float),
        "score": np.where(said, 0.75, 0.25),
        "segments": pa.array([[("country", each)] for each in country], pa.map_(pa.string(), pa.string())),
        "_ingested_at": pa.array([datetime.now(UTC)] * N, pa.timestamp("ms", "UTC")),
    }
    stamp = pa.timestamp("us", "UTC")
    features = {
        "features_num": pa.array([list(each.items()) for each in numbers], pa.map_(pa.string(), pa.float64())),
        "features_cat": pa.array([list(each.items()) for each in texts], pa.map_(pa.string(), pa.string())),
    }
    insert(clickhouse, "predictions", {**shared, **features, "ts": pa.array(made, stamp)})
    answers = {
        "outcome": ["default"] * N,
        "status": ["matched"] * N,
        "label": ["true" if each else "false" for each in truth],
        "label_value": truth.astype(float),
        "prediction_ts": pa.array(made, stamp),
        "action_ts": pa.array(made, stamp),
        "revision": pa.array([2] * N, pa.uint32()),
    }
    insert(clickhouse, "feedback", shared | answers)
    return {"numbers": numbers, "texts": texts, "said": said, "new": is_new, "country": country, "wrong": wrong}


def insert(clickhouse: ClickHouse, table: str, columns: dict[str, Any]) -> None:
    insert_rows(clickhouse, table, pa.table(columns))


@pytest.fixture
def run(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_URL", clickhouse.address)
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_DATABASE", clickhouse.database)
    monkeypatch.delenv("LOOPWATCH_CONFIG", raising=False)

    def invoke(*words: object) -> Result:
        return CliRunner().invoke(app, list(map(str, words)))

    return invoke


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def why_not(result: Result) -> str:
    """The one line of a command that failed."""
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def signals(clickhouse: ClickHouse, inserter: Inserter) -> list[Signal]:
    """Three of two models, the second seen again later."""
    first = Signal(
        "aa01", "shop", SignalKind.DATA_DRIFT, "basket", "wasserstein", BEGIN, BEGIN + HOUR, BEGIN + HOUR, 0.5,
        "basket of shop drifted", 1.0, 2.5, 300, evidence=(Shift("1 to 2", 0.5, 0.25), Shift("2 to 4", 0.1, 0.35)),
        examples=("p1", "p2"), query="SELECT 1",
    )  # fmt: skip
    second = Signal(
        "ab02", "shop", SignalKind.CONCEPT_DRIFT, "loss", "glr", BEGIN, BEGIN + 2 * HOUR, BEGIN + 2 * HOUR, 0.75,
        "losses of shop grew", 0.1, 0.3, 64, outcome="click", segment_key="country", segment="de",
    )  # fmt: skip
    third = Signal(
        "ac03", "other", SignalKind.ANOMALY, "volume", "series_anomalies", BEGIN, BEGIN + 3 * HOUR, BEGIN + 3 * HOUR,
        1.0, "volume of other is 0", 90.0, 0.0, 12,
    )  # fmt: skip
    now = datetime.now(UTC)
    store_signals(inserter, [first, second, third], set(), now)
    again = msgspec.structs.replace(second, until=BEGIN + 5 * HOUR, n=500)
    store_signals(inserter, [again], set(), now + timedelta(seconds=1))
    return [third, again, first]


def test_signals_are_listed_once_each_with_the_latest_first(run: Any, signals: list[Signal]) -> None:
    found = rows_of(run("signals", "--format", "json"))
    assert [msgspec.convert(row, Signal) for row in found] == signals
    as_csv = list(csv.DictReader(io.StringIO(run("signals", "shop", "--format", "csv").stdout)))
    assert [row["signal_id"] for row in as_csv] == ["ab02", "aa01"]
    assert (as_csv[0]["until"], as_csv[0]["seen"]) == ((BEGIN + 5 * HOUR).isoformat(), "0.3")
    table = run("signals").stdout
    lines = [line for line in table.splitlines() if "2026-03-02" in line]
    assert [line.split()[0] for line in lines] == ["ac03", "ab02", "aa01"]
    assert all(
        text in lines[1] for text in ("02:00", "concept_drift", "country=de", "0.1 -> 0.3", "losses of shop grew")
    )


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--kind", "anomaly"], ["ac03"]),
        (["--from", "2026-03-02T02:00"], ["ac03", "ab02"]),
        (["--since", "2026-03-02T01:30", "--to", "2026-03-02T03:00"], ["ab02"]),
        (["shop", "--limit", "1"], ["ab02"]),
    ],
)
def test_signals_are_chosen_by_model_kind_and_time(
    run: Any, signals: list[Signal], words: list[str], ids: list[str]
) -> None:
    assert [row["signal_id"] for row in rows_of(run("signals", *words, "-f", "json"))] == ids


def test_one_signal_is_shown_whole_by_what_its_id_begins_with(run: Any, signals: list[Signal]) -> None:
    shown = run("signals", "--id", "aa").stdout
    for text in ("basket of shop drifted", "aa01", "1 -> 2.5", "300 values", "2 to 4", "0.35", "p1, p2", "SELECT 1"):
        assert text in shown
    assert "loopwatch drift shop --feature basket" in shown
    shown = run("signals", "--id", "ab02").stdout
    assert "loopwatch explain shop --outcome click --from 2026-03-02T00:00 --to 2026-03-02T05:01" in shown
    assert "more than one signal begins so" in why_not(run("signals", "--id", "a"))
    assert "no such signal" in why_not(run("signals", "--id", "zz"))


def test_no_signals_is_told_with_how_far_the_detectors_have_come(
    run: Any, clickhouse: ClickHouse, signals: list[Signal]
) -> None:
    assert "no detector has watched quiet yet" in why_not(run("signals", "quiet"))
    clickhouse.command(
        f"INSERT INTO {clickhouse.database}.monitors (model, monitor, reached_us, _written_at) "
        f"VALUES ('quiet', 'drift/1h', {int(BEGIN.timestamp()) * 1_000_000}, now64(6))"
    )
    result = run("signals", "quiet")
    assert result.exit_code == 0
    assert "no such signals; detectors have seen everything up to 2026-03-02 00:00 UTC" in result.stdout
    assert rows_of(run("signals", "quiet", "-f", "json")) == []


@pytest.fixture(scope="module")
def compared(clickhouse: ClickHouse, inserter: Inserter) -> None:
    """Hours 0 to 2 of ten features: `f3` drifts in hours 1 and 2; the further down, the nearer to it."""
    for hour in range(3):
        rows = [comparison(hour, f"f{at}", effect=at / 100, drifted=hour > 0 and at == 3) for at in range(10)]
        rows.append(comparison(hour, "f1", effect=0.9, drifted=hour == 2, slice_=Slice("country", "de")))
        store_comparisons(inserter, "wide", 3600, rows, 0, datetime.now(UTC))


def comparison(hour: int, name: str, *, effect: float, drifted: bool, slice_: Slice = ALL) -> Compared:
    reason = Reason.DRIFTED if drifted else Reason.CHANCE
    drift = Drift(
        Question.VALUES, "numeric", "wasserstein", 0.1, effect, 0.08, 0.001, 5000, 300, reason, name=name,
        q_value=0.01 if drifted else 0.6, drifted=drifted,
    )  # fmt: skip
    start = BEGIN + hour * HOUR
    return Compared(start, (start - DAY, start), slice_, Series(name), drift, 0.05, drifted, drifted)


@pytest.fixture(autouse=True, scope="module")
def partition_is_ours(inserter: Inserter) -> None:
    inserter.fence.claim(0)


def test_the_latest_window_shows_what_drifted_and_what_came_closest(run: Any, compared: None) -> None:
    found = rows_of(run("drift", "wide", "-f", "json"))
    assert {row["window_start"] for row in found} == {(BEGIN + 2 * HOUR).isoformat()}
    shown = [(row["subject"], row["segment"], row["drifted"]) for row in found]
    assert shown[:2] == [("f1", "de", True), ("f3", "", True)]
    assert shown[2:] == [(f"f{at}", "", False) for at in (9, 8, 7, 6, 5)]
    table = run("drift", "wide").stdout
    assert "drifted: f1, f3." in table
    (line,) = [line for line in table.splitlines() if " f3 " in line]
    assert all(text in line for text in ("1h", "values", "wasserstein", "0.38", "0.62", "0.01", "drifted"))


def test_drift_of_a_time_of_one_feature_or_of_everything(run: Any, compared: None) -> None:
    assert len(rows_of(run("drift", "wide", "--all", "-f", "json"))) == 11
    of_time = rows_of(run("drift", "wide", "--from", "2026-03-02T00:00", "--to", "2026-03-02T02:00", "-f", "json"))
    assert [row["subject"] for row in of_time if row["drifted"]] == ["f3"]
    assert len(of_time) == 6
    history = rows_of(run("drift", "wide", "--feature", "f3", "-f", "json"))
    assert [(row["window_start"], row["reason"]) for row in history] == [
        ((BEGIN + hour * HOUR).isoformat(), reason) for hour, reason in ((2, "drifted"), (1, "drifted"), (0, "chance"))
    ]
    assert "--feature f33: in that time compared were f0, f1," in why_not(run("drift", "wide", "--feature", "f33"))
    assert "no window of wide that begins in that time" in why_not(run("drift", "wide", "--from", "2027-01-01"))
    assert "no window of nobody was compared yet" in why_not(run("drift", "nobody"))


STRETCH = ("--from", "2026-03-03", "--to", "2026-03-04")


def test_the_slice_that_errs_more_explains_the_loss(run: Any, risk: dict[str, Any]) -> None:
    found = rows_of(run("explain", "risk", *STRETCH, "-f", "json"))
    us, whole = found[0], found[-1]
    assert (us["key"], us["slice"], whole["slice"]) == ("country", "us", "(all)")
    is_us = risk["country"] == "us"
    assert us["mean_since"] == pytest.approx(np.mean(risk["wrong"][risk["new"] & is_us]))
    assert (us["n_before"], us["n_since"]) == (np.sum(is_us & ~risk["new"]), np.sum(is_us & risk["new"]))
    assert us["share"] > 0.7
    change = np.mean(risk["wrong"][risk["new"]]) - np.mean(risk["wrong"][~risk["new"]])
    assert whole["total"] == pytest.approx(change)
    for key in ("country", "version"):
        assert sum(row["total"] for row in found if row["key"] == key) == pytest.approx(change)
        assert sum(row["mix"] + row["within"] for row in found if row["key"] == key) == pytest.approx(change)
    parts = risk["wrong"][~risk["new"]], risk["wrong"][risk["new"]]
    interval = 1.96 * np.sqrt(sum(np.var(part, ddof=1) / len(part) for part in parts))
    said = f"mean loss {change:+.4g} ± {interval:.2g}: 2026-03-03 00:00 to 2026-03-04 00:00 against 2026-03-02 00:00"
    assert said in run("explain", "risk", *STRETCH).stdout


def test_a_mean_is_explained_by_features_too(run: Any, risk: dict[str, Any]) -> None:
    found = rows_of(run("explain", "risk", *STRETCH, "--by", "features.x", "--by", "features.colour", "-f", "json"))
    assert {row["slice"] for row in found if row["key"] == "features.colour"} == {"red", "blue", "green"}
    quarters = [row for row in found if row["key"] == "features.x"]
    assert [round(row["n_before"] / sum(each["n_before"] for each in quarters), 2) for row in quarters] == [0.25] * 4
    assert max(quarters, key=lambda row: row["n_since"])["slice"].endswith(" and more")
    scores = rows_of(run("explain", "risk", *STRETCH, "--metric", "score", "--by", "country", "-f", "json"))
    assert scores[-1]["mean_since"] == pytest.approx(np.mean(np.where(risk["said"], 0.75, 0.25)[risk["new"]]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "2026-03-03"], "--from, --to: say both"),
        (["--from", "2026-03-03", "--to", "2026-03-02"], "is not before"),
        ([*STRETCH, "--against-from", "2026-03-02", "--against-to", "2026-03-03T01:00"], "overlap"),
        ([*STRETCH, "--by", "planet"], "--by planet: no row has it; there are version, country"),
        (["--from", "2026-04-03", "--to", "2026-04-04"], "risk has no loss from 2026-04-02 00:00"),
        ([*STRETCH, "--outcome", "click"], "--outcome click: model risk has default"),
    ],
)
def test_what_cannot_be_explained_is_one_line(run: Any, risk: dict[str, Any], words: list[str], said: str) -> None:
    assert said in why_not(run("explain", "risk", *words))


def test_training_data_counts_as_panes_count_the_same_rows(
    run: Any, clickhouse: ClickHouse, risk: dict[str, Any], tmp_path: Path
) -> None:
    rows = [
        {**number, **text, "said": bool(said), "id": at}
        for at, (number, text, said) in enumerate(zip(risk["numbers"], risk["texts"], risk["said"], strict=True))
    ]
    file = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    result = run("reference", "risk", file, "--prediction", "said", "--ignore", "id")
    assert result.exit_code == 0, result.stderr
    assert "stored of risk: 3 features and 1 outputs of 8,000 rows, train.parquet" in result.stdout
    assert "reference: training" in result.stdout
    panes = distributions(clickhouse, Stretch("risk", BEGIN, BEGIN + 2 * DAY))
    of_panes = {series: each for (_, series), each in panes.items()}
    stored = training_of(clickhouse, "risk")
    assert stored == {series: of_panes[series] for series in stored}
    assert stored.keys() == {Series("x"), Series("y"), Series("colour"), Series("prediction", False)}
    shown = {row["name"]: row for row in rows_of(run("reference", "risk", "--show", "-f", "json"))}
    assert (shown["y"]["missing"], shown["colour"]["kind"]) == (0.02, "categorical")
    assert "from train.parquet, stored 20" in run("reference", "risk", "--show").stdout


def test_a_stretch_of_predictions_is_frozen_as_the_reference(run: Any, clickhouse: ClickHouse, risk: Any) -> None:
    result = run("reference", "risk", "--from", "2026-03-02", "--to", "2026-03-03")
    assert result.exit_code == 0, result.stderr
    panes = distributions(clickhouse, Stretch("risk", BEGIN, BEGIN + DAY))
    assert training_of(clickhouse, "risk") == {series: each for (_, series), each in panes.items()}


def test_categories_that_share_a_bin_in_panes_count_as_other(run: Any, clickhouse: ClickHouse, tmp_path: Path) -> None:
    file = tmp_path / "towns.csv"
    file.write_text("\n".join(["town", *(f"town {at}" for at in range(3000))]))
    assert run("reference", "towns", file).exit_code == 0
    (found,) = training_of(clickhouse, "towns").values()
    assert found.other + len(found.categories) == 3000
    # Of 3,000 in 65,536 bins about 134 share one.
    assert 60 < found.other < 220


def test_categories_beyond_the_bound_count_as_other(run: Any, clickhouse: ClickHouse, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("\n".join(["id", *(f"id {at % 70_000}" for at in range(140_000))]))
    result = run("reference", "ids", file)
    assert result.exit_code == 0, result.stderr
    (found,) = training_of(clickhouse, "ids").values()
    assert len(found.categories) < 65_536
    assert set(found.categories.values()) == {2}
    assert found.other + 2 * len(found.categories) == 140_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a file with training data, or a stretch by --from and --to, or say --show"),
        (["x.csv", "--show"], "name a file with training data, or"),
        (["--show", "--ignore", "x"], "--prediction, --score and --ignore name columns of a file"),
        (["--show"], "no training data of nobody is stored"),
        (["--from", "2026-03-02T00:30", "--to", "2026-03-03"], "is not of whole hours"),
        (["--from", "2026-03-02", "--to", "2026-03-03"], "model nobody has no predictions from 2026-03-02 00:00"),
    ],
)
def test_what_is_no_reference_is_one_line(run: Any, words: list[str], said: str) -> None:
    assert said in why_not(run("reference", "nobody", *words))


def test_a_report_has_both_verdicts_and_is_stored(
    run: Any, clickhouse: ClickHouse, risk: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "risk.html"
    found = {
        row["column"]: row
        for row in rows_of(run("report", "risk", *STRETCH, "--out", out, "--sample", "3000", "-f", "json"))
    }
    assert found.keys() == {"x", "y", "colour", "score", "prediction"}
    assert [name for name, row in found.items() if row["drifted"]] == ["x"]
    assert [name for name, row in found.items() if row["evidently_drifted"]] == ["x"]
    assert found["x"]["evidently_score"] == pytest.approx(found["x"]["effect"], abs=0.1)
    assert all("</html>" in file.read_text().lower() for file in (out, tmp_path / "risk.quality.html"))
    ((since, rows, rows_reference, snapshot),) = clickhouse.rows(
        f"SELECT reference_start, rows, rows_reference, snapshot FROM {clickhouse.database}.reports "
        "WHERE reference_end > '2000-01-01'"
    )
    assert (since.replace(tzinfo=UTC), rows, rows_reference) == (BEGIN, 3000, 3000)
    assert json.loads(snapshot).keys() == {"drift", "quality"}


def test_a_report_against_training_data_has_no_page_about_quality(
    run: Any, risk: dict[str, Any], tmp_path: Path
) -> None:
    assert run("reference", "risk", "--from", "2026-03-02", "--to", "2026-03-03").exit_code == 0
    result = run("report", "risk", *STRETCH, "--reference", "training", "--out", tmp_path / "risk.html")
    assert result.exit_code == 0, result.stderr
    assert "2026-03-03 00:00 to 2026-03-04 00:00 against training data" in result.stdout
    assert "1 of 5 columns by our tests, 1 by Evidently's; they agree on 5" in result.stdout
    assert "no page about quality" in result.stderr
    assert not (tmp_path / "risk.quality.html").exists()


def test_a_report_without_evidently_says_what_to_install(
    run: Any, risk: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "evidently", None)
    line = why_not(run("report", "risk", *STRETCH, "--out", tmp_path / "risk.html"))
    assert "pip install 'loopwatch[reports]'" in line
