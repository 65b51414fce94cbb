"""A rule that changes in the middle, at any point, and recomputing after it: as if it had held from the beginning."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import given
from loopwatch.schemas.headers import WATERMARK, encode_watermark
from loopwatch.schemas.outcomes import Combine, Defaults, LabelRule, LoopwatchConfig, ModelConfig, OnTimeout, Outcome
from loopwatch.schemas.partitioner import partition_of
from loopwatch.stream_processors.join.rules import Rules, micros
from loopwatch.stream_processors.rule_epochs import epochs_of, present_rules

from ..simulation.events import SECOND
from ..simulation.log import TOPICS, Log
from ..simulation.oracle import Expected, reference_join
from ..simulation.store import Store
from ..simulation.worker import Cluster
from .test_join_properties import (
    CLOSED,
    COUNTS,
    IDLE,
    MINUTE,
    NAMES,
    NOW_US,
    PLACES,
    PROFILE,
    STEPS,
    Case,
    cases,
    check_ledger,
    check_memory,
    check_revisions,
    check_tables,
    folded,
    folded_row,
    happen,
)

WINDOWS = [minutes * MINUTE for minutes in (5, 10, 20, 30, 60, 1440)]
ACTIONS = st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple)


@st.composite
def outcomes(draw: st.DrawFn, names: tuple[str, ...]) -> tuple[Outcome, ...]:
    """Some outcomes, of any rules."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True))
    return tuple(
        Outcome(
            name,
            draw(ACTIONS),
            draw(st.sampled_from(WINDOWS)),
            draw(st.sampled_from(OnTimeout)),
            draw(st.sampled_from(LabelRule)),
            draw(st.sampled_from(Combine)),
        )
        for name in chosen
    )


@st.composite
def configs(draw: st.DrawFn) -> LoopwatchConfig:
    """Two models that may be configured, one of them with an outcome that models have without."""
    models = {}
    for name, named in (("ctr", ("click", "revenue", "best")), ("überall", ("default", "last"))):
        if draw(st.integers(0, 3)):
            models[name] = ModelConfig(name, outcomes=draw(outcomes(named)))
    disorder = timedelta(seconds=draw(st.sampled_from((10, 10, 10, 0))))
    return LoopwatchConfig(models, Defaults(disorder=disorder, orphan_grace=40 * MINUTE))


RESTART = st.tuples(st.just("restart"), PLACES)
RECOMPUTE = st.tuples(st.just("recompute"), COUNTS, st.integers(0, 3))
CHANGING = st.lists(STEPS | STEPS | IDLE | RESTART | RECOMPUTE, max_size=40)


def start(case: Case, rules: Rules) -> Cluster:
    """Workers that live with some rules for a while."""
    log = Log(case.partitions, case.step)
    store = Store(log, micros(timedelta(days=1)), case.tables_in_turn)
    for sent in case.records:
        partition = (partition_of(sent.home, case.partitions) + sent.beside) % case.partitions
        log.append(sent.topic, partition, sent.value, None, sent.headers)
    cluster = Cluster(case.workers, store, log, rules, case.limits, NOW_US, case.flush_rows)
    happen(cluster, case.steps)
    return cluster


def change(cluster: Cluster, rules: Rules, changing: list[tuple[Any, ...]]) -> None:
    """Start the workers anew with other rules, one by one; somebody recomputes too early, and stops in the middle."""
    for name, *arguments in changing:
        if name == "restart":
            cluster.restart(arguments[0], rules)
        elif name == "recompute":
            portion, parts = arguments
            cluster.store.write_derived(cluster.store.derive(rules, portion), parts)
        else:
            happen(cluster, [(name, *arguments)])
    for index in range(len(cluster.workers)):
        cluster.restart(index, rules)


def close(cluster: Cluster) -> None:
    """End every window, and let the workers finish."""
    for topic in TOPICS:
        for partition in range(cluster.log.partitions):
            cluster.log.append(topic, partition, None, None, ((WATERMARK, encode_watermark(CLOSED)),))
    cluster.finish()
    cluster.idle()


def check_meanwhile(cluster: Cluster, expected: Expected, case: Case, config: LoopwatchConfig) -> None:
    """Before the windows have closed: what counts has answered, and only what had ended by then is expired."""
    store = cluster.store
    now = {key: folded_row(row, folded) for key, row in store.feedback_now().items()}
    made = {each.prediction_id: each for each in reversed(case.predictions)}
    joins = {of: processor.join for worker in cluster.workers for of, processor in worker.partitions.items()}
    clocks = [clock for join in joins.values() for clock in (join.watermark.predictions, join.watermark.actions)]
    # Recomputing goes by other partitions where one has no watermark yet.
    reached_us = max(max(clock.max_ts_us, clock.closed_us) for clock in clocks)
    for key, row in expected.feedback.items():
        model, outcome, prediction_id = key
        (rule,) = [each for each in config.for_model(model).outcomes if each.name == outcome]
        ends_us = int((made[prediction_id].ts + rule.window).timestamp()) * 1_000_000
        if row[0] == "matched" or key in now:
            assert now.get(key) == row
        if row[0] == "expired":
            if key in now:
                assert ends_us <= reached_us
            else:
                assert ends_us >= joins[partition_of(prediction_id, case.partitions)].settled_us - SECOND


@PROFILE
@given(cases(spread_s=7200, watermarks=True), configs(), configs(), CHANGING)
def test_recomputing_after_a_rule_changed_is_as_if_it_had_always_held(
    case: Case, old: LoopwatchConfig, new: LoopwatchConfig, changing: list[tuple[Any, ...]]
) -> None:
    known = present_rules({}, old)
    before, after = Rules(old, epochs_of(known)), Rules(new, epochs_of(present_rules(known, new)))
    expected = reference_join(new, case.predictions, case.actions)
    cluster = start(case, before)
    store = cluster.store
    change(cluster, after, changing)
    derived = store.derive(after)
    # Workers go on while it is being written.
    happen(cluster, case.later_steps)
    store.write_derived(derived)
    cluster.finish()
    for key in [key for key in store.feedback if key[1] not in _named(new, key[0])]:
        del store.feedback[key]
        store.published.pop(key, None)
    check_meanwhile(cluster, expected, case, new)

    close(cluster)
    check_tables(store, expected, folded)
    check_ledger(case, store, expected)
    check_revisions(store)
    check_memory(cluster)
    again = store.derive(after)
    assert (again.rows, again.changed, again.settled) == ([], [], [])


def _named(config: LoopwatchConfig, model: str) -> set[str]:
    return {outcome.name for outcome in config.for_model(model).outcomes}
