"""Monitors of a model: each signal once, whatever dies where; what was planted is found, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from loopwatch.infra import metrics
from loopwatch.infra.clickhouse import quote
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.errors import FencedError, ServiceUnavailable
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.schemas.signals import Signal, SignalKind
from loopwatch.stream_processors.evaluate.panes import Stretch
from loopwatch.stream_processors.live.evaluator import Evaluator
from loopwatch.stream_processors.monitor import comparisons, states
from loopwatch.stream_processors.monitor.comparisons import AUTOMATIC, DriftMonitor
from loopwatch.stream_processors.monitor.counted import PaneReader, Side
from loopwatch.stream_processors.monitor.drift_rows import Compared
from loopwatch.stream_processors.monitor.monitor import Monitor
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter

from .monitored import BEGIN, Answer, Workers, at
from .test_panes import Store

MODEL = "fraud"
PARTITIONS = 4
HOURS, AN_HOUR = 48, 250
BROKEN_H, SHIFTED_H = 30, 36
PARAMETERS: dict[str, Any] = {"kind": "classification", "segments": ["country"]}
CONFIG = parse_config(
    {"models": {MODEL: {**PARAMETERS, "outcomes": {"answer": {"window": "1h", "on_timeout": "unlabelled"}}}}}
)
Row = tuple[Any, ...]


class Stream:
    """Two days of predictions and labels: from `BROKEN_H` on half are wrong in one country; later a feature moves."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.events: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        for index in range(HOURS * AN_HOUR):
            made = index * 3600 / AN_HOUR
            hour, country = made / 3600, "df"[index % 2]
            features: dict[str, Any] = {f"x{n}": float(value) for n, value in enumerate(rng.normal(0, 1, 5))}
            features["plan"] = str(rng.choice(["free", "pro"]))
            if hour >= SHIFTED_H:
                features["x3"] += 1.5
            said = float(rng.random() < 0.5)
            wrong = rng.random() < (0.5 if hour >= BROKEN_H and country == "d" else 0.1)
            self.events.append(
                {
                    "prediction_id": f"p{index:05}", "model": MODEL, "ts": at(made).isoformat(), "features": features,
                    "prediction": bool(said), "segments": {"country": country},
                    "score": round(float(rng.beta(2, 2)), 4),
                }
            )  # fmt: skip
            label = 1 - said if wrong else said
            self.answers.append(Answer(f"p{index:05}", made, made + 60, label, said, segments=(("country", country),)))


class Stored:
    """The stream in a database, all of it; how much of that monitors may see is up to the ledger."""

    def __init__(self, url: str, stream: Stream) -> None:
        self.store = Store(url)
        self.clickhouse = self.store.clickhouse
        self.stream = stream
        self.store.insert(stream.events)
        self.workers = Workers(self.clickhouse, MODEL, predictions=False)
        self.workers.store(stream.answers)
        self._clock = datetime.now(UTC)

    def begin(self) -> None:
        """As if nothing had been watched."""
        for table in ("ledger", "signals", "monitors", "drift"):
            self.clickhouse.command(f"TRUNCATE TABLE {self.clickhouse.database}.{table}")

    def now(self) -> datetime:
        """Later each time."""
        self._clock += timedelta(seconds=61)
        return self._clock

    def inserter(self, owner: str = "monitor") -> Inserter:
        fence = Fence(self.clickhouse, "t.predictions", owner)
        for partition in range(PARTITIONS):
            fence.claim(partition)
        return Inserter(self.clickhouse, fence, give_up_after_s=5, stop=Event())

    def monitor(
        self,
        publish: Callable[[Sequence[Signal]], None],
        config: LoopwatchConfig = CONFIG,
        inserter: Inserter | None = None,
        owner: str = "monitor",
        now: Callable[[], datetime] | None = None,
        rest: timedelta = timedelta(0),
    ) -> Monitor:
        """A new one, as a worker makes it."""
        inserter = inserter or self.inserter(owner)
        evaluator = Evaluator(
            self.clickhouse, config, inserter, partitions=PARTITIONS, overlap=timedelta(minutes=5), stop=Event()
        )
        evaluator.tick(range(PARTITIONS))
        return Monitor(self.clickhouse, inserter, evaluator.models, publish, now or self.now, rest)

    def rows(self, source: str, columns: str = "*") -> list[Row]:
        return [
            tuple(row) for row in self.clickhouse.rows(f"SELECT {columns} FROM {self.clickhouse.database}.{source}")
        ]

    def signals(self) -> list[Row]:
        return self.rows("signals_current ORDER BY signal_id", "* EXCEPT _detected_at")


class Fails:
    """An inserter and a publisher that die when they come to a step."""

    def __init__(self, inserter: Inserter, out: list[Signal], step: str) -> None:
        self._inserter = inserter
        self._out = out
        self._step = step
        self.died = False

    def insert(self, table: str, rows: pa.Table, token: str, partitions: Any) -> None:
        if table in ("signals", "monitors", "drift"):
            self._reach(f"before {table}")
        self._inserter.insert(table, rows, token, partitions)
        if table in ("signals", "monitors", "drift"):
            self._reach(f"behind {table}")

    @property
    def fence(self) -> Fence:
        return self._inserter.fence

    def publish(self, signals: Sequence[Signal]) -> None:
        self._reach("before publishing")
        self._out.extend(signals)
        self._reach("behind publishing")

    def _reach(self, what: str) -> None:
        if what == self._step:
            self.died = True
            raise ServiceUnavailable("test", what)


@pytest.fixture(scope="module")
def stored(clickhouse_url: str) -> Iterator[Stored]:
    stored = Stored(clickhouse_url, Stream())
    yield stored
    stored.clickhouse.close()


class Run:
    """What came of it: the signals as they are stored, and all that was published, in its order."""

    def __init__(self, signals: list[Row], published: list[Signal], drift: list[dict[str, Any]]) -> None:
        self.signals = signals
        self.published = published
        self.drift = drift

    @property
    def contents(self) -> dict[tuple[str, datetime], Signal]:
        return {(signal.signal_id, signal.until): signal for signal in self.published}


WATERMARKS_H = (3, 12, 24, 31, 33, 35, 37, 38, 40, 44, 48)


def run(stored: Stored, make: Callable[[list[Signal]], Monitor], *, drop_each: bool = False) -> Run:
    """Let the watermark go on, and have everything that is over watched each time."""
    stored.begin()
    out: list[Signal] = []
    monitor = make(out)
    for hour in WATERMARKS_H:
        stored.workers.commit(0, hour * 3600.0)
        while True:
            try:
                monitor.tick()
            except ServiceUnavailable:
                monitor = make(out)
                continue
            if not monitor.is_behind:
                break
        if drop_each:
            monitor = make(out)
    return Run(stored.signals(), out, drift_of(stored))


def drift_of(stored: Stored) -> list[dict[str, Any]]:
    rows = stored.rows("drift FINAL ORDER BY ALL", "* EXCEPT _evaluated_at")
    return [dict(zip(columns(stored, "drift"), row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def through(stored: Stored) -> Run:
    """One monitor from beginning to end."""
    return run(stored, lambda out: stored.monitor(out.extend))


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


def columns(stored: Stored, table: str) -> list[str]:
    """Those of what was found, without when."""
    return [name for name, *_ in stored.clickhouse.rows(f"DESCRIBE {stored.clickhouse.database}.{table}")][:-1]


def aware(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)


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
    assert sum(row["kind"] == "rows" for row in rows) == len(starts)
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


def test_a_monitor_that_is_dropped_after_each_tick_finds_the_same(stored: Stored, through: Run) -> None:
    dropped = run(stored, lambda out: stored.monitor(out.extend), drop_each=True)
    said = {
        name: how for name, how, reached in stored.rows("monitors FINAL", "monitor, rebuilt, reached_us") if reached
    }
    assert len(said) > 3
    assert all("from its state of" in how for how in said.values()), said
    assert dropped.signals == through.signals
    assert dropped.contents == through.contents
    assert dropped.drift == through.drift


def test_a_worker_that_dies_at_any_step_finds_the_same(stored: Stored, through: Run) -> None:
    steps = [
        f"{when} {what}" for what in ("drift", "monitors", "signals", "publishing") for when in ("before", "behind")
    ]
    made: list[Fails] = []

    def make(out: list[Signal]) -> Monitor:
        fails = Fails(stored.inserter(), out, [*steps, *reversed(steps), ""][len(made)])
        made.append(fails)
        return stored.monitor(fails.publish, inserter=fails)  # pyright: ignore[reportArgumentType]

    found = run(stored, make)
    assert [fails.died for fails in made] == [True] * 16 + [False]
    assert found.signals == through.signals
    assert found.contents == through.contents
    assert found.drift == through.drift


def test_who_lost_a_model_lets_nothing_out(stored: Stored, through: Run) -> None:
    stored.begin()
    out: list[list[Signal]] = [[], []]
    stale = stored.monitor(out[0].extend, owner="stale")
    stored.workers.commit(0, 24 * 3600.0)
    stale.tick()
    fresh = stored.monitor(out[1].extend, owner="fresh")
    for hour in WATERMARKS_H[3:]:
        stored.workers.commit(0, hour * 3600.0)
        with pytest.raises(FencedError):
            stale.tick()
        fresh.tick()
        while fresh.is_behind:
            fresh.tick()
    assert {(signal.signal_id, signal.until) for signal in out[1]} == through.contents.keys() - {
        (signal.signal_id, signal.until) for signal in out[0]
    }
    assert all(signal.until <= at(24 * 3600) for signal in out[0])
    assert stored.signals() == through.signals


def test_who_lost_a_model_and_has_it_again_goes_on_from_what_others_found(stored: Stored, through: Run) -> None:
    stored.begin()
    out: list[list[Signal]] = [[], []]
    inserter = stored.inserter("back again")
    back = stored.monitor(out[0].extend, inserter=inserter)
    stored.workers.commit(0, 24 * 3600.0)
    watch(back)
    between = stored.monitor(out[1].extend, owner="between")
    for hour in WATERMARKS_H[3:-2]:
        stored.workers.commit(0, hour * 3600.0)
        watch(between)
    assert out[1]
    for partition in range(PARTITIONS):
        inserter.fence.claim(partition)
    for hour in WATERMARKS_H[-2:]:
        stored.workers.commit(0, hour * 3600.0)
        watch(back)
    said = [how for how, reached in stored.rows("monitors FINAL", "rebuilt, reached_us") if reached]
    assert all("from its state of" in how for how in said), said
    assert {(signal.signal_id, signal.until): signal for signal in (*out[0], *out[1])} == through.contents
    assert stored.signals() == through.signals


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


def test_a_monitor_of_labels_whose_kind_is_known_later_goes_on_from_its_state(stored: Stored) -> None:
    stored.begin()
    stored.workers.commit(0, 24 * 3600.0)
    watch(stored.monitor(lambda signals: None))
    successor = stored.monitor(lambda signals: None)
    model = successor._models[MODEL]
    known, model.definitions = model.definitions, {}
    watch(successor)
    model.definitions = known
    stored.workers.commit(0, 25 * 3600.0)
    watch(successor)
    said = dict(stored.rows("monitors FINAL", "monitor, rebuilt"))
    assert "from its state of" in said["losses/answer"]


def test_a_model_that_is_lost_in_the_middle_of_a_tick_is_left_alone(stored: Stored) -> None:
    stored.begin()
    out: list[Signal] = []
    inserter = stored.inserter("in the middle")
    monitor = stored.monitor(out.extend, inserter=inserter)
    stored.workers.commit(0, 24 * 3600.0)
    watch(monitor)
    kept = stored.rows("monitors FINAL ORDER BY monitor", "monitor, reached_us")
    stored.workers.commit(0, HOURS * 3600.0)
    for watched in monitor._watched[MODEL].values():

        def advance(until: Any, watch: Any = watched.watch) -> list[Signal]:
            # Somebody else has it, and the next moment we do again.
            for partition in range(PARTITIONS):
                inserter.fence.claim(partition)
            return type(watch).advance(watch, until)

        watched.watch.advance = advance  # pyright: ignore[reportAttributeAccessIssue]
    out.clear()
    assert monitor.tick() == 0
    assert out == []
    assert stored.rows("monitors FINAL ORDER BY monitor", "monitor, reached_us") == kept


def watch(monitor: Monitor) -> None:
    """All that there is."""
    monitor.tick()
    while monitor.is_behind:
        monitor.tick()


@pytest.mark.parametrize(
    "damage", ['{"state":', "{}", '{"state":{}}', '{"state":[]}', '{"state":{"watched":1},"unpublished":[{}]}']
)
def test_a_state_that_cant_be_read_is_made_anew_and_says_so(stored: Stored, through: Run, damage: str) -> None:
    stored.begin()
    out: list[Signal] = []
    stored.workers.commit(0, 33 * 3600.0)
    before = stored.monitor(out.extend)
    before.tick()
    names = {row[0] for row in stored.rows("monitors FINAL", "monitor")}
    stored.clickhouse.command(
        f"INSERT INTO {stored.clickhouse.database}.monitors SELECT model, monitor, reached_us, {quote(damage)}, '', "
        f"_written_at + 1 FROM {stored.clickhouse.database}.monitors FINAL"
    )
    stored.workers.commit(0, HOURS * 3600.0)
    after = stored.monitor(out.extend)
    after.tick()
    while after.is_behind:
        after.tick()
    said = dict(stored.rows("monitors FINAL", "monitor, rebuilt"))
    assert said.keys() == names
    assert all("can't be read" in how for how in said.values())
    assert {row[0] for row in stored.signals()} == {row[0] for row in through.signals}


def test_a_state_that_is_damaged_anywhere_stops_nobody(stored: Stored, through: Run) -> None:
    stored.begin()
    out: list[Signal] = []
    stored.workers.commit(0, 33 * 3600.0)
    stored.monitor(out.extend).tick()
    kept = stored.rows("monitors FINAL", "monitor, state")
    errors = metrics.REGISTRY.get_sample_value("loopwatch_monitor_errors_total")
    rng = np.random.default_rng(1)
    for _ in range(12):
        for name, text in kept:
            document = msgspec.json.decode(text)
            damaged = msgspec.json.encode({"state": damage(document["state"], rng)}).decode()
            # Behind what the tick before wrote, by the clock of the monitor.
            stored.clickhouse.command(
                f"INSERT INTO {stored.clickhouse.database}.monitors SELECT model, monitor, 0, {quote(damaged)}, '', "
                f"_written_at + 1 FROM {stored.clickhouse.database}.monitors FINAL WHERE monitor = {quote(name)}"
            )
            assert stored.rows(f"monitors FINAL WHERE monitor = {quote(name)}", "state") == [(damaged,)]
        stored.monitor(out.extend).tick()
    assert metrics.REGISTRY.get_sample_value("loopwatch_monitor_errors_total") == errors


def damage(value: Any, rng: np.random.Generator) -> Any:
    """The same with one thing in it replaced by something else."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[int(rng.integers(len(value)))]
        return {**value, key: damage(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at_ = int(rng.integers(len(value)))
        return [*value[:at_], damage(value[at_], rng), *value[at_ + 1 :]]
    return [None, "x", -1, 1e300, [], {}, 10**18][int(rng.integers(7))]


def test_a_state_that_is_too_large_is_not_kept(stored: Stored, through: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "LARGEST", 2000)
    found = run(stored, lambda out: stored.monitor(out.extend))
    kept = stored.rows("monitors", "length(state)")
    assert all(length <= 2000 for (length,) in kept)
    assert found.signals == through.signals


def test_states_are_small(stored: Stored) -> None:
    stored.begin()
    stored.workers.commit(0, HOURS * 3600.0)
    monitor = stored.monitor(lambda _: None)
    monitor.tick()
    sizes = dict(stored.rows("monitors FINAL", "monitor, length(state)"))
    assert max(sizes.values()) < 300_000, sizes


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
