"""Whatever the order, the batches and the accidents: the same feedback and the same ledger as the oracle says."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, given, settings
from loopwatch.schemas.events import Action, Prediction, Scalar
from loopwatch.schemas.headers import WATERMARK, encode_watermark
from loopwatch.schemas.outcomes import (
    Combine,
    Defaults,
    LabelRule,
    LoopwatchConfig,
    ModelConfig,
    OnTimeout,
    Outcome,
)
from loopwatch.schemas.partitioner import partition_of
from loopwatch.stream_processors.join.rules import Rules, micros
from loopwatch.stream_processors.partition import Limits

from ..simulation.log import ACTIONS, PREDICTIONS, TOPICS, Log
from ..simulation.oracle import Expected, Row, reference_join
from ..simulation.store import FeedbackRow, Store, latest
from ..simulation.worker import Cluster

# The same cases each time in CI; elsewhere new ones, and as many as asked for.
PROFILE = settings(
    max_examples=int(os.environ.get("LOOPWATCH_PROPERTY_EXAMPLES", "400")),
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
NOW_US = int((NOON + timedelta(days=1000)).timestamp()) * 1_000_000
CLOSED = NOON + timedelta(days=30)
MINUTE = timedelta(minutes=1)

CONFIG = LoopwatchConfig(
    {
        "ctr": ModelConfig(
            "ctr",
            outcomes=(
                Outcome("click", ("click", "tap"), 10 * MINUTE, OnTimeout.NEGATIVE, LabelRule.POSITIVE, Combine.FIRST),
                Outcome("clicks", ("click",), 20 * MINUTE, OnTimeout.NEGATIVE, LabelRule.POSITIVE, Combine.SUM),
                Outcome("revenue", ("purchase",), 60 * MINUTE, OnTimeout.UNLABELLED, LabelRule.VALUE, Combine.SUM),
                Outcome("best", ("purchase", "rating"), 30 * MINUTE, combine=Combine.MAX),
            ),
        ),
        "überall": ModelConfig("überall", outcomes=(Outcome("last", ("rating",), 15 * MINUTE, OnTimeout.NEGATIVE),)),
    },
    Defaults(disorder=timedelta(seconds=10), orphan_grace=40 * MINUTE),
)
MODELS = ("ctr", "überall", "never-configured", "未知")
IDS = ("a", "b", "it's \\ odd", "é☃😀", "0190b5f0-1234-7abc-8def-0123456789ab", "f", "g" * 128, "h i")
NAMES = ("click", "tap", "purchase", "rating", "shrug")
BROKEN = (b"{", b"", None, b'{"prediction_id": 7}', b"[" * 5000, b"\xff\xfe", b"\x00\x00\x00\x00\x01nope")
CLOSINGS = (-5, 11, 25, 70, 140, 1600, 4000)
DELAYS_S = (-700, -11, -10, -1, 0, 0, 1, 599, 600, 601, 900, 1199, 1800, 1801, 3600, 3601, 86_400, 86_401)


class Sent(NamedTuple):
    """A record on its way to a partition: that of its id, or one beside it."""

    topic: str
    value: bytes | None
    home: str
    beside: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class Case(NamedTuple):
    """An input, and everything that happens to it."""

    predictions: list[Prediction]
    actions: list[Action]
    broken: list[tuple[str, bytes | None]]
    records: list[Sent]
    partitions: int
    workers: int
    step: int
    limits: Limits
    flush_rows: int
    tables_in_turn: list[int]
    steps: list[tuple[Any, ...]]
    later_steps: list[tuple[Any, ...]]


@st.composite
def predictions(draw: st.DrawFn, spread_s: int) -> list[Prediction]:
    """At most one prediction of an id; some ids have none, so that actions are left over."""
    made = []
    for prediction_id in IDS:
        if draw(st.booleans()):
            ts = NOON + timedelta(seconds=draw(st.integers(0, spread_s)))
            made.append(Prediction(prediction_id, draw(st.sampled_from(MODELS)), ts, score=0.5))
    return made


VALUES: st.SearchStrategy[Scalar] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(-20, 20).map(lambda quarters: quarters / 4),
    st.sampled_from(["good", "7", ""]),
)


@st.composite
def actions(draw: st.DrawFn, made: list[Prediction]) -> list[Action]:
    """Actions of all ids at interesting distances from their prediction, each action id once a prediction."""
    at = {each.prediction_id: each.ts for each in made}
    key = st.tuples(st.sampled_from(IDS), st.sampled_from("xyzé"))
    keys = draw(st.lists(key, unique=True, min_size=draw(st.integers(0, 10)), max_size=14))
    return [
        Action(
            action_id,
            prediction_id,
            draw(st.sampled_from(NAMES)),
            at.get(prediction_id, NOON) + timedelta(seconds=draw(st.sampled_from(DELAYS_S))),
            draw(VALUES),
        )
        for prediction_id, action_id in keys
    ]


PLACES = st.integers(0, 3)
COUNTS = st.integers(1, 6)
FETCH = st.tuples(st.sampled_from(TOPICS), PLACES, COUNTS)
READ = st.tuples(st.just("read"), PLACES, FETCH) | st.tuples(st.just("read"), PLACES, FETCH, FETCH, FETCH)
STEPS = st.one_of(
    READ,
    READ,
    READ,
    READ,
    st.tuples(st.just("flush"), PLACES),
    st.tuples(st.just("seal"), PLACES),
    st.tuples(st.just("write"), PLACES, COUNTS),
    st.tuples(st.just("tear"), PLACES, st.integers(0, 15)),
    st.tuples(st.just("crash"), PLACES),
    st.tuples(st.just("sweep"), PLACES),
    st.tuples(st.just("rebalance"), PLACES),
    st.tuples(st.just("steal"), PLACES, PLACES),
    st.tuples(st.just("fetch_again"), st.sampled_from(TOPICS), PLACES, COUNTS),
    st.tuples(st.just("merge")),
)
IDLE = st.tuples(st.just("idle"), PLACES, st.booleans())


@st.composite
def steps(draw: st.DrawFn, most: int, *, idling: bool) -> list[tuple[Any, ...]]:
    """What happens, as often much as little: left alone, hypothesis likes it quiet."""
    least = draw(st.integers(0, most))
    return draw(st.lists(STEPS | IDLE if idling else STEPS, min_size=least, max_size=most))


@st.composite
def cases(draw: st.DrawFn, *, spread_s: int, watermarks: bool) -> Case:
    """Everything: what is sent, where to, in which order, and what happens on the way."""
    made = draw(predictions(spread_s))
    acted = draw(actions(made))
    again = draw(st.lists(st.sampled_from([*made, *acted]), max_size=6)) if made or acted else []
    broken = draw(st.lists(st.tuples(st.sampled_from(TOPICS), st.sampled_from(BROKEN)), max_size=3))
    sent_predictions = made + [each for each in again if isinstance(each, Prediction)]
    sent_actions = acted + [each for each in again if isinstance(each, Action)]
    beside = st.sampled_from((0, 0, 0, 1, 2))
    sent = [Sent(PREDICTIONS, msgspec.json.encode(e), e.prediction_id, draw(beside)) for e in sent_predictions]
    sent += [Sent(ACTIONS, msgspec.json.encode(e), e.prediction_id, draw(beside)) for e in sent_actions]
    sent += [Sent(topic, value, "a") for topic, value in broken]
    if watermarks:
        for home, minutes in draw(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(CLOSINGS)), max_size=8)):
            headers = ((WATERMARK, encode_watermark(NOON + minutes * MINUTE)),)
            sent += [Sent(topic, None, home, 0, headers) for topic in TOPICS]
    records = draw(st.permutations(sent))
    limits = Limits(
        hot_bytes=draw(st.sampled_from((1 << 30, 700, 0))),
        held_actions=draw(st.sampled_from((1000, 2, 0))),
        known_ids=draw(st.sampled_from((1000, 3))),
        poison_window=1 << 30,
    )
    return Case(
        sent_predictions,
        sent_actions,
        broken,
        records,
        draw(st.integers(1, 4)),
        draw(st.integers(1, 3)),
        draw(st.sampled_from((1, 3))),
        limits,
        draw(st.sampled_from((1000, 3))),
        draw(st.lists(st.integers(0, 3), min_size=1, max_size=7)),
        draw(steps(60, idling=watermarks)),
        draw(steps(30, idling=True)),
    )


def run(case: Case) -> Cluster:
    """Send the records, let happen what happens, close every window, and let the workers finish."""
    log = Log(case.partitions, case.step)
    rules = Rules(CONFIG)
    store = Store(log, micros(timedelta(days=1)), case.tables_in_turn)
    for sent in case.records:
        partition = (partition_of(sent.home, case.partitions) + sent.beside) % case.partitions
        log.append(sent.topic, partition, sent.value, None, sent.headers)
    cluster = Cluster(case.workers, store, log, rules, case.limits, NOW_US, case.flush_rows)
    happen(cluster, case.steps)
    cluster.finish()
    for topic in TOPICS:
        for partition in range(case.partitions):
            log.append(topic, partition, None, None, ((WATERMARK, encode_watermark(CLOSED)),))
    happen(cluster, case.later_steps)
    cluster.finish()
    cluster.idle()
    return cluster


def happen(cluster: Cluster, steps: list[tuple[Any, ...]]) -> None:
    """Take the steps of a case."""
    doing: dict[str, Callable[..., None]] = {
        "read": cluster.read,
        "seal": cluster.seal,
        "write": cluster.write,
        "flush": cluster.flush,
        "tear": cluster.tear,
        "crash": cluster.crash,
        "sweep": cluster.sweep,
        "rebalance": cluster.rebalance,
        "steal": cluster.steal,
        "fetch_again": cluster.fetch_again,
        "merge": cluster.store.merge,
        "idle": cluster.set_idle,
    }
    for name, *arguments in steps:
        doing[name](*arguments)


def folded(status: str) -> str:
    """The class or status that doesn't depend on when things arrived."""
    return {"revised": "matched", "late_revised": "matched"}.get(status, status)


def folded_row(row: FeedbackRow, fold: Callable[[str], str]) -> Row:
    """A row of feedback as the oracle says it."""
    return (fold(row.status), row.label, row.label_value, row.action_id, row.n_actions)


def check_tables(store: Store, expected: Expected, fold: Callable[[str], str]) -> None:
    """Rows as the oracle says, none doubled, none lost."""
    assert {key: len(rows) for key, rows in store.predictions.items() if len(rows) != 1} == {}
    assert {key: len(rows) for key, rows in store.actions.items() if len(rows) != 1} == {}
    assert len(set(store.dead_letters)) == len(store.dead_letters)
    known = {key: folded_row(row, fold) for key, row in store.feedback_now().items()}
    assert known == expected.feedback
    published = {key: folded_row(latest(rows), fold) for key, rows in store.published.items()}
    assert published == expected.feedback
    classes = {key: store.class_now(row) for key, (row,) in store.actions.items()}
    assert {key: (fold(now[0]), *now[1:]) for key, now in classes.items()} == expected.actions


def check_ledger(case: Case, store: Store, expected: Expected) -> None:
    """The ledger says what was sent, stretch by stretch, and its sums reconcile."""
    by_class: dict[bool, Counter[tuple[str, str]]] = {False: Counter(), True: Counter()}
    for block in store.ledger:
        for (model, _, event_class), n in block.counts.items():
            by_class[block.mark.of_actions][model, event_class] += n
    of_predictions, of_actions = by_class[False], by_class[True]
    broken = Counter(topic for topic, _ in case.broken)
    for (model, event_class), n in expected.predictions.items():
        assert of_predictions[model, event_class] == n, (model, event_class)
        assert (
            of_predictions[model, "received"] == of_predictions[model, "accepted"] + of_predictions[model, "duplicate"]
        )
    for topic, counts in ((PREDICTIONS, of_predictions), (ACTIONS, of_actions)):
        assert counts["", "invalid"] == broken[topic]
        assert sum(1 for of, _, _ in store.dead_letters if of == topic) == broken[topic]
    received = _total(of_actions, "received")
    assert received == len(case.actions) + broken[ACTIONS]
    assert _total(of_actions, "duplicate") == expected.action_duplicates
    assert received == broken[ACTIONS] + _total(of_actions, "duplicate") + len(store.actions)
    misrouted = Counter(
        sent.topic for sent in case.records if sent.beside % case.partitions and not sent.headers and sent.value
    )
    for topic, counts in ((PREDICTIONS, of_predictions), (ACTIONS, of_actions)):
        assert _total(counts, "forwarded") == misrouted[topic]
    _check_stretches(store)


def _check_stretches(store: Store) -> None:
    """Every offset is covered once."""
    for topic in TOPICS:
        for partition in range(store.log.partitions):
            marks = sorted(
                (block.mark.first_offset, block.mark.last_offset)
                for block in store.ledger
                if (block.mark.topic, block.mark.partition) == (topic, partition)
            )
            assert all(before[1] < after[0] for before, after in pairwise(marks))
            records = store.log.read(topic, partition, 0, 1 << 30)
            covered = [r for r in records if any(first <= r.offset <= last for first, last in marks)]
            assert covered == records


def _total(counts: Counter[tuple[str, str]], event_class: str) -> int:
    return sum(n for (_, each), n in counts.items() if each == event_class)


def check_memory(cluster: Cluster) -> None:
    """When every window has closed and all is stored, nothing is left in memory."""
    for worker in cluster.workers:
        for processor in worker.partitions.values():
            join = processor.join
            assert (join.hot.entries, join.hot.n_acted) == ({}, 0)
            assert (join.held.entries, join.held.n_actions) == ({}, 0)
            assert len(join.sweeps) == 0


def check_revisions(store: Store) -> None:
    """A revision of a key says one thing, wherever it is said."""
    for rows in (*[[row for row, _ in rows] for rows in store.feedback.values()], *store.published.values()):
        said: dict[int, Any] = {}
        for row in rows:
            assert said.setdefault(row.revision, row) == row


@PROFILE
@given(cases(spread_s=60, watermarks=False))
def test_the_join_equals_the_oracle_when_windows_close_only_at_the_end(case: Case) -> None:
    cluster = run(case)
    expected = reference_join(CONFIG, case.predictions, case.actions)
    check_tables(cluster.store, expected, str)
    check_ledger(case, cluster.store, expected)
    check_revisions(cluster.store)
    check_memory(cluster)


@PROFILE
@given(cases(spread_s=7200, watermarks=True))
def test_the_join_equals_the_oracle_when_watermarks_close_windows_too_early(case: Case) -> None:
    cluster = run(case)
    expected = reference_join(CONFIG, case.predictions, case.actions)
    check_tables(cluster.store, expected, folded)
    check_ledger(case, cluster.store, expected)
    check_revisions(cluster.store)
    check_memory(cluster)
