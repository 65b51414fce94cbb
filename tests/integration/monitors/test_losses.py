"""Losses are taken once each and in order, whatever came when: schedules of workers beside a plain list of labels."""

import random
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.outcomes import Combine, Kind, OnTimeout, Outcome, Positive
from loopwatch.stream_processors.monitor import losses as module
from loopwatch.stream_processors.monitor.losses import Cursor, Loss, losses_as_rows, new_losses
from loopwatch.stream_processors.monitor.reached import Reached

from ...databases import new_database
from ..monitored import BEGIN, Answer, Workers

PARTITIONS = 3
WINDOW_S = 600
LENGTH_S = 3000
N = 60
NEGATIVE = Outcome("answer", window=timedelta(seconds=WINDOW_S), on_timeout=OnTimeout.NEGATIVE)
UNLABELLED = Outcome("answer", window=timedelta(seconds=WINDOW_S), combine=Combine.FIRST)


@pytest.fixture(scope="module")
def without_merges(clickhouse_url: str) -> Iterator[ClickHouse]:
    """With tables whose rows no merge folds: which of two revisions is left is up to the moment otherwise."""
    with new_database(clickhouse_url) as connection:
        connection.command(f"SYSTEM STOP MERGES {connection.database}.feedback")
        yield connection


@pytest.fixture
def clickhouse(without_merges: ClickHouse) -> ClickHouse:
    """Empty, since what is not merged is slow to read."""
    for table in ("feedback", "predictions", "actions", "panes", "pane_names", "ledger"):
        without_merges.command(f"TRUNCATE TABLE {without_merges.database}.{table}")
    return without_merges


class Due(NamedTuple):
    """A row, and the event time at which the watermark lets its partition write it."""

    at: float
    answer: Answer


class Schedule:
    """Predictions with what becomes of them, and workers that write it out of step, torn and late."""

    def __init__(self, seed: int, outcome: Outcome) -> None:
        self.rnd = random.Random(seed)
        self.outcome = outcome
        self.waits = outcome.on_timeout is OnTimeout.NEGATIVE
        self.known: dict[tuple[str, str], float] = {}
        """When each label is known, by prediction and action."""
        self.late: set[str] = set()
        self.due: list[list[Due]] = [[] for _ in range(PARTITIONS)]
        for index in range(N):
            self._predict(f"p{index}", index % PARTITIONS, float(self.rnd.randrange(LENGTH_S)))

    def _predict(self, id_: str, partition: int, made: float) -> None:
        rnd, rows = self.rnd, self.due[partition]
        late_by = rnd.uniform(0, LENGTH_S) if rnd.random() < 0.15 else 0.0
        if late_by:
            self.late.add(id_)
        ended = made + WINDOW_S
        acted = made + rnd.uniform(0, WINDOW_S) if rnd.random() < 0.6 else None
        answer = Answer(
            id_, made, acted, float(rnd.random() < 0.5) if acted else 0.0 if self.waits else None, partition=partition,
            n_actions=int(acted is not None),
        )  # fmt: skip
        if acted is None:
            rows.append(Due(ended + late_by, answer))
            if rnd.random() < 0.4:
                said = made + rnd.uniform(0, WINDOW_S)
                revised = Answer(id_, made, said, 1.0, partition=partition, was_expired=True, action_id="b")
                rows.append(Due(ended + late_by + rnd.uniform(0, 900), revised))
                if not self.waits:
                    self._knows(id_, "b", said)
                    self.late.add(id_)
            if self.waits:
                self._knows(id_, "", ended)
            return
        first = Due(acted + late_by, answer)
        rows.append(first)
        self._knows(id_, "" if self.waits else answer.action_id, ended if self.waits else acted)
        if rnd.random() < 0.3:
            # Another action that changes nothing: the first one decides.
            again = Answer(id_, made, acted, answer.label, partition=partition, n_actions=2)
            rows.append(Due(first.at + rnd.uniform(0, 1500), again))

    def _knows(self, id_: str, action_id: str, at_s: float) -> None:
        self.known[id_, action_id] = at_s

    def run(self, clickhouse: ClickHouse, model: str, ticks: float) -> list[Loss]:
        """Write everything, with a tick behind a share of the flushes; returns what was taken."""
        rnd, workers = self.rnd, Workers(clickhouse, model)
        now, lag = [0.0] * PARTITIONS, [0.0] * PARTITIONS
        torn: list[list[Answer]] = [[] for _ in range(PARTITIONS)]
        cursor, taken = Cursor(), list[Loss]()
        end = max(due.at for rows in self.due for due in rows) + WINDOW_S
        step = 0.0
        while min(now) <= end:
            step += rnd.uniform(0, 900)
            workers.rest(rnd.uniform(0, 40))
            for p in rnd.sample(range(PARTITIONS), rnd.randrange(1, PARTITIONS + 1)):
                lag[p] = max(0.0, min(900.0, lag[p] + rnd.uniform(-600, 600)))
                until = end + 1 if step - lag[p] > end else max(now[p], step - lag[p])
                rows = [due.answer for due in self.due[p] if now[p] < due.at <= until or (due.at <= 0 == now[p])]
                again, torn[p] = torn[p], []
                if rnd.random() < 0.2:
                    # Stored, but neither published nor in the ledger: all of it is read again, and cut otherwise.
                    workers.store(again + rows)
                    half = rnd.randrange(len(again + rows) + 1)
                    written = workers.store((again + rows)[:half])
                    workers.commit(p, now[p], written)
                    torn[p] = (again + rows)[half:]
                else:
                    workers.commit(p, until, workers.store(again + rows))
                if torn[p] and until > end:
                    workers.commit(p, until, workers.store(torn[p]))
                now[p] = until
                if rnd.random() < ticks:
                    cursor = take_all(clickhouse, model, self.outcome, cursor, workers.reached(), taken)
        take_all(clickhouse, model, self.outcome, cursor, workers.reached(), taken)
        return taken


def take_all(
    clickhouse: ClickHouse, model: str, outcome: Outcome, cursor: Cursor, reached: Reached, taken: list[Loss]
) -> Cursor:
    while True:
        found, moved = new_losses(clickhouse, model, outcome, Kind.CLASSIFICATION, ["country"], cursor, reached)
        taken += found
        if moved == cursor:
            return cursor
        cursor = moved


@pytest.mark.parametrize("outcome", [NEGATIVE, UNLABELLED], ids=["negative", "unlabelled"])
@pytest.mark.parametrize("seed", range(4))
def test_every_label_is_taken_once_and_in_order_whatever_the_ticks(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, seed: int
) -> None:
    if seed % 2:
        monkeypatch.setattr(module, "MOST_AT_ONCE", 12)
    schedule = Schedule(seed, outcome)
    taken = schedule.run(clickhouse, f"m{uuid.uuid4().hex}", (0.1, 0.4, 0.8)[seed % 3])
    expected = sorted((id_, round(known_s * 1e6)) for (id_, _), known_s in schedule.known.items())
    found = sorted((loss.prediction_id, seconds_us(loss)) for loss in taken)
    assert [(id_, pytest.approx(us, abs=1)) for id_, us in expected] == found
    assert len(schedule.late) > 3


def seconds_us(loss: Loss) -> int:
    return loss.at_us - round(BEGIN.timestamp() * 1e6)


@pytest.mark.parametrize("outcome", [NEGATIVE, UNLABELLED], ids=["negative", "unlabelled"])
def test_what_comes_in_time_is_in_the_order_of_event_time_over_partitions(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 15)
    model, rnd = f"m{uuid.uuid4().hex}", random.Random(3)
    workers, cursor, taken = Workers(clickhouse, model), Cursor(), list[Loss]()
    answers = [Answer(f"p{i}", i * 10.0, i * 10.0 + 5, 1.0, partition=i % PARTITIONS) for i in range(150)]
    done = [0.0] * PARTITIONS
    for p in range(PARTITIONS):
        workers.commit(p, 0.0)
    while min(done) < 2200:
        p = rnd.randrange(PARTITIONS)
        until = done[p] + rnd.uniform(0, 900)
        rows = [each for each in answers if each.partition == p and done[p] <= (each.acted or 0) < until]
        workers.commit(p, until, workers.store(rows))
        done[p] = until
        cursor = take_all(clickhouse, model, outcome, cursor, workers.reached(), taken)
    assert [loss.prediction_id for loss in taken] == [each.prediction_id for each in answers]


def test_labels_of_one_instant_are_never_parted(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 15)
    model = f"m{uuid.uuid4().hex}"
    workers, taken = Workers(clickhouse, model), list[Loss]()
    answers = [Answer(f"p{i:02}", 0.0, float(i // 20), 1.0) for i in range(60)]
    workers.commit(0, 100, workers.store(answers))
    take_all(clickhouse, model, UNLABELLED, Cursor(), workers.reached(), taken)
    assert [loss.prediction_id for loss in taken] == [each.prediction_id for each in answers]


def test_nothing_is_taken_that_some_partition_has_not_settled(clickhouse: ClickHouse) -> None:
    model = f"m{uuid.uuid4().hex}"
    workers, taken = Workers(clickhouse, model), list[Loss]()
    workers.commit(0, 1000, workers.store([Answer(f"p{i}", 0.0, i * 100.0, 1.0) for i in range(10)]))
    workers.commit(1, 250, workers.store([Answer("other", 0.0, 30.0, 0.0, partition=1)]))
    cursor = take_all(clickhouse, model, UNLABELLED, Cursor(), workers.reached(), taken)
    assert [loss.prediction_id for loss in taken] == ["p0", "other", "p1", "p2"]
    # Who has had nothing for a minute, while others had, holds nobody back; its label comes late then.
    workers.rest(61)
    late = workers.store([Answer("later", 0.0, 240.0, 0.0, partition=1)])
    workers.commit(0, 1000)
    workers.rest(61)
    workers.commit(0, 1000)
    cursor = take_all(clickhouse, model, UNLABELLED, cursor, workers.reached(), taken)
    assert [loss.prediction_id for loss in taken[4:]] == [f"p{i}" for i in range(3, 10)]
    workers.commit(1, 900, late)
    take_all(clickhouse, model, UNLABELLED, cursor, workers.reached(), taken)
    assert [loss.prediction_id for loss in taken[11:]] == ["later"]


LATEST = Outcome("answer", window=timedelta(seconds=WINDOW_S), combine=Combine.LAST)
TOTAL = Outcome("answer", window=timedelta(seconds=WINDOW_S), combine=Combine.SUM)
BEST = Outcome("answer", window=timedelta(seconds=WINDOW_S), combine=Combine.MAX)


class Hearing:
    """What is taken of an outcome, by prediction: seconds since the beginning and loss. Merges fold all rows."""

    def __init__(self, clickhouse: ClickHouse, outcome: Outcome) -> None:
        self._clickhouse = clickhouse
        self._outcome = outcome
        self._model = f"m{uuid.uuid4().hex}"
        self._cursor = Cursor()
        self.workers = Workers(clickhouse, self._model)
        self.heard: list[tuple[str, float, float]] = []

    def flush(self, watermark: float, *answers: Answer) -> None:
        self.workers.commit(0, watermark, self.workers.store(answers))

    def listen(self) -> None:
        """Take what there is, from what merges leave."""
        for table in ("feedback", "actions"):
            self._clickhouse.command(f"OPTIMIZE TABLE {self._clickhouse.database}.{table} FINAL")
        while True:
            found, moved = new_losses(
                self._clickhouse, self._model, self._outcome, Kind.REGRESSION, [], self._cursor, self.workers.reached()
            )
            self.heard += [(loss.prediction_id, seconds_us(loss) / 1e6, loss.loss) for loss in found]
            if moved == self._cursor:
                return
            self._cursor = moved


@pytest.fixture
def merged(without_merges: ClickHouse, clickhouse: ClickHouse) -> Iterator[ClickHouse]:
    """Empty, and rows are folded."""
    without_merges.command(f"SYSTEM START MERGES {clickhouse.database}.feedback")
    yield clickhouse
    without_merges.command(f"SYSTEM STOP MERGES {clickhouse.database}.feedback")


def revisions(*labels: float, first: bool = False) -> list[Answer]:
    """Of one prediction at 0, predicted 1: an action every 100 s; the first of them decides, or the latest."""
    return [
        Answer("p", 0.0, 100.0 if first else 100.0 * n, label, n_actions=n, action_id="a1" if first else f"a{n}")
        for n, label in enumerate(labels, 1)
    ]


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize(("outcome", "loss"), [(TOTAL, 6.0), (BEST, 6.0)], ids=["sum", "max"])
def test_what_several_actions_make_is_heard_when_it_is_whole(
    merged: ClickHouse, outcome: Outcome, loss: float, together: bool
) -> None:
    hearing = Hearing(merged, outcome)
    for n, answer in enumerate(revisions(2.0, 4.0, 7.0), 1):
        hearing.flush(150.0 * n, answer)
        if not together:
            hearing.listen()
    assert hearing.heard == []
    hearing.flush(700.0, Answer("q", 650.0, None, None))
    hearing.listen()
    assert hearing.heard == [("p", 600.0, loss)]
    # In its window, and here when that has been heard.
    hearing.flush(800.0, Answer("p", 0.0, 500.0, 9.0, n_actions=4, action_id="a4"))
    hearing.listen()
    assert len(hearing.heard) == 1


@pytest.mark.parametrize("outcome", [TOTAL, BEST], ids=["sum", "max"])
def test_what_comes_when_the_window_is_over_is_heard_late_and_once(merged: ClickHouse, outcome: Outcome) -> None:
    hearing = Hearing(merged, outcome)
    hearing.flush(700.0, Answer("p", 0.0, None, None))
    hearing.listen()
    assert hearing.heard == []
    for n, answer in enumerate(revisions(3.0, 5.0), 1):
        hearing.flush(700.0 + n, answer.late())
        hearing.listen()
    assert hearing.heard == [("p", 600.0, 2.0)]


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_label_is_heard_with_its_first_action_and_never_again(merged: ClickHouse, first: bool) -> None:
    hearing = Hearing(merged, UNLABELLED if first else LATEST)
    for n, answer in enumerate(revisions(2.0, 4.0, 7.0, first=first), 1):
        hearing.flush(150.0 * n, answer)
        hearing.listen()
    assert hearing.heard == [("p", 100.0, 1.0)]


def test_of_actions_that_came_together_the_last_is_heard_at_the_time_of_the_first(merged: ClickHouse) -> None:
    hearing = Hearing(merged, LATEST)
    for answer in revisions(2.0, 4.0):
        hearing.flush(50.0, answer)
    hearing.listen()
    assert hearing.heard == []
    hearing.flush(150.0)
    hearing.listen()
    assert hearing.heard == [("p", 100.0, 3.0)]
    hearing.flush(900.0)
    hearing.listen()
    assert len(hearing.heard) == 1


def test_a_label_that_waits_for_silence_is_heard_once_though_actions_go_on(merged: ClickHouse) -> None:
    hearing = Hearing(merged, NEGATIVE)
    hearing.flush(150.0, *revisions(2.0))
    hearing.flush(700.0)
    hearing.listen()
    hearing.flush(800.0, Answer("p", 0.0, 500.0, 4.0, n_actions=2, action_id="a2"))
    hearing.listen()
    assert hearing.heard == [("p", 600.0, 1.0)]


def test_what_is_recomputed_stands_for_what_was_taken(clickhouse: ClickHouse) -> None:
    model = f"m{uuid.uuid4().hex}"
    workers, taken = Workers(clickhouse, model), list[Loss]()
    answers = [Answer(f"p{i}", i * 10.0, i * 10.0 + 1, 1.0) for i in range(20)]
    workers.commit(0, 5000, workers.store(answers))
    for outcome in (NEGATIVE, UNLABELLED):
        taken.clear()
        cursor = take_all(clickhouse, model, outcome, Cursor(), workers.reached(), taken)
        assert len(taken) == 20
        again = [Answer(f"p{i}", i * 10.0, i * 10.0 + 1, 0.0, n_actions=3, recomputed=True) for i in range(0, 20, 2)]
        workers.commit(0, 5000, workers.store(again))
        assert take_all(clickhouse, model, outcome, cursor, workers.reached(), taken).known_us == cursor.known_us
        assert len(taken) == 20
        taken.clear()
        take_all(clickhouse, model, outcome, Cursor(), workers.reached(), taken)
        assert [loss.loss for loss in taken] == [1.0, 0.0] * 10


@pytest.mark.parametrize(
    ("kind", "positive", "predicted", "label", "expected"),
    [
        (Kind.REGRESSION, None, 3.5, 2.0, 1.5),
        (Kind.MULTICLASS, None, 2.0, 2.0, 0.0),
        (Kind.MULTICLASS, None, 2.0, 3.0, 1.0),
        (Kind.CLASSIFICATION, None, 1.0, 0.0, 1.0),
        (Kind.CLASSIFICATION, None, 0.0, 0.0, 0.0),
        (Kind.CLASSIFICATION, Positive("", ">", 15.0), 10.0, 20.0, 1.0),
        (Kind.RANKING, None, 1.0, 1.0, 0.0),
        (Kind.RANKING, None, 1.0, 0.0, 1.0),
    ],
)
def test_a_loss_is_what_its_kind_says(
    clickhouse: ClickHouse, kind: Kind, positive: Positive | None, predicted: float, label: float, expected: float
) -> None:
    outcome = Outcome("answer", window=timedelta(seconds=WINDOW_S), positive=positive)
    model = f"m{uuid.uuid4().hex}"
    workers = Workers(clickhouse, model)
    answer = Answer("p", 0.0, 1.0, label, predicted, segments=(("country", "de"),))
    workers.commit(0, 10, workers.store([answer]))
    found, _ = new_losses(clickhouse, model, outcome, kind, ["country", "plan"], Cursor(), workers.reached())
    assert [(loss.loss, loss.segments) for loss in found] == [(expected, ("de", ""))]
    rows = losses_as_rows(clickhouse.database, model, outcome, kind, found[0].at_us)
    assert [loss for (loss,) in clickhouse.rows(f"SELECT loss FROM {rows}")] == [expected]
