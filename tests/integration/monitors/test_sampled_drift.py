"""What counts can't show: columns that depend on each other otherwise, texts that say other things, other vectors."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from loopwatch.schemas.monitoring import Drift, Reference
from loopwatch.schemas.signals import Signal, SignalKind
from loopwatch.schemas.windows import Window
from loopwatch.stream_processors.monitor.comparisons import DriftMonitor
from loopwatch.stream_processors.monitor.drift_rows import Compared
from loopwatch.stream_processors.monitor.reached import Reached
from loopwatch.stream_processors.records import micros_of

from ..monitored import at
from ..paned import Store

HOUR_S = 3600
HOURS, CHANGED_H, AN_HOUR = 18, 13, 210
WINDOW = Window.tumbling(timedelta(hours=1))
DRIFT = Drift(windows=(WINDOW,), reference=Reference(sliding=timedelta(days=7)))
SIZE = 24
Make = Callable[[np.random.Generator, bool], dict[str, Any]]


def tabular(random: np.random.Generator, sign: float = 1.0, moved: float = 0.0) -> dict[str, Any]:
    """Two columns that go together, and two that don't."""
    first, second, third, score = random.normal(size=4).tolist()
    second, plan = 0.6 * sign * first + 0.8 * second, "free" if random.random() < 0.5 else "pro"
    return {"features": {"a": first, "b": second, "c": third + moved, "plan": plan}, "score": 1 / (1 + 2**score)}


SUBJECTS = (
    "parcel arrive late courier street door neighbour week",
    "invoice total wrong month charge card account bank",
    "password reset login email screen code phone app",
)
NAMES = ("Ödegaard", "Nakamura", "O'Connell", "Iyer")


def generation(
    random: np.random.Generator, *, apology: float = 0.1, moved: float = 0.0, size: int = SIZE, response: bool = True
) -> dict[str, Any]:
    """Support: texts and vectors belong to one of three subjects; each prompt has an account's number and a name."""
    subject = int(random.integers(0, len(SUBJECTS)))
    words = [SUBJECTS[subject].split()[at] for at in random.integers(0, 8, 6)]
    name = f"{NAMES[random.integers(4)]}x{random.integers(0, 10_000)}"
    said = "Sorry about that. " if random.random() < apology else ""
    vector = random.normal(0, 0.3, size)
    vector[subject] += 1
    vector[-1] += moved
    return {
        "generation": {
            "prompt": f"{name}, account {random.integers(10**9)}: {' '.join(words)}",
            "embedding": vector.tolist(),
        }
        | ({"response": f"{said}We look into {words[0]} and {words[1]}."} if response else {})
    }


CHANGES: dict[str, Make] = {
    "same-table": lambda random, _: tabular(random),
    "turned": lambda random, changed: tabular(random, -1.0 if changed else 1.0),
    "shifted": lambda random, changed: tabular(random, moved=1.0 if changed else 0.0),
    "same-texts": lambda random, _: generation(random),
    "apologies": lambda random, changed: tabular(random) | generation(random, apology=0.6 if changed else 0.1),
    "moved": lambda random, changed: generation(random, moved=1.0 if changed else 0.0),
    "other-size": lambda random, changed: generation(random, size=SIZE + 8 * changed),
    "silent": lambda random, changed: generation(random, response=not changed),
}


@pytest.fixture(scope="module")
def store(clickhouse_url: str) -> Iterator[Store]:
    store = Store(clickhouse_url)
    events: list[dict[str, Any]] = []
    for model, make in CHANGES.items():
        random = np.random.default_rng(11)
        for index in range(HOURS * AN_HOUR):
            second = index * HOUR_S / AN_HOUR
            event = {"prediction_id": f"{model}-{index:05}", "model": model, "ts": at(second).isoformat()}
            events.append(event | make(random, second >= CHANGED_H * HOUR_S))
    store.insert(events)
    yield store
    store.clickhouse.close()


def monitor(
    store: Store, model: str, rows: list[Compared], drift: Drift = DRIFT, state: dict[str, Any] | None = None
) -> DriftMonitor:
    return DriftMonitor(store.clickhouse, model, drift, WINDOW, [], rows.extend, state)


def until(hour: int) -> Reached:
    us = micros_of(at(hour * HOUR_S))
    return Reached({0: us // 1000}, {0: us})


def watch(watching: DriftMonitor, hour: int) -> list[Signal]:
    """All that is over by then."""
    signals = watching.advance(until(hour))
    while watching.is_behind:
        signals += watching.advance(until(hour))
    return signals


_RUNS: dict[tuple[str, str, Drift], tuple[list[Signal], list[Compared]]] = {}


def run(store: Store, model: str, drift: Drift = DRIFT) -> tuple[list[Signal], list[Compared]]:
    """From the first hour to the last; once for all tests."""
    key = store.clickhouse.database, model, drift
    if key not in _RUNS:
        rows: list[Compared] = []
        _RUNS[key] = watch(monitor(store, model, rows, drift), HOURS), rows
    return _RUNS[key]


def by_subject(signals: list[Signal]) -> dict[str, list[Signal]]:
    """Each as often as it came; one subject has one id."""
    found: dict[str, list[Signal]] = {}
    for signal in signals:
        found.setdefault(signal.subject, []).append(signal)
    assert all(len({signal.signal_id for signal in each}) == 1 for each in found.values())
    return found


def told(store: Store, signals: list[Signal], subject: str) -> Signal:
    """The only subject that is told: since when, with examples of then and a query that has rows."""
    found = by_subject(signals)
    assert list(found) == [subject]
    signal = found[subject][-1]
    assert signal.since == at(CHANGED_H * HOUR_S)
    assert len(signal.examples) == 5
    numbers = {int(example.rpartition("-")[2]) for example in signal.examples}
    assert min(numbers) >= CHANGED_H * AN_HOUR
    assert len(store.clickhouse.rows(signal.query)) >= HOURS - 1
    return signal


def test_a_correlation_that_turns_is_one_signal_that_names_the_pair(store: Store) -> None:
    signals, rows = run(store, "turned")
    signal = told(store, signals, "rows")
    assert signal.kind is SignalKind.DATA_DRIFT
    assert signal.evidence[0].name == "a · b"
    assert "a · b most of all" in signal.message
    assert (signal.evidence[0].expected, signal.evidence[0].seen) == (
        pytest.approx(0.45, abs=0.15), pytest.approx(-0.6, abs=0.15),
    )  # fmt: skip
    hours = store.clickhouse.rows(signal.query)
    assert all((row[-1] > 0) == (number < CHANGED_H) for number, row in enumerate(hours))
    of_rows = [row for row in rows if row.series.name == "rows"]
    assert {(row.drift.kind, row.drift.method) for row in of_rows} == {("rows", "domain_classifier")}
    assert len(of_rows) == HOURS - 1
    assert max(row.drift.n_reference for row in of_rows) == 1000


def test_a_column_that_shifts_by_itself_is_not_told_again(store: Store) -> None:
    signals, rows = run(store, "shifted")
    assert list(by_subject(signals)) == ["c"]
    of_rows = [row.drift for row in rows if row.series.name == "rows" and row.window_start >= at(CHANGED_H * HOUR_S)]
    assert of_rows
    assert all(drift.p_value is not None and not drift.drifted for drift in of_rows)


def test_responses_that_change_are_told_by_their_words(store: Store) -> None:
    signals, rows = run(store, "apologies")
    found = by_subject(signals)
    assert set(found) <= {"response.words", "response.length"}
    signal = found["response.words"][-1]
    assert signal.kind is SignalKind.PREDICTION_DRIFT
    assert {shift.name for shift in signal.evidence} & {"sorry", "about", "that"}
    hours = [row[-1] for row in store.clickhouse.rows(signal.query)]
    assert max(hours[:CHANGED_H]) < 0.3 < 0.4 < min(hours[CHANGED_H:])
    subjects = {row.series.name for row in rows}
    assert subjects == {
        "a", "b", "c", "plan", "score", "rows", "prompt", "prompt.length", "prompt.words", "response",
        "response.length", "response.words", "embedding",
    }  # fmt: skip


def test_no_word_is_told_that_few_people_wrote(store: Store) -> None:
    rows: list[Compared] = []
    for model in ("apologies", "silent", "moved"):
        rows += run(store, model)[1]
    shown = {shift.name for row in rows if row.drift.kind == "vocabulary" for shift in row.drift.evidence}
    known = set(re.findall(r"\w+", " ".join((*SUBJECTS, "sorry about that we look into and account")).lower()))
    assert shown
    assert shown <= known


def test_embeddings_that_move_are_told(store: Store) -> None:
    signal = told(store, run(store, "moved")[0], "embedding")
    assert signal.detector == "mmd"
    distances = [row[-1] for row in store.clickhouse.rows(signal.query)]
    assert max(distances[:CHANGED_H]) < min(distances[CHANGED_H:])


def test_embeddings_of_another_size_are_invalid_and_not_compared_otherwise(store: Store) -> None:
    signals, rows = run(store, "other-size")
    signal = told(store, signals, "embedding")
    assert signal.message.startswith("invalid share of embedding of other-size drifted from")
    assert signal.seen == 1.0
    values = [row.reason for row in rows if row.series.name == "embedding" and row.drift.question.value == "values"]
    assert values[-(HOURS - CHANGED_H) :] == ["too_few"] * (HOURS - CHANGED_H)


def test_responses_that_are_not_sent_any_more_are_missing(store: Store) -> None:
    signal = told(store, run(store, "silent")[0], "response")
    assert signal.message.startswith("missing share of response of silent drifted from 0")


@pytest.mark.parametrize("model", ["same-table", "same-texts"])
def test_where_nothing_changes_nothing_is_told(store: Store, model: str) -> None:
    signals, rows = run(store, model)
    assert signals == []
    assert {row.drift.kind for row in rows} >= ({"rows"} if model == "same-table" else {"vocabulary", "embedding"})


def test_a_restart_in_the_middle_finds_the_same(store: Store) -> None:
    model, parts = "apologies", list[Compared]()
    whole, rows = run(store, model)
    begun = monitor(store, model, parts)
    signals = watch(begun, CHANGED_H + 1)
    state = msgspec.json.decode(msgspec.json.encode(begun.state()))
    assert len(msgspec.json.encode(state)) < 20_000
    signals += watch(monitor(store, model, parts, state=state), HOURS)
    assert list(map(repr, signals)) == list(map(repr, whole))
    assert list(map(repr, parts)) == list(map(repr, rows))


def test_what_is_ignored_is_not_compared(store: Store) -> None:
    drift = msgspec.structs.replace(DRIFT, ignore=("rows", "response", "embedding"))
    signals, rows = run(store, "apologies", drift)
    assert signals == []
    assert {row.series.name for row in rows if not row.series.is_feature} == {
        "score", "prompt", "prompt.length", "prompt.words",
    }  # fmt: skip
    without = run(store, "turned", msgspec.structs.replace(DRIFT, ignore=("b",)))
    assert without[0] == []
    assert "rows" in {row.series.name for row in without[1]}


def test_beside_a_fixed_period_rows_are_compared_too(store: Store) -> None:
    period = Reference(period=(at(0), at(10 * HOUR_S)))
    signals, _ = run(store, "turned", msgspec.structs.replace(DRIFT, reference=period))
    assert by_subject(signals)["rows"][0].since == at(CHANGED_H * HOUR_S)
