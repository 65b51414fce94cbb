"""``loopwatch rules``: what there is, what is wrong, and what would have fired on history."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loopwatch.console.cli import app
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.default_alerting import DEFAULT_RULES
from loopwatch.schemas.signals import Signal, SignalKind
from typer.testing import CliRunner, Result

from .alerted import DAY, HOUR, MINUTE, NOW, arrivals, signals, store, window

BEGIN = (NOW - 10 * DAY).replace(hour=0, minute=0)
CONFIG = """
models:
  shop:
    kind: classification
    outcomes: {click: {actions: [click], window: 2h, on_timeout: negative, label: positive}}
    kpis: {revenue: {sum: purchase}}
alerting:
  receivers:
    on-call: {url: "https://hooks.example.com/x", secret_env: RULES_TEST_SECRET}
  route: {receiver: on-call}
  rules:
    LowAccuracy: {metric: accuracy, below: 0.6, window: 1h, severity: critical}
    Cost: {budget: 720, per: 1d, within: 1h}
    Many: {sql: "SELECT model, count() AS value FROM predictions GROUP BY model", above: 1000000}
"""


@pytest.fixture
def run(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_URL", clickhouse.address)
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_DATABASE", clickhouse.database)
    monkeypatch.delenv("LOOPWATCH_CONFIG", raising=False)
    monkeypatch.setenv("RULES_TEST_SECRET", "whsec_do-not-show-this")

    def invoke(*words: object, config: str = CONFIG) -> Result:
        file = tmp_path / "loopwatch.yaml"
        file.write_text(config, encoding="utf-8")
        return CliRunner().invoke(app, ["rules", *map(str, words), "--config", str(file)])

    return invoke


def test_all_rules_are_listed(run: Any) -> None:
    listed = json.loads(run("list", "-f", "json").stdout)
    assert [row["rule"] for row in listed] == [*(each.name for each in DEFAULT_RULES), "LowAccuracy", "Cost", "Many"]
    finds = {row["rule"]: row["finds"] for row in listed}
    assert finds["LowAccuracy"] == "accuracy in 1h surely below 0.6"
    assert finds["PredictionsStopped"] == "no predictions for unusually long"
    assert finds["Cost"] == "cost above 720 USD in 1d"
    assert "SQL with value above 1,000,000" in run("list").stdout


def test_rules_that_are_right_are_said_to_be(run: Any) -> None:
    result = run("check")
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "16 rules, 1 receivers: all right" in result.stdout


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("metric: accuracy", "metric: acuracy", "metric: there is no metric 'acuracy'; did you mean 'accuracy'?"),
        ("metric: accuracy", "metric: kpi.revenu", "did you mean 'kpi.revenue'?"),
        ("metric: accuracy", "models: [shop], outcome: buy, metric: accuracy", "has no outcome 'buy', but click"),
        ("FROM predictions GROUP", "FROM no_table GROUP", "alerting.rules.Many.sql: "),
        ("count() AS value", "count() AS n", "has no column `value`"),
        ("RULES_TEST_SECRET", "NOT_SET_ANYWHERE", "on-call: environment variable NOT_SET_ANYWHERE is not set"),
        ("secret_env: RULES_TEST_SECRET", "secret_file: no/such/file", "file no/such/file can't be read here"),
        ("severity: critical", "annotations: {summary: '{{ valeu }}'}", "valeu"),
        ("severity: critical", "severity: urgent", "urgent"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_no_secret(run: Any, before: str, after: str, said: str) -> None:
    assert before in CONFIG
    result = run("check", config=CONFIG.replace(before, after))
    assert result.exit_code in (1, 78)
    assert said in result.stdout + result.stderr
    assert "whsec" not in result.stdout + result.stderr


@pytest.fixture(scope="module")
def shop(clickhouse: ClickHouse) -> None:
    """Nine days of a prediction a minute.

    On the last one accuracy falls at 6 h, a feature drifts at 8 h, nothing comes from 10 h to 12 h, and it costs too
    much from 20 h to 22 h.
    """
    last = BEGIN + 8 * DAY
    minutes = [BEGIN + n * MINUTE for n in range(9 * 24 * 60)]
    there = [at for at in minutes if not last + 10 * HOUR <= at < last + 12 * HOUR]
    dear = [at for at in there if last + 20 * HOUR <= at < last + 22 * HOUR]
    for n, of in enumerate(([at for at in there if at not in set(dear)], dear)):
        arrivals(clickhouse, "shop", of, cost=float(n))
    # Answers come within an hour, timeouts after two: by then 90 % are known.
    store(
        clickhouse,
        "feedback",
        (
            {
                "model": "shop", "outcome": "click", "prediction_id": f"f{n}", "prediction_ts": at,
                "action_ts": at + HOUR if n % 2 else None, "delay_ms": 3.6e6 if n % 2 else 0.0, "revision": 1,
                "status": "matched" if n % 2 else "expired", "_topic": "t", "_ingested_at": NOW,
            }
            for n, at in enumerate(there)
        ),
    )  # fmt: skip
    for hour in range(9 * 24):
        start = BEGIN + hour * HOUR
        is_low = last + 6 * HOUR <= start < last + 9 * HOUR
        if not last + 10 * HOUR <= start < last + 12 * HOUR:
            store(clickhouse, "metrics", window("shop", start, 0.5 if is_low else 0.8, n=200, completeness=1.0))
    drifted = last + 8 * HOUR
    signals(
        clickhouse,
        Signal(
            "s1", "shop", SignalKind.DATA_DRIFT, "age", "wasserstein", drifted, drifted + HOUR, drifted + 2 * HOUR, 0.9,
            "age of shop drifted", 1.0, 2.0, 500, window_s=3600,
        ),
    )  # fmt: skip


def test_what_would_have_fired_is_told_with_when_and_for_how_long(run: Any, shop: None) -> None:
    last = BEGIN + 8 * DAY
    words = (
        "test",
        "--model",
        "shop",
        "--from",
        f"{last:%Y-%m-%dT%H:%M:%S}",
        "--to",
        f"{last + DAY:%Y-%m-%dT%H:%M:%S}",
    )
    result = run(*words, "-f", "json")
    assert result.exit_code == 0, result.stderr
    found = {row["rule"]: row for row in json.loads(result.stdout)}
    assert found.keys() == {"LowAccuracy", "DataDrift", "PredictionsStopped", "LabelsStopped", "Cost"}

    def times(rule: str) -> tuple[float, float]:
        """In hours since the begin of the day."""
        at = [datetime.fromisoformat(found[rule][name]) for name in ("fired_at", "resolved_at")]
        fired, resolved = ((each - last) / timedelta(hours=1) for each in at)
        return round(fired, 2), round(resolved, 2)

    # The window from 6 h on ended at 7 h, and 90 % of its answers were settled at 8:48, when its last timeouts came.
    assert times("LowAccuracy") == (8.83, 11.92)
    assert times("DataDrift") == (9.0, 13.17)
    fired, resolved = times("PredictionsStopped")
    assert 10.05 <= fired <= 10.25
    assert resolved == 12.08
    assert found["PredictionsStopped"]["severity"] == "critical"
    fired, resolved = times("Cost")
    assert 20.5 <= fired <= 21.1
    assert 22.0 <= resolved <= 22.25
    table = run(*words, "--rule", "LowAccuracy", "--every", "30m")
    assert "1 alerts of 1 rules would have fired" in table.stdout
    everything = run(*words)
    assert "without a past: IngestionLag, PartitionStuck, WorkerErrors, LedgerImbalance, DeadLetters, Many" in (
        " ".join(everything.stdout.split())
    )


def test_a_quiet_time_fires_nothing(run: Any, shop: None) -> None:
    words = ("--from", f"{BEGIN + 6 * DAY:%Y-%m-%d}", "--to", f"{BEGIN + 8 * DAY:%Y-%m-%d}")
    assert json.loads(run("test", "--model", "shop", *words, "-f", "json").stdout) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rule", "LowAcuracy"), "there is no such rule"),
        (("--every", "soon"), "--every"),
        (("--every", "1ms"), "steps"),
    ],
)
def test_what_cannot_be_tested_is_said(run: Any, words: tuple[str, ...], said: str) -> None:
    result = run("test", "--model", "shop", "--from", "2026-01-01", "--to", "2026-01-02", *words)
    assert result.exit_code == 1
    assert said in result.stderr
