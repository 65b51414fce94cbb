"""What was planted is found, and nothing else; each signal shows itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.signals import Signal, SignalKind
from loopwatch.stream_processors.evaluate.panes import Stretch
from loopwatch.stream_processors.monitor import comparisons
from loopwatch.stream_processors.monitor.comparisons import AUTOMATIC, DriftMonitor
from loopwatch.stream_processors.monitor.counted import PaneReader, Side
from loopwatch.stream_processors.monitor.drift_rows import Compared

from ..monitored import BEGIN, Workers, at
from ..paned import Store
from .planted import BROKEN_H, CONFIG, HOURS, MODEL, PARAMETERS, SHIFTED_H, Run, Stored, Stream, aware, columns, watch


def test_what_was_planted_is_found_and_nothing_else(stored: Stored, through: Run) -> None:
    found = {
        (row[2], row[3], row[7]): dict(zip(columns(stored, "signals"), row, strict=True)) for row in through.signals
    }
    drifted = {key for key in found if key[0] in (SignalKind.DATA_DRIFT, SignalKind.PREDICTION_DRIFT)}
    assert {subject for _, subject, _ in drifted} == {"x3"}
    concept = {key for key in found if key[0] == SignalKind.CONCEPT_DRIFT}
    assert concept == {(SignalKind.CONCEPT_DRIFT, "loss", ""), (SignalKind.CONCEPT_DRIFT, "loss", "d")}
    anomalies = {subject for kind, subject, _ in found if kind == SignalKind.ANOMALY}
    assert anomalies <= {"mean loss of answer"}
    whole = found[SignalKind.CONCEPT_DRIFT, "loss", ""]
    assert abs((aware(whole["since"]) - at(BROKEN_H * 3600)).total_seconds()) < 1800
    assert (whole["expected"], whole["seen"]) == (pytest.approx(0.1, abs=0.02), pytest.approx(0.3, abs=0.07))
    assert whole["evidence"][0]["name"] == "country = d"
    x3 = found[SignalKind.DATA_DRIFT, "x3", ""]
    assert aware(x3["since"]) == at(SHIFTED_H * 3600)
    # The reference slides: by now it has half a day of the moved values in it.
    assert (x3["expected"], x3["seen"]) == (pytest.approx(0.36, abs=0.1), pytest.approx(1.5, abs=0.2))


def test_every_signal_shows_itself_and_names_predictions_of_its_slice(stored: Stored, through: Run) -> None:
    by_id = {event["prediction_id"]: event for event in stored.stream.events}
    assert len(through.published) > 5
    for signal in through.published:
        rows = stored.clickhouse.rows(signal.query)
        assert rows, signal.query
        assert 0 <= signal.score <= 1
        assert BEGIN <= signal.since <= signal.found_at <= signal.until <= at(HOURS * 3600)
        assert msgspec.json.decode(msgspec.json.encode(signal), type=Signal) == signal
        if signal.kind is not SignalKind.ANOMALY:
            assert len(signal.examples) == 5
        for example in signal.examples:
            event = by_id[example]
            assert signal.since - timedelta(seconds=60) <= datetime.fromisoformat(event["ts"]) <= signal.until
            if signal.segment_key:
                assert event["segments"][signal.segment_key] == signal.segment
    shown = next(each for each in through.published if each.kind is SignalKind.CONCEPT_DRIFT and not each.segment_key)
    losses = {row[0].replace(tzinfo=UTC): row[2] for row in stored.clickhouse.rows(shown.query)}
    before = [loss for hour, loss in losses.items() if hour < at((BROKEN_H - 1) * 3600)]
    since = [loss for hour, loss in losses.items() if hour >= at(BROKEN_H * 3600)]
    assert max(before, default=0.15) < 0.2 < min(since)


def test_examples_of_a_drifted_number_are_those_that_became_more(stored: Stored, through: Run) -> None:
    by_id = {event["prediction_id"]: event for event in stored.stream.events}
    for signal in through.published:
        if signal.kind is SignalKind.DATA_DRIFT:
            values = [by_id[example]["features"]["x3"] for example in signal.examples]
            assert min(values) > 0.5


def test_each_comparison_is_a_row(through: Run) -> None:
    assert {row["window_seconds"] for row in through.drift} == {3600, 86_400}
    rows = [row for row in through.drift if row["window_seconds"] == 3600]
    whole = [row for row in rows if not row["segment"] and row["kind"] != "rows"]
    starts = {row["window_start"] for row in whole}
    # Of hours with few predictions, rows are compared by the day.
    of_rows = {(row["window_seconds"], row["window_start"]) for row in through.drift if row["kind"] == "rows"}
    assert of_rows == {(86_400, row["window_start"]) for row in through.drift if row["window_seconds"] == 86_400}
    assert of_rows
    assert len(starts) == HOURS - 1
    subjects = {"x0", "x1", "x2", "x3", "x4", "plan", "prediction", "score"}
    assert len(whole) == len(starts) * len(subjects) * 3
    assert {row["subject"] for row in whole} == subjects
    assert {row["subject"] for row in rows if row["drifted"]} == {"x3"}
    drifted = {aware(row["window_start"]) for row in whole if row["drifted"]}
    assert drifted == {at(h * 3600) for h in range(SHIFTED_H, HOURS)}
    assert all((row["reason"] == "drifted") == row["drifted"] for row in rows)


def test_a_turn_ends_between_two_series_of_a_window(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.begin()
    stored.workers.commit(0, 6 * 3600.0)
    drift = CONFIG.for_model(MODEL).monitoring.drift
    assert drift is not None

    def drift_monitor(rows: list[Compared], state: dict[str, Any] | None = None) -> DriftMonitor:
        return DriftMonitor(stored.clickhouse, MODEL, drift, AUTOMATIC[0], ["country"], rows.extend, state)

    at_once: list[Compared] = []
    monitor = drift_monitor(at_once)
    monitor.advance(stored.workers.reached())
    while monitor.is_behind:
        monitor.advance(stored.workers.reached())
    reads: list[int] = []
    read = PaneReader.read

    def counted(self: PaneReader, stretch: Stretch) -> tuple[int, Side]:
        reads[-1] += 1
        return read(self, stretch)

    monkeypatch.setattr(PaneReader, "read", counted)
    monkeypatch.setattr(comparisons, "_AT_ONCE_S", 0.0)
    by_slices: list[Compared] = []
    monitor = drift_monitor(by_slices)
    while monitor.is_behind or not reads:
        reads.append(0)
        monitor.advance(stored.workers.reached())
        if len(reads) % 100 == 0:
            # Whoever goes on from a state begins the window anew that was on its way.
            monitor = drift_monitor(by_slices, msgspec.json.decode(msgspec.json.encode(monitor.state())))
            monitor.is_behind = True
    assert max(reads) == 2
    assert len(reads) >= len(at_once)
    assert list(map(repr, by_slices)) == list(map(repr, at_once))


def test_monitors_that_nobody_wants_are_not_there(stored: Stored) -> None:
    stored.begin()
    stored.workers.commit(0, HOURS * 3600.0)
    monitoring = {"losses": "none", "drift": "none", "series": "none", "events": "none"}
    outcomes = {"answer": {"window": "1h"}}
    config = parse_config({"models": {MODEL: {**PARAMETERS, "outcomes": outcomes, "monitoring": monitoring}}})
    assert stored.monitor(lambda _: None, config).tick() == 0
    assert stored.rows("monitors") == []


def test_one_model_that_fails_does_not_stop_the_others(clickhouse_url: str, through: Run) -> None:
    stored = Stored(clickhouse_url, Stream())
    stored.workers.commit(0, HOURS * 3600.0)
    out: list[Signal] = []
    config = parse_config(
        {
            "models": {
                MODEL: {**PARAMETERS, "outcomes": {"answer": {"window": "1h"}}},
                "other": {"kind": "classification", "monitoring": {"losses": "no such detector"}},
            }
        }
    )
    store = Store(stored.store.settings.clickhouse_url, 1, stored.clickhouse.database)
    store.insert(
        [{**event, "model": "other", "prediction_id": f"o{n}"} for n, event in enumerate(stored.stream.events[:500])]
    )
    workers = Workers(stored.clickhouse, "other", "default", predictions=False)
    workers.store(
        [msgspec.structs.replace(each, prediction_id=f"o{n}") for n, each in enumerate(stored.stream.answers[:500])]
    )
    monitor = stored.monitor(out.extend, config)
    for _ in range(20):
        monitor.tick()
    assert {signal.model for signal in out} == {MODEL}
    assert {row[0] for row in stored.signals()} == {row[0] for row in through.signals}


def test_a_model_that_nothing_comes_for_is_looked_at_once_in_a_while(stored: Stored) -> None:
    stored.begin()
    stored.workers.commit(0, 24 * 3600.0)
    now = [datetime.now(UTC) + timedelta(hours=1)]
    resting = stored.monitor(lambda signals: None, now=lambda: now[0], rest=timedelta(minutes=1))
    watch(resting)

    def reached() -> int:
        return max(each.watch.reached_us for each in resting._watched[MODEL].values())

    before = reached()
    stored.workers.commit(0, 26 * 3600.0)
    now[0] += timedelta(seconds=59)
    watch(resting)
    assert reached() == before
    resting._models[MODEL].latest = now[0]
    watch(resting)
    assert reached() > before
    before = reached()
    stored.workers.commit(0, 28 * 3600.0)
    now[0] += timedelta(seconds=61)
    watch(resting)
    assert reached() > before
