"""The join of one partition, case by case."""

from collections.abc import Mapping
from datetime import timedelta

from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.outcomes import Combine, LabelRule, LoopwatchConfig, ModelConfig, OnTimeout, Outcome
from loopwatch.stream_processors.join.join import PartitionJoin
from loopwatch.stream_processors.join.output import Output
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import Acted, Stored, StoredPrediction

from ..simulation.events import SECOND, action, prediction, us

NOW_US = us(10**9)
HOUR = timedelta(hours=1)
CONFIG = LoopwatchConfig(
    {
        "m": ModelConfig(
            "m",
            outcomes=(
                Outcome("click", ("click",), HOUR, OnTimeout.NEGATIVE, LabelRule.POSITIVE),
                Outcome("revenue", ("purchase",), 2 * HOUR, OnTimeout.UNLABELLED, LabelRule.VALUE, Combine.SUM),
            ),
            retention=24 * HOUR,
        )
    }
)


class Story:
    """A join with a flush open: tell it what comes, and see what it says."""

    def __init__(self, **limits: int) -> None:
        self.join = PartitionJoin(0, Rules(CONFIG), **limits)
        self.out = Output()
        self.accepted: list[Prediction] = []
        self.flush = 1
        self._offset = 0

    def comes(self, *events: Prediction | Action, stored: Mapping[str, Stored] | None = None) -> "Story":
        for event in events:
            at, ts_us = [self._offset], [us((event.ts - prediction("").ts).total_seconds())]
            if isinstance(event, Prediction):
                self.accepted += self.join.predictions(at, ts_us, [event], stored or {}, self.out, self.flush).events
            else:
                self.join.actions(at, ts_us, [event], stored or {}, self.out, self.flush)
            self._offset += 1
        return self

    def passes(self, seconds: float) -> "Story":
        """The watermark passes an instant, and the flush is sealed; it is not stored yet."""
        for clock in (self.join.watermark.predictions, self.join.watermark.actions):
            clock.closed_us = us(seconds)
        self.join.settle(NOW_US, self.out, self.flush)
        self.flush += 1
        return self

    def is_stored(self) -> "Story":
        self.join.stored(self.flush - 1)
        return self

    def says(self) -> list[tuple[str, str, str | None, int]]:
        """Outcome, status, label and revision of the rows so far."""
        return [(row.outcome, str(row.status), row.label, row.revision) for row in self.out.outcomes]

    def classes(self) -> list[tuple[str, str, str]]:
        """Action id, class and reason, at arrival and then as they were settled."""
        rows = [(row.event.action_id, row.action_class, row.reason) for row in self.out.actions]
        rows += [(row.action_id, row.action_class, row.reason) for row in self.out.settled]
        return [(action_id, str(action_class), str(reason or "")) for action_id, action_class, reason in rows]

    def counted(self, event_class: str) -> int:
        return sum(n for count, n in self.out.counts.items() if count.event_class == event_class)


def stored(seconds: float = 0, expired: frozenset[str] = frozenset()) -> Stored:
    return Stored(
        StoredPrediction(
            ts_us=us(seconds), accepted_us=0, model="m", version="", prediction=None, score=None,
            segments=None, variants=None, expired=expired,
        )
    )  # fmt: skip


def test_an_action_in_its_window_matches() -> None:
    story = Story().comes(prediction("p"), action("p", "a", 5)).passes(6)
    assert story.says()[0][:3] == ("click", "matched", "positive")
    assert story.classes() == [("a", "matched", "")]


def test_each_outcome_times_out_at_the_end_of_its_own_window() -> None:
    story = Story().comes(prediction("p")).passes(3602)
    assert [row[:3] for row in story.says()] == [("click", "expired", "negative")]
    story.passes(7202)
    assert [row[:3] for row in story.says()][1:] == [("revenue", "expired", None)]


def test_an_action_after_the_timeout_revises_it() -> None:
    story = Story().comes(prediction("p")).passes(7202).comes(action("p", "a", 5)).passes(7203)
    assert story.says()[-1][:3] == ("click", "revised", "positive")
    assert story.says()[-1][3] > story.says()[0][3]
    assert story.classes() == [("a", "late_revised", "")]


def test_an_action_after_the_retention_counts_for_nothing() -> None:
    story = Story().comes(prediction("p")).passes(7200 + 86_400 + 2).comes(action("p", "a", 5)).passes(200_000)
    assert story.classes() == [("a", "ignored", "after_retention")]
    assert {row[1] for row in story.says()} == {"expired"}


def test_an_action_outside_every_window_is_ignored() -> None:
    story = Story().comes(prediction("p"), action("p", "late", 3601), action("p", "early", -11))
    assert story.classes() == [("late", "ignored", "outside_window"), ("early", "ignored", "outside_window")]


def test_the_edges_of_a_window_are_inside() -> None:
    story = Story().comes(prediction("p"), action("p", "last", 3600), action("p", "first", -10))
    assert story.classes() == [("last", "matched", ""), ("first", "matched", "")]


def test_an_action_that_no_outcome_names_is_ignored() -> None:
    assert Story().comes(prediction("p"), action("p", "a", 1, "shrug")).classes() == [("a", "ignored", "no_outcome")]


def test_a_duplicate_changes_nothing_and_is_counted() -> None:
    story = Story().comes(prediction("p"), prediction("p"), action("p", "a", 5), action("p", "a", 5))
    assert (len(story.accepted), len(story.out.actions), story.counted("duplicate")) == (1, 1, 2)


def test_a_duplicate_of_what_left_memory_is_found_by_lookup() -> None:
    story = Story().comes(prediction("p"), stored={"p": stored()})
    assert (len(story.accepted), story.counted("duplicate")) == (0, 1)


def test_several_actions_are_combined_and_each_change_is_a_higher_revision() -> None:
    story = Story().comes(prediction("p"))
    for number, value in enumerate((10, 2.5), start=1):
        story.comes(action("p", str(number), number, "purchase", value)).passes(number)
    assert [row[2] for row in story.says()] == ["10", "12.5"]
    assert story.says()[0][3] < story.says()[1][3]


def test_an_action_before_its_prediction_waits_and_then_matches() -> None:
    story = Story().comes(action("p", "a", 5), prediction("p")).passes(6)
    assert story.classes() == [("a", "held", ""), ("a", "matched", "")]
    assert (story.join.held.entries, story.join.held.n_actions) == ({}, 0)


def test_an_action_without_a_prediction_becomes_an_orphan_and_leaves_memory() -> None:
    story = Story().comes(action("p", "a", 5)).passes(3700)
    assert story.classes()[-1] == ("a", "orphan", "")
    assert story.join.held.n_actions == 1
    story.is_stored()
    assert (story.join.held.entries, story.join.held.n_actions) == ({}, 0)


def test_an_action_that_joins_an_orphan_not_yet_stored_becomes_one_too() -> None:
    story = Story().comes(action("p", "a", 100)).passes(10_000).comes(action("p", "b", 50)).is_stored()
    story.passes(10_001).passes(10_003).is_stored()
    assert story.classes()[-2:] == [("a", "orphan", ""), ("b", "orphan", "")]
    assert (story.join.held.entries, story.join.held.n_actions) == ({}, 0)


def test_over_the_limit_of_held_actions_the_oldest_become_orphans_early() -> None:
    story = Story(held_limit=1).comes(action("p", "a"), action("q", "b")).passes(1)
    assert story.classes()[2:] == [("a", "orphan", "")]


def test_an_orphan_whose_prediction_comes_at_last_stops_being_one() -> None:
    story = Story().comes(action("p", "a", 5)).passes(3700).is_stored()
    found = Stored(actions=[Acted("a", "click", us(5), None, 0)])
    assert story.join.unknown_to_memory(["p"]) == ["p"]
    story.comes(prediction("p"), stored={"p": found}).passes(3701)
    assert story.classes()[-1] == ("a", "matched", "")
    assert ("click", "matched") in [row[:2] for row in story.says()]


def test_a_prediction_of_which_more_is_in_clickhouse_than_is_held_needs_a_lookup() -> None:
    orphan = {"p": Stored(actions=[Acted("a", "click", us(5), None, 0)])}
    story = Story().comes(action("p", "b", 6), stored=orphan).comes(action("new", "c"))
    assert story.join.unknown_to_memory(["p", "new"]) == ["p"]
    story.comes(prediction("p"), stored=orphan)
    assert {row[0] for row in story.classes() if row[1] == "matched"} == {"a", "b"}


def test_an_action_for_a_prediction_in_clickhouse_brings_it_back() -> None:
    story = Story().comes(action("p", "a", 5), stored={"p": stored(expired=frozenset({"click"}))}).passes(6)
    assert story.says()[0][:3] == ("click", "revised", "positive")
    assert story.classes() == [("a", "late_revised", "")]


def test_a_new_prediction_needs_no_lookup_and_one_that_left_memory_does() -> None:
    story = Story(hot_bytes=0).comes(prediction("p"))
    assert story.join.unknown_to_memory(["p", "new"]) == []
    story.passes(1).is_stored()
    assert story.join.unknown_to_memory(["p", "p", "new"]) == ["p"]


def test_nothing_leaves_memory_before_it_is_stored() -> None:
    story = Story(hot_bytes=0).comes(prediction("p")).passes(1)
    assert list(story.join.hot.entries) == ["p"]
    story.is_stored()
    assert not story.join.hot.entries


def test_an_evicted_prediction_is_swept_when_its_window_has_passed() -> None:
    story = Story(hot_bytes=0).comes(prediction("p")).passes(1).is_stored().passes(4000)
    assert story.join.settled_us <= us(3600)
    (sweep,) = story.join.sweeps.due(story.join.watermark.us)
    assert (sweep.outcome, sweep.from_us) == ("click", us(0))
    story.join.load("p", stored(), story.flush)
    story.passes(4001)
    assert story.says()[-1][:2] == ("click", "expired")
    story.join.sweeps.done(sweep)


def test_when_every_window_has_passed_nothing_is_left_in_memory() -> None:
    story = Story().comes(prediction("p"), action("p", "a", 5), prediction("q"), action("r", "b"))
    story.passes(100_000).is_stored()
    join = story.join
    assert (join.hot.entries, join.hot.size_bytes, join.held.entries, join.held.n_actions, len(join.sweeps)) == (
        {},
        0,
        {},
        0,
        0,
    )


def test_a_late_action_for_a_closed_prediction_does_not_stay_in_memory() -> None:
    story = Story().passes(100_000)
    found = {"p": stored(expired=frozenset({"click", "revenue"}))}
    story.comes(action("p", "a", 5), stored=found).passes(100_001).is_stored()
    assert story.join.hot.entries == {}


def test_a_prediction_that_comes_after_its_windows_times_out_with_the_same_flush() -> None:
    story = Story().passes(100_000).comes(prediction("p")).passes(100_001)
    assert [row[:2] for row in story.says()] == [("click", "expired"), ("revenue", "expired")]


def test_a_backfilled_prediction_has_its_retention_from_when_it_came() -> None:
    story = Story().passes(10**7).comes(prediction("p")).passes(10**7 + 2)
    story.comes(action("p", "a", 5)).passes(10**7 + 3)
    assert story.classes() == [("a", "late_revised", "")]
    story.passes(10**7 + 86_400 + 10).comes(action("p", "b", 6))
    assert story.classes()[-1] == ("b", "ignored", "after_retention")


def test_event_times_count_to_the_microsecond() -> None:
    story = Story()
    story.join.predictions([0], [us(0)], [prediction("p")], {}, story.out, 1)
    for offset, delay_us in enumerate((3600 * SECOND, 3600 * SECOND + 1)):
        story.join.actions([offset], [us(0) + delay_us], [action("p", str(offset))], {}, story.out, 1)
    assert story.classes() == [("0", "matched", ""), ("1", "ignored", "outside_window")]
