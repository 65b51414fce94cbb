"""What rules find in tables, and what they leave alone: metrics, gaps, signals, silence, the pipeline."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.alerting import Bound, Expected, Ill, NoData, OfGap, OfMetric, OfPipeline, OfSignals
from loopwatch.schemas.alerts import Severity
from loopwatch.schemas.comparison import Comparison
from loopwatch.schemas.signals import Shift, Signal, SignalKind
from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.alerts.conditions.context import Context

from .alerted import DAY, HOUR, MINUTE, NOW, TOPICS, arrivals, ask, found, labels, rule, signals, store, watched, window

LOW = Bound(Comparison.LESS, 0.6)
ACCURACY = OfMetric("accuracy", LOW, Window.tumbling(HOUR))
FULL = NOW.replace(minute=0)


def hours(*values: float) -> list[tuple[datetime, float]]:
    """Values of the last hours, the newest last."""
    return [(FULL - (len(values) - n) * HOUR, value) for n, value in enumerate(values)]


def test_a_metric_on_the_wrong_side_says_what_changed_since_when_and_how_sure(clickhouse: ClickHouse) -> None:
    for start, value in hours(0.71, 0.72, 0.7, 0.52, 0.51):
        store(clickhouse, "metrics", window("fell", start, value))
    labelled = rule(ACCURACY, "fell", name="Quality", severity=Severity.CRITICAL, labels={"team": "ads"})
    (one,) = found(clickhouse, labelled)
    assert one.rule == "Quality"
    assert one.labels == {
        "alertname": "Quality", "model": "fell", "outcome": "click", "metric": "accuracy", "window": "1h",
        "category": "quality", "severity": "critical", "team": "ads",
    }  # fmt: skip
    since = FULL - 2 * HOUR
    assert one.details.message == (
        f"accuracy of fell (click) went from 0.71 to 0.51 since {since:%Y-%m-%d %H:%M} UTC, below 0.6 "
        "(95 %: 0.49 to 0.53, n = 500, 95% of them settled), in windows of 1h"
    )
    assert (one.details.since, one.details.until) == (since, FULL)
    assert (one.details.value, one.details.threshold, one.details.expected) == (0.51, 0.6, 0.71)
    assert one.details.command.startswith("loopwatch metrics fell --outcome click --window 1h --by prediction --from")
    rows = clickhouse.client.query(one.details.query, settings={"database": clickhouse.database}).result_rows
    assert [row[1] for row in rows] == [0.51, 0.52, 0.7, 0.72, 0.71]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("right", {"value": 0.65}),
        ("maybe", {"value": 0.59, "half": 0.02}),
        ("few", {"value": 0.3, "n": 99}),
        ("young", {"value": 0.3, "completeness": 0.5}),
        ("bylabel", {"value": 0.3, "time_of": "label", "completeness": None}),
        ("longer", {"value": 0.3, "hours": 24}),
        ("sliced", {"value": 0.3, "segment": ("country", "de")}),
        ("another", {"value": 0.3, "metric": "recall"}),
    ],
)
def test_a_metric_that_is_right_unsure_or_not_meant_is_left_alone(
    clickhouse: ClickHouse, name: str, columns: dict[str, Any]
) -> None:
    store(clickhouse, "metrics", window(name, FULL - HOUR, **columns))
    assert found(clickhouse, rule(ACCURACY, name)) == []


def test_conditions_of_metrics_say_what_counts(clickhouse: ClickHouse) -> None:
    store(clickhouse, "metrics", window("lax", FULL - HOUR, 0.59, n=50, completeness=0.5))
    store(clickhouse, "metrics", window("lax", FULL - HOUR, 0.4, segment=("country", "de")))
    store(clickhouse, "metrics", window("lax", FULL - HOUR, 0.3, time_of="label", completeness=None))
    store(clickhouse, "metrics", window("lax", FULL - HOUR, 12.0, metric="kpi.revenue", outcome="", half=None))
    unsure = OfMetric("accuracy", LOW, min_n=50, min_completeness=0.5, surely=False)
    of_slices = OfMetric("accuracy", LOW, slices=True)
    by_label = OfMetric("accuracy", LOW, time_of=TimeOf.LABEL)
    revenue = OfMetric("kpi.revenue", Bound(Comparison.LESS, 20))
    rules = [rule(each, "lax", name=str(n)) for n, each in enumerate((unsure, of_slices, by_label, revenue))]
    by_rule = {each.rule: each for each in found(clickhouse, *rules)}
    assert {name: each.details.value for name, each in by_rule.items()} == {"0": 0.59, "1": 0.4, "2": 0.3, "3": 12.0}
    assert (by_rule["1"].labels["segment_key"], by_rule["1"].labels["segment"]) == ("country", "de")
    assert "where country is de is 0.4" in by_rule["1"].details.message
    assert by_rule["3"].labels["category"] == "business"
    assert "outcome" not in by_rule["3"].labels


def test_the_newest_window_with_enough_in_it_counts_unless_its_model_went_on_without(clickhouse: ClickHouse) -> None:
    store(clickhouse, "metrics", window("goes-on", FULL - 3 * HOUR, 0.4))
    store(clickhouse, "metrics", window("goes-on", FULL - 2 * HOUR, 0.9, n=20))
    assert len(found(clickhouse, rule(ACCURACY, "goes-on"))) == 1
    store(clickhouse, "metrics", window("goes-on", FULL + 21 * HOUR, 0.9, n=20))
    assert len(found(clickhouse, rule(ACCURACY, "goes-on"))) == 1
    store(clickhouse, "metrics", window("goes-on", FULL + 23 * HOUR, 0.9, n=20))
    assert found(clickhouse, rule(ACCURACY, "goes-on")) == []


def test_a_running_alerter_takes_each_new_revision_and_drops_what_it_has_not(clickhouse: ClickHouse) -> None:
    context, accuracy = Context(None), rule(ACCURACY, "live")
    store(clickhouse, "metrics", window("live", FULL, 0.9))
    assert found(clickhouse, accuracy, context=context) == []
    later = NOW + 10 * timedelta(seconds=1)
    store(clickhouse, "metrics", window("live", FULL, 0.5, evaluated=later))
    (one,) = found(clickhouse, accuracy, now=later, context=context)
    assert one.details.value == 0.5
    later += timedelta(seconds=10)
    store(clickhouse, "metrics", window("live", FULL, 0.5, metric="recall", evaluated=later))
    assert found(clickhouse, accuracy, now=later, context=context) == []
    # Another rule's metric, from windows of before.
    recall = rule(OfMetric("recall", LOW), "live", name="recall")
    assert [each.rule for each in found(clickhouse, accuracy, recall, now=later, context=context)] == ["recall"]


def test_what_is_wrong_for_days_keeps_its_beginning(clickhouse: ClickHouse) -> None:
    for hour in range(60, 0, -1):
        store(clickhouse, "metrics", window("long", FULL - hour * HOUR, 0.9 if hour > 50 else 0.5))
    (one,) = found(clickhouse, rule(ACCURACY, "long"))
    assert (one.details.since, one.details.expected) == (FULL - 50 * HOUR, 0.9)


def gap(model: str, value: float, half: float, n: int = 300, start: datetime = FULL - HOUR) -> dict[str, Any]:
    return {
        "model": model, "outcome": "click", "window_start": start, "window_seconds": 3600, "step_seconds": 3600,
        "segment_key": "", "segment": "", "metric": "accuracy_gap", "value": value, "lower": value - half,
        "upper": value + half, "n": n, "as_of": NOW, "_evaluated_at": NOW,
    }  # fmt: skip


def test_a_gap_between_estimated_and_realised_is_found(clickhouse: ClickHouse) -> None:
    store(clickhouse, "estimates", [gap("off", -0.12, 0.03), gap("unsure", -0.12, 0.1), gap("tiny", -0.12, 0.03, 20)])
    store(clickhouse, "estimates", [gap("mended", -0.12, 0.03, start=FULL - 2 * HOUR), gap("mended", -0.01, 0.01)])
    condition = OfGap("accuracy", Bound(Comparison.LESS, -0.05))
    (one,) = found(clickhouse, rule(condition))
    assert (one.labels["model"], one.labels["metric"]) == ("off", "accuracy_gap")
    assert "turned out by 0.12 worse than was estimated" in one.details.message


def drift(model: str, id_: str = "d1", until: datetime = FULL - HOUR, **more: Any) -> Signal:
    of = {
        "kind": SignalKind.DATA_DRIFT, "subject": "age", "detector": "wasserstein", "since": FULL - 2 * HOUR,
        "found_at": FULL - HOUR, "score": 0.8, "message": f"age of {model} drifted", "expected": 30.0, "seen": 41.0,
        "n": 400, "evidence": (Shift("30 to 40", 0.2, 0.4),), "examples": ("p1",), "query": "SELECT 1",
        "window_s": 3600,
    }  # fmt: skip
    return Signal(f"{model}-{id_}", model, until=until, **(of | more))


DRIFT = OfSignals((SignalKind.DATA_DRIFT, SignalKind.PREDICTION_DRIFT))


def test_a_signal_is_found_with_all_that_it_knows_while_it_is_seen(clickhouse: ClickHouse) -> None:
    signals(clickhouse, drift("drifts"))
    watched(clickhouse, "drifts", FULL)
    (one,) = found(clickhouse, rule(DRIFT, "drifts", name="Drift"))
    assert one.labels == {
        "alertname": "Drift", "model": "drifts", "kind": "data_drift", "subject": "age", "category": "drift",
        "severity": "warning",
    }  # fmt: skip
    assert one.details.message == "age of drifts drifted (n = 400, strength 0.80 of 1)"
    assert (one.details.value, one.details.expected, one.details.n) == (41.0, 30.0, 400)
    assert (one.details.shifts, one.details.examples, one.details.query) == (
        (Shift("30 to 40", 0.2, 0.4),), ("p1",), "SELECT 1"
    )  # fmt: skip
    assert one.details.command == "loopwatch drift drifts --feature age"
    watched(clickhouse, "drifts", FULL + HOUR)
    assert len(found(clickhouse, rule(DRIFT, "drifts"))) == 1
    watched(clickhouse, "drifts", FULL + HOUR + 10 * MINUTE)
    assert found(clickhouse, rule(DRIFT, "drifts")) == []
    signals(clickhouse, drift("drifts", until=FULL + HOUR), now=NOW + MINUTE)
    assert len(found(clickhouse, rule(DRIFT, "drifts"))) == 1


def test_signals_are_chosen_and_those_with_the_same_labels_are_one(clickhouse: ClickHouse) -> None:
    watched(clickhouse, "many", FULL)
    signals(
        clickhouse,
        drift("many"),
        drift("many", "d2", score=0.9, message="stronger"),
        drift("many", "d3", subject="colour", score=0.3, segment_key="country", segment="de"),
        drift("many", "d4", subject="volume", kind=SignalKind.ANOMALY, window_s=60, until=FULL - 5 * MINUTE),
        drift("many", "d5", subject="loss", kind=SignalKind.CONCEPT_DRIFT, window_s=0, until=FULL - 2 * HOUR),
        drift("many", "d6", subject="latency_ms", kind=SignalKind.ANOMALY, window_s=60, until=FULL - HOUR),
    )

    def messages(condition: OfSignals) -> set[tuple[str, str]]:
        return {(each.labels["subject"], each.details.message) for each in found(clickhouse, rule(condition, "many"))}

    drifted = "age of many drifted (n = 400, strength 0.30 of 1)"
    assert messages(DRIFT) == {("age", "stronger (n = 400, strength 0.90 of 1)"), ("colour", drifted.replace("x", ""))}
    assert {subject for subject, _ in messages(OfSignals(DRIFT.kinds, slices=False))} == {"age"}
    assert {subject for subject, _ in messages(OfSignals(DRIFT.kinds, ("colour",)))} == {"colour"}
    assert {subject for subject, _ in messages(OfSignals(DRIFT.kinds, min_score=0.5))} == {"age"}
    # An anomaly is made of steps of a series.
    odd = "age of many drifted (400 × 1 min, strength 0.80 of 1)"
    assert messages(OfSignals((SignalKind.ANOMALY,))) == {("volume", odd)}
    assert {subject for subject, _ in messages(OfSignals((SignalKind.CONCEPT_DRIFT,)))} == {"loss"}


def test_the_categories_that_a_signal_names_are_not_in_its_message(clickhouse: ClickHouse) -> None:
    watched(clickhouse, "secret", FULL)
    evidence = (Shift("Jane Doe", 0.0, 0.5),)
    signals(clickhouse, drift("secret", evidence=evidence, message="name of secret drifted: Jane Doe most of all"))
    (one,) = found(clickhouse, rule(DRIFT, "secret"))
    assert "Jane" not in one.details.message
    assert one.details.shifts == evidence


PREDICTIONS = NoData(Expected.PREDICTIONS)


def test_silence_that_never_was_is_found_until_something_comes(clickhouse: ClickHouse) -> None:
    stopped = NOW - 20 * MINUTE
    came = [stopped - n * MINUTE for n in range(3 * 24 * 60)]
    arrivals(clickhouse, "stopped", came)
    arrivals(clickhouse, "goes", [NOW - n * MINUTE for n in range(3 * 24 * 60)])
    context, silent = Context(None), rule(PREDICTIONS, "stopped", "goes")
    assert found(clickhouse, silent, now=stopped + 5 * MINUTE, context=context) == []
    (one,) = found(clickhouse, silent, context=context)
    assert one.labels["model"] == "stopped"
    assert (one.details.since, one.details.value, one.details.threshold) == (stopped, 1200.0, 300.0)
    assert one.details.message == (
        f"No predictions of stopped have come for 20 minutes, since {stopped:%Y-%m-%d %H:%M} UTC, where up to "
        "5 minutes is usual at that time; about 60 an hour came in the day before"
    )
    assert len(found(clickhouse, silent, now=NOW + 3 * DAY)) == 2
    arrivals(clickhouse, "stopped", [NOW + MINUTE])
    assert found(clickhouse, silent, now=NOW + 2 * MINUTE, context=context) == []
    assert found(clickhouse, silent, now=NOW + 2 * MINUTE) == []


def test_silence_that_is_usual_is_left_alone(clickhouse: ClickHouse) -> None:
    # Nothing comes for ten hours of each day; at any time, little enough comes that an hour without is chance.
    days = [NOW - n * DAY for n in range(1, 12)]
    arrivals(
        clickhouse, "nightly", [day + hour * HOUR + n * MINUTE for day in days for hour in range(14) for n in range(60)]
    )
    arrivals(clickhouse, "rarely", [NOW - n * timedelta(minutes=23) - (n % 7) * MINUTE for n in range(3, 800)])
    silent = rule(PREDICTIONS, "nightly", "rarely")
    assert found(clickhouse, silent, now=NOW - MINUTE) == []
    (one,) = found(clickhouse, silent, now=NOW + 2 * HOUR)
    assert one.labels["model"] == "nightly"


def test_a_replay_of_history_that_ended_is_no_silence(clickhouse: ClickHouse) -> None:
    arrivals(clickhouse, "replayed", [NOW - HOUR - n * MINUTE for n in range(3000)], late=400 * DAY)
    assert found(clickhouse, rule(PREDICTIONS, "replayed"), now=NOW + DAY) == []


def test_labels_that_stop_are_missed_but_not_those_that_never_came(clickhouse: ClickHouse) -> None:
    arrivals(clickhouse, "unlabelled", [NOW - n * MINUTE for n in range(2000)])
    labels(clickhouse, "unanswered", [NOW - HOUR - n * MINUTE for n in range(2000)], HOUR)
    labels(clickhouse, "old-labels", [NOW - HOUR - n * MINUTE for n in range(2000)], HOUR, late=3 * DAY)
    models = ("unlabelled", "unanswered", "old-labels")
    (one,) = found(clickhouse, rule(NoData(Expected.LABELS), *models))
    assert (one.labels["model"], one.labels["outcome"], one.labels["category"]) == ("unanswered", "click", "data")
    assert found(clickhouse, rule(NoData(Expected.LABELS, 2 * HOUR), *models)) == []


def report(partition: int, **more: Any) -> dict[str, Any]:
    of = {
        "_topic": TOPICS[1], "partition": partition, "owner": f"w{partition}:12:ab", "lag": 0, "waiting_s": 0.0,
        "stuck_s": 0.0, "failed_at": None, "failure": "", "reported_at": NOW,
    }  # fmt: skip
    return of | more


def said_of(clickhouse: ClickHouse, ill: Ill, now: datetime = NOW, **more: Any) -> list[str]:
    context = Context(None, topics=TOPICS[1:], **more)
    condition = OfPipeline(ill, 2 * MINUTE)
    return [each.details.message for each in found(clickhouse, rule(condition), now=now, context=context)]


def test_workers_that_are_well_are_left_alone_and_silent_ones_are_not(clickhouse: ClickHouse) -> None:
    clickhouse.command(f"TRUNCATE TABLE {clickhouse.database}.worker_reports")
    store(clickhouse, "worker_reports", [report(0), report(1, lag=10, waiting_s=100.0, stuck_s=100.0)])
    for ill in Ill:
        assert said_of(clickhouse, ill, partitions=2) == []
    later = NOW + 3 * MINUTE
    (silent,) = said_of(clickhouse, Ill.STUCK, later)
    assert silent.startswith("No worker reports on alerted.predictions[0], alerted.predictions[1] since")
    (missing,) = said_of(clickhouse, Ill.STUCK, partitions=3, since=NOW - HOUR)
    assert "no worker has ever reported on alerted.predictions[2]" in missing.lower()
    assert said_of(clickhouse, Ill.STUCK, partitions=3, since=NOW - MINUTE) == []


def test_what_workers_say_is_wrong_is_one_finding(clickhouse: ClickHouse) -> None:
    clickhouse.command(f"TRUNCATE TABLE {clickhouse.database}.worker_reports")
    ill = report(1, lag=9000, waiting_s=300.0, stuck_s=240.0)
    failing = report(2, failure="it broke", failed_at=NOW - MINUTE)
    store(clickhouse, "worker_reports", [report(0), ill, failing, report(3, failure="once", failed_at=NOW - DAY)])
    (lag,) = said_of(clickhouse, Ill.LAG)
    assert lag.startswith("Events wait in Kafka for 5 minutes")
    assert "9,000 records wait in alerted.predictions[1]" in lag
    (stuck,) = said_of(clickhouse, Ill.STUCK)
    assert "lerted.predictions[1] got no further since" in stuck
    (errors,) = said_of(clickhouse, Ill.ERRORS)
    assert errors.startswith("Worker w2:12 failed at")
    assert "(it broke)" in errors
    evaluation = ask(clickhouse, rule(OfPipeline(Ill.LAG)))
    assert evaluation.findings[0].labels["category"] == "pipeline"
