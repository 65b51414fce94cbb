"""Anomalies of events and of several series at a time."""

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest
from loopwatch.detectors.anomaly.events import EventAnomalies, sampled
from loopwatch.detectors.anomaly.joint import JointAnomalies
from loopwatch.detectors.anomaly.points import Step
from loopwatch.detectors.anomaly.ranks import Ranks
from loopwatch.detectors.anomaly.trees import HalfSpaceTrees
from loopwatch.detectors.interface import SnapshotError
from river import anomaly

NAMES = "abcde"
HOUR_US = 3_600_000_000
Kind = type[EventAnomalies | JointAnomalies]
Detectors = pytest.mark.parametrize("kind", [EventAnomalies, JointAnomalies])


def taken_by(kind: Kind, rows: Iterable[dict[str, float]]) -> list[Any]:
    """Rows as the detector takes them."""
    return list(rows) if kind is EventAnomalies else [Step(at * HOUR_US, row) for at, row in enumerate(rows)]


def events(n: int, seed: int = 1) -> list[dict[str, float]]:
    rows = np.random.default_rng(seed).normal(0.5, 0.1, (n, len(NAMES))).tolist()
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


def area_under_curve(positive: list[float], negative: list[float]) -> float:
    """Share of pairs in order, ties half."""
    ordered = np.sort(negative)
    below, up_to = (np.searchsorted(ordered, positive, side=side) for side in ("left", "right"))
    return float((below + up_to).sum() / 2 / len(positive) / len(negative))


def test_the_trees_find_as_much_as_rivers() -> None:
    taken, source = events(5_000), np.random.default_rng(2)
    odd = set(source.choice(np.arange(500, 5_000), 60, replace=False).tolist())
    for i in odd:
        taken[i] = dict(zip(NAMES, source.uniform(0, 1, len(NAMES)).tolist(), strict=True))
    ours = HalfSpaceTrees(dict.fromkeys(NAMES, (0.0, 1.0)), trees=20, height=8, window=250, seed=1)
    river = anomaly.HalfSpaceTrees(n_trees=20, height=8, window_size=250, seed=1)
    of_ours, of_river = [], []
    for event in taken:
        of_ours.append(ours.take(event) or 0.0)
        of_river.append(float(river.score_one(event)))
        river.learn_one(event)
    areas = [
        area_under_curve(
            [scores[i] for i in odd], [score for i, score in enumerate(scores) if i not in odd and i >= 500]
        )
        for scores in (of_ours, of_river)
    ]
    assert areas[0] > 0.97
    assert areas[0] > areas[1] - 0.01


def test_the_trees_judge_by_the_window_before() -> None:
    trees = HalfSpaceTrees({"a": (0.0, 1.0)}, trees=5, height=4, window=50, seed=3)
    assert [trees.take({"a": 0.5}) for _ in range(50)] == [None] * 50
    usual, odd = trees.take({"a": 0.5}), trees.take({"a": 30.0})
    assert usual is not None
    assert odd is not None
    assert 0.0 <= usual < odd <= 1.0


def test_trees_remember_more_than_a_window() -> None:
    def alone(memory: int | None) -> list[float]:
        trees = HalfSpaceTrees({"a": (0.0, 1.0)}, trees=9, height=5, window=50, seed=3, memory=memory)
        for value in [0.2] * 200 + [0.8] * 200:
            trees.take({"a": value})
        return [trees.take({"a": value}) or 0.0 for value in (0.2, 0.8, 0.55)]

    long_ago, lately, never = alone(400)
    assert long_ago == pytest.approx(lately, abs=0.1)
    assert never > max(long_ago, lately)
    assert alone(None)[0] > long_ago + 0.2
    with pytest.raises(ValueError, match="a memory of 40 events, and windows of 50"):
        HalfSpaceTrees({"a": (0.0, 1.0)}, trees=9, height=5, window=50, seed=3, memory=40)


def test_ranks_come_to_span_more_than_they_keep() -> None:
    ranks = Ranks(100, one_in=5)
    for value in range(1_000):
        ranks.take(float(value))
    kept = ranks.state()["last"]
    assert len(kept) == 100
    assert (min(kept), max(kept)) == (504.0, 999.0)
    again = Ranks(100, one_in=5)
    again.load(msgspec.json.decode(msgspec.json.encode(ranks.state())))
    for value in (700.0, 1.0, 2_000.0, 650.0, 3.0, 900.0):
        assert again.take(value) == ranks.take(value)
    assert again.state() == ranks.state()


def test_an_odd_event_is_found() -> None:
    detector = EventAnomalies(every=1)
    assert len(detector.update(events(4_000))) <= 15
    (finding,) = detector.update([{**events(1, seed=9)[0], "c": 1.6, "d": -0.4, "a": 1.5}])
    assert finding.at == 4_000
    assert finding.score > 0.999


@pytest.mark.parametrize("features", [5, 40])
def test_one_value_that_is_far_too_large_and_two_that_never_are_so_together_are_found(features: int) -> None:
    source = np.random.default_rng(4)
    rows = source.normal(size=(4_000, features))
    rows[:, 1] = rows[:, 0] + 0.3 * rows[:, 1]
    # Rare flags and long tails are usual of some features.
    rows[:, 2], rows[:, 3] = source.random(4_000) < 0.02, np.exp(2 * rows[:, 3])
    rows[3_950, 4] *= 1_000
    rows[3_960, :2] = 1.5, -1.5
    names = [f"x{n:02}" for n in range(features)]
    detector = EventAnomalies(every=1, alarm=0.005)
    found: dict[int, str] = {}
    for at, row in enumerate(rows.tolist()):
        if detector.update([dict(zip(names, row, strict=True))]):
            found[at] = detector.parts()[0].name
    assert found[3_950] == "x04"
    assert found[3_960] in ("x00", "x01")
    assert len(found) < 0.01 * 4_000


def test_events_are_sampled_by_their_position_evenly() -> None:
    taken = [n for n in range(80_000) if sampled(n, seed=1, every=8)]
    assert len(taken) == pytest.approx(10_000, rel=0.03)
    assert taken != [n for n in range(80_000) if sampled(n, seed=2, every=8)]
    assert len({n % 8 for n in taken}) == 8


def test_false_alarms_of_events_are_as_rare_as_promised() -> None:
    detector = EventAnomalies(every=1)
    assert len(detector.update(events(12_000))) <= 12 + 3 * math.sqrt(12) + 3


def test_false_alarms_of_steps_are_rare() -> None:
    assert len(JointAnomalies().update(taken_by(JointAnomalies, events(8_000)))) <= 6


def test_a_step_against_the_dependence_is_found_though_each_value_is_usual() -> None:
    source = np.random.default_rng(0)
    both = source.normal(size=3_000)
    steps = [
        {"volume": float(z), "clicks": float(z + each)}
        for z, each in zip(both, source.normal(0, 0.2, 3_000), strict=True)
    ]
    steps[2_500] = {"volume": 2.0, "clicks": -2.0}
    detector = JointAnomalies()
    taken = taken_by(JointAnomalies, steps)
    detector.update(taken[:2_500])
    (found,) = detector.update(taken[2_500:2_501])
    assert found.seen is not None
    assert found.seen > 5.0
    parts = {part.name: (part.expected, part.seen) for part in detector.parts()}
    assert parts["volume"] == (pytest.approx(-1.9, abs=0.2), pytest.approx(2.0))
    assert parts["clicks"] == (pytest.approx(2.0, abs=0.2), pytest.approx(-2.0))


def test_a_missing_series_is_left_out_of_its_step() -> None:
    steps = events(3_000)
    for step in steps[1_000:2_000]:
        step["b"] = math.nan
        del step["c"]
    assert not [each for each in JointAnomalies().update(taken_by(JointAnomalies, steps)) if 990 < each.at < 2_010]


@Detectors
def test_the_order_of_names_does_not_matter(kind: Kind) -> None:
    one, other = kind(), kind()
    turned = (dict(reversed(event.items())) for event in events(3_000))
    for event, other_way in zip(taken_by(kind, events(3_000)), taken_by(kind, turned), strict=True):
        one.update([event])
        other.update([other_way])
        assert one.score == other.score
    assert msgspec.json.encode(one.snapshot()) == msgspec.json.encode(other.snapshot())


@Detectors
def test_batches_are_as_single_values_and_a_snapshot_goes_on_bit_for_bit(
    kind: Kind,
) -> None:
    taken = taken_by(kind, events(6_000))
    at_once, one_by_one = kind(), kind()
    findings = at_once.update(taken)
    singly = []
    for i, event in enumerate(taken):
        if i in (5, 100, 2_345, 4_567):
            one_by_one = kind.restore(msgspec.json.decode(msgspec.json.encode(one_by_one.snapshot())))
        singly += one_by_one.update([event])
    assert singly == findings
    assert msgspec.json.encode(one_by_one.snapshot()) == msgspec.json.encode(at_once.snapshot())


@Detectors
def test_constants_and_no_numbers_are_no_anomaly(kind: Kind) -> None:
    detector = kind()
    rows = [{"a": 1.0, "b": 0.0}] * 3_000 + [{"a": math.nan}, {}, {"b": math.inf}]
    assert detector.update(taken_by(kind, rows)) == []
    assert detector.n == 3_003


@Detectors
def test_the_state_stays_bounded_whatever_the_names(kind: Kind) -> None:
    detector, sizes = kind(), []
    for batch in range(3):
        for i in range(3_000):
            row = {f"{batch} {i} {j}": float(j) for j in range(3)} | {"a": float(i % 7)}
            detector.update(taken_by(kind, [row]))
        sizes.append(len(msgspec.json.encode(detector.snapshot())))
    assert sizes[-1] < 300_000


@Detectors
def test_a_damaged_snapshot_is_refused(kind: Kind) -> None:
    with pytest.raises(SnapshotError):
        kind.restore({**kind().snapshot(), "state": {}})


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="alarm at least 2/101"):
        EventAnomalies(kept=100, alarm=0.001)
    with pytest.raises(ValueError, match="not 0"):
        JointAnomalies(alarm=0.0)
