"""What the present rules say of stored predictions, beside what is written: case by case."""

from datetime import timedelta
from typing import Any

from loopwatch.schemas.outcomes import LoopwatchConfig, ModelConfig, OnTimeout, Outcome
from loopwatch.stream_processors.join.epochs import Epochs, revision_of
from loopwatch.stream_processors.join.join import PartitionJoin
from loopwatch.stream_processors.join.output import Output
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import Acted, Stored, StoredPrediction
from loopwatch.stream_processors.recompute.derive import Answer, Derived, Written, derive

from ..simulation.events import action, us

HOUR_S = 3600
CONFIG = LoopwatchConfig(
    {
        "m": ModelConfig(
            "m",
            outcomes=(
                Outcome("click", ("click",), timedelta(hours=2), OnTimeout.NEGATIVE),
                Outcome("buy", ("buy",), timedelta(hours=1)),
            ),
        )
    }
)
RULES = Rules(CONFIG, Epochs({("m", "click"): 1}))
TIMED_OUT = Answer(revision_of(0, 0, True), "expired", "negative", 0.0, None, 0)


def stored(*actions: Acted, expired: tuple[str, ...] = (), outdated: tuple[str, ...] = ()) -> Stored:
    prediction = StoredPrediction(
        ts_us=us(0), accepted_us=0, model="m", version="", prediction=None, score=None, segments=None, variants=None,
        expired=frozenset(expired), outdated=frozenset(outdated),
    )  # fmt: skip
    return Stored(prediction, list(actions))


def acted(action_id: str, seconds: float, name: str = "click", value: Any = None) -> Acted:
    return Acted(action_id, name, us(seconds), value, 0)


def derived(
    at_s: float,
    found: Stored,
    answers: dict[str, Answer] | None = None,
    classes: dict[str, tuple[str, str]] | None = None,
    outcome: str | None = None,
) -> Derived:
    """What is derived of prediction p when the watermark is some seconds after it."""
    written = Written(
        {("p", name): answer for name, answer in (answers or {}).items()},
        {("p", action_id): is_now for action_id, is_now in (classes or {}).items()},
    )
    return derive(RULES, [us(at_s)], {"p": found}, written, outcome)


def says(result: Derived) -> list[tuple[str, str, str | None, int]]:
    return [(row.outcome, str(row.status), row.label, row.revision) for row in result.rows]


def test_a_window_that_ended_is_timed_out_under_the_present_rule() -> None:
    result = derived(3 * HOUR_S, stored(expired=("buy",), outdated=("click",)), {"click": TIMED_OUT, "buy": TIMED_OUT})
    assert says(result) == [("click", "expired", "negative", revision_of(1, 0, True))]
    assert result.changed == []


def test_a_window_that_ends_later_now_takes_its_timeout_back() -> None:
    result = derived(1.5 * HOUR_S, stored(expired=("buy",), outdated=("click",)), {"click": TIMED_OUT})
    assert says(result) == [("click", "pending", None, revision_of(1, 0, False))]
    assert result.changed == result.rows


def test_what_waits_and_never_had_a_row_gets_none() -> None:
    assert derived(60, stored()) == Derived([], [], [])


def test_an_action_that_counts_now_answers_and_has_another_class() -> None:
    result = derived(
        3 * HOUR_S, stored(acted("a", 1.5 * HOUR_S, value="good"), expired=("buy",), outdated=("click",)),
        {"click": TIMED_OUT}, {"a": ("ignored", "outside_window")},
    )  # fmt: skip
    assert says(result) == [("click", "matched", "good", revision_of(1, 1, False))]
    assert result.changed == result.rows
    assert [(row.action_id, row.action_class, row.reason) for row in result.settled] == [("a", "matched", None)]


def test_an_action_that_counts_no_more_is_ignored_for_a_reason() -> None:
    before = Answer(revision_of(0, 1, False), "matched", "true", 1.0, "a", 1)
    result = derived(
        9 * HOUR_S, stored(acted("a", 8 * HOUR_S), expired=("buy",), outdated=("click",)),
        {"click": before}, {"a": ("matched", "")},
    )  # fmt: skip
    assert says(result) == [("click", "expired", "negative", revision_of(1, 0, True))]
    assert [(row.action_class, row.reason) for row in result.settled] == [("ignored", "outside_window")]


def test_an_outcome_that_is_new_is_answered_for_what_was_there_before() -> None:
    result = derived(3 * HOUR_S, stored(acted("a", 60, "buy")), {"click": TIMED_OUT}, {"a": ("ignored", "no_outcome")})
    assert ("buy", "matched", "true", revision_of(0, 1, False)) in says(result)


def test_a_worker_that_knew_more_is_right() -> None:
    ahead = Answer(revision_of(1, 2, False), "matched", "later", None, "b", 2)
    result = derived(3 * HOUR_S, stored(acted("a", 60), expired=("buy",)), {"click": ahead}, {"a": ("matched", "")})
    assert result == Derived([], [], [])


def test_what_was_revised_under_this_rule_is_said_to_be_revised() -> None:
    result = derived(3 * HOUR_S, stored(acted("a", 60), expired=("click", "buy")), classes={"a": ("late_revised", "")})
    assert says(result) == [("click", "revised", "true", revision_of(1, 1, True))]
    assert result.settled == []


def test_an_action_that_waits_for_its_prediction_is_left_to_the_worker() -> None:
    for waits in ("held", "orphan"):
        assert derived(60, stored(acted("a", 30)), classes={"a": (waits, "")}).settled == []


def test_an_action_that_came_after_the_retention_counts_for_nothing_ever() -> None:
    retired = Acted("a", "click", us(60), None, 0, retired=True)
    result = derived(3 * HOUR_S, stored(retired, outdated=("click",)), classes={"a": ("ignored", "after_retention")})
    assert [row[:2] for row in says(result)] == [("click", "expired"), ("buy", "expired")]
    assert result.settled == []


def test_one_outcome_alone() -> None:
    result = derived(3 * HOUR_S, stored(outdated=("click",)), outcome="click")
    assert [row.outcome for row in result.rows] == ["click"]


def late_action(found: Stored, at_s: float) -> Output:
    """What the join says when an action comes for a prediction that it has to look up."""
    join, out = PartitionJoin(0, RULES), Output()
    join.watermark.us = us(at_s)
    join.actions([7], [us(0.75 * HOUR_S)], [action("p", "late", 0.75 * HOUR_S)], {"p": found}, out, 1)
    join.settle(us(at_s), out, 1)
    return out


def test_a_late_action_has_a_former_answer_derived_again_from_all_actions() -> None:
    found = stored(acted("a", 1.5 * HOUR_S, value=1), expired=("buy",), outdated=("click",))
    (row,) = late_action(found, 3 * HOUR_S).outcomes
    assert (row.status, row.label, row.n_actions, row.revision) == ("matched", "1", 2, revision_of(1, 2, False))
    assert (row.from_action, row.offset) == (True, 7)


def test_a_lookup_for_one_outcome_brings_the_others_to_their_rules_too() -> None:
    join, out = PartitionJoin(0, RULES), Output()
    join.watermark.us = us(1.5 * HOUR_S)
    found = stored(acted("a", 60, "buy"), outdated=("click",))
    join.actions([7], [us(120)], [action("p", "b", 120, "buy")], {"p": found}, out, 1)
    join.settle(us(1.5 * HOUR_S), out, 1)
    assert [(row.outcome, str(row.status), row.from_action) for row in out.outcomes] == [
        ("buy", "matched", True),
        ("click", "pending", False),
    ]
    # It waits again: the timeout comes when the window ends.
    join.watermark.us = us(2 * HOUR_S + 2)
    join.settle(us(3 * HOUR_S), out, 2)
    assert (out.outcomes[-1].outcome, str(out.outcomes[-1].status)) == ("click", "expired")


def test_rows_that_no_event_caused_are_said_again_unless_their_rule_is_gone() -> None:
    join, out = PartitionJoin(0, RULES), Output()
    join.watermark.us = us(1.5 * HOUR_S)
    matched, gone = revision_of(1, 1, False), revision_of(0, 0, True)
    join.repeat([("p", "click", matched), ("p", "click", gone)], {"p": stored(acted("a", 60), expired=("buy",))}, 1)
    join.settle(us(1.5 * HOUR_S), out, 1)
    assert [(row.outcome, row.revision, row.from_action) for row in out.outcomes] == [("click", matched, False)]
