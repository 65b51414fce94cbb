"""Small parts of the monitors: when positions were, what is usual, and what explains that a mean changed."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopwatch.detectors.root_cause import Part, contributions
from loopwatch.schemas.examples import SIGNAL
from loopwatch.schemas.signals import Signal
from loopwatch.stream_processors.monitor.loss_stream import LossStream
from loopwatch.stream_processors.monitor.reached import Reached
from loopwatch.stream_processors.monitor.signals import signal_id_of
from loopwatch.stream_processors.monitor.timeline import Timeline
from loopwatch.stream_processors.monitor.usual import Usual
from msgspec import json as msgspec_json

DAY_S, HOUR_S = 86_400, 3600
PARTS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.tuples(st.integers(0, 1000), st.floats(-1e3, 1e3)).map(lambda each: Part(each[0], each[0] * each[1])),
)


@given(PARTS, PARTS)
def test_contributions_sum_to_the_difference_of_the_means(before: dict[str, Part], since: dict[str, Part]) -> None:
    found = contributions(before, since)
    sides = [
        (sum(part.n for part in side.values()), sum(part.total for part in side.values())) for side in (before, since)
    ]
    if not all(n for n, _ in sides):
        assert found == []
        return
    (n_before, total_before), (n_since, total_since) = sides
    difference = total_since / n_since - total_before / n_before
    assert math.fsum(each.total for each in found) == pytest.approx(difference, abs=1e-6)
    assert {each.name for each in found} == {name for side in (before, since) for name, part in side.items() if part.n}
    sizes = [abs(each.total) for each in found]
    assert sizes == sorted(sizes, reverse=True)


def test_a_slice_that_grows_explains_what_it_is_unlike_the_rest() -> None:
    before = {"de": Part(900, 90.0), "us": Part(100, 50.0)}
    since = {"de": Part(500, 50.0), "us": Part(500, 250.0)}
    found = {each.name: each for each in contributions(before, since)}
    assert all(each.within == 0 for each in found.values())
    assert found["de"].mix > 0
    assert found["us"].mix > 0


def test_a_slice_that_is_new_or_gone_explains_by_its_mix_alone() -> None:
    found = {each.name: each for each in contributions({"a": Part(10, 1.0), "b": Part(10, 9.0)}, {"b": Part(20, 18.0)})}
    assert found["a"].within == 0
    assert found["a"].mix + found["b"].total == pytest.approx(0.9 - 0.5)


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=3000), st.integers(1, 700), st.randoms())
def test_a_timeline_never_goes_back_and_is_the_same_however_it_is_fed(
    instants: list[int], size: int, rnd: random.Random
) -> None:
    one, other = Timeline(), Timeline()
    one.add(instants)
    for start in range(0, len(instants), size):
        other.add(instants[start : start + size])
        other = Timeline.restore(json.loads(json.dumps(other.snapshot())))
    assert one.snapshot() == other.snapshot()
    found = [one.at(position) for position in range(len(instants))]
    assert found == sorted(found)
    assert found[-1] == max(instants)
    assert found[0] == instants[0]
    assert len(one.snapshot()["positions"]) <= 512


def test_losses_that_fall_at_once_are_an_improvement_and_losses_that_rise_are_not() -> None:
    rnd, stream = random.Random(2), LossStream("glr")
    losses = [float(rnd.random() < share) for share in (0.4, 0.1, 0.4) for _ in range(3_000)]
    found = stream.take(losses, [60_000_000 * at for at in range(len(losses))])
    assert [each.is_improvement for each in found] == [True, False]


def test_a_timeline_is_exact_of_late_and_near_of_early_positions() -> None:
    rnd, timeline, instants = random.Random(1), Timeline(), [0]
    while len(instants) < 100_000:
        instants.append(instants[-1] + rnd.randrange(100))
    timeline.add(instants)
    assert [timeline.at(n) for n in range(99_800, 100_000)] == instants[99_800:]
    off = max(abs(timeline.at(n) - instants[n]) for n in range(0, 100_000, 37))
    assert off < instants[-1] / 20


@pytest.mark.parametrize(
    "damage",
    [
        {"n": "many"}, {"n": 2, "positions": [0], "instants_us": []},
        {"n": 1, "positions": [0, 5], "instants_us": [1, 2]},
        {"n": 2, "positions": [1, 0], "instants_us": [1, 2]}, {"n": 2, "positions": [0, 1], "instants_us": [2, 1]},
        {"n": 0, "positions": list(range(600)), "instants_us": list(range(600))}, {},
    ],
)  # fmt: skip
def test_a_timeline_that_contradicts_itself_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError)):
        Timeline.restore(damage)


@pytest.mark.parametrize(("seconds", "least"), [(HOUR_S, 8), (6 * HOUR_S, 8), (DAY_S, 4)])
def test_while_little_is_known_nothing_is_unusual(seconds: int, least: int) -> None:
    usual = Usual(seconds)
    for _ in range(least - 1):
        usual.add(0.05, drifted=False)
        assert usual.size is None
        assert not usual.is_unusual(100.0)
    usual.add(0.1, drifted=False)
    assert usual.size == pytest.approx(0.15)
    assert (usual.is_unusual(0.14), usual.is_unusual(0.16)) == (False, True)


def test_what_goes_away_within_a_day_is_usual_from_then_on_and_what_stays_is_not() -> None:
    for hours, is_usual in ((24, True), (25, False)):
        usual = Usual(HOUR_S)
        for _ in range(10):
            usual.add(0.1, drifted=False)
        for _ in range(hours):
            usual.add(0.5, drifted=True)
        for _ in range(2):
            assert usual.size == pytest.approx(0.15)
            usual.add(0.1, drifted=False)
        assert usual.size == pytest.approx(0.75 if is_usual else 0.15)


def test_one_window_without_it_does_not_end_a_change() -> None:
    usual = Usual(HOUR_S)
    for _ in range(10):
        usual.add(0.1, drifted=False)
    for hour in range(40):
        usual.add(0.1 if hour % 3 == 2 else 0.5, drifted=hour % 3 != 2)
    assert usual.is_unusual(0.5)


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=900), st.sampled_from([HOUR_S, 6 * HOUR_S, DAY_S]))
def test_what_is_usual_is_the_largest_of_the_last_336_windows(windows: list[tuple[float, bool]], seconds: int) -> None:
    usual, effects, episode, quiet = Usual(seconds), list[float](), list[float](), 0
    for effect, drifted in windows:
        usual.add(effect, drifted=drifted)
        if drifted:
            episode, quiet = [*episode, effect], 0
        else:
            effects, quiet = [*effects, effect], quiet + 1
            if quiet > 1:
                effects += episode if len(episode) * seconds <= DAY_S else []
                episode = []
        last = effects[-336:]
        assert usual.size == (None if len(effects) < (4 if seconds == DAY_S else 8) else 1.5 * max(last))
    restored = Usual.restore(json.loads(json.dumps(usual.snapshot())))
    assert restored.snapshot() == usual.snapshot()
    assert restored.size == usual.size


def test_what_is_usual_takes_little_room() -> None:
    rnd, usual = random.Random(2), Usual(HOUR_S)
    for _ in range(2000):
        usual.add(rnd.random(), drifted=rnd.random() < 0.05)
    assert len(json.dumps(usual.snapshot())) < 1000


def test_everywhere_is_the_least_of_those_that_go_on() -> None:
    assert Reached().everywhere_us == 0
    assert Reached({0: 100_000, 1: 99_000, 2: 30_000}, {0: 7, 1: 5, 2: 1}).everywhere_us == 5
    assert Reached({0: 100_000, 1: 99_000}, {1: 5}).everywhere_us == 5


def test_ids_of_signals_tell_apart_what_a_separator_would_not() -> None:
    ids = {signal_id_of(*parts) for parts in (("a", "b"), ("ab",), ("a", "", "b"), ("a", "b", 1), ("a", "b", "1 "))}
    assert len(ids) == 5
    assert all(len(id_) == 32 for id_ in ids)


def test_a_signal_is_read_as_it_is_written() -> None:
    assert msgspec_json.decode(msgspec_json.encode(SIGNAL), type=Signal) == SIGNAL
