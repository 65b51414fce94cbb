"""Laws of every detector that the registry finds. A new one is held by them without being named here; one of other
values than numbers gets a row in `STREAMS`."""

import copy
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pytest
from loopwatch.detectors.anomaly.points import Point, Step
from loopwatch.detectors.histogram import Bin, Histogram, bin_of
from loopwatch.detectors.interface import Detector, Finding, SnapshotError
from loopwatch.detectors.registry import detector, detectors, restore
from msgspec import Struct

Random = np.random.Generator
Numbers = Callable[[Random, int], list[float]]
NAMES = list(detectors())


def plain(at: int, number: float) -> Any:
    return number


class Streams(Struct, frozen=True):
    """What a detector is tried on: numbers that are `steady`, and others that have `changed`; each becomes a `value`.

    `constant`: a value in which nothing is to be found, however often it comes; `before`: values until a change can be
    found; `false_alarms`: findings allowed in 10,000 values of each of `nulls`; `late`: values after the change until
    it must be found; `near`: how far `since` may be from it.
    """

    steady: Numbers
    changed: Numbers
    nulls: Mapping[str, Numbers]
    constant: float | None = 0.25
    before: int = 2_000
    value: Callable[[int, float], Any] = plain
    false_alarms: float = 1.0
    late: int = 200
    near: int = 64
    parameters: Mapping[str, Any] = {}


def errors(share: float) -> Numbers:
    return lambda random, n: (random.random(n) < share).astype(float).tolist()


def normal(mean: float) -> Numbers:
    return lambda random, n: random.normal(mean, 1, n).tolist()


def point(at: int, number: float) -> Point:
    return Point(300_000_000 * at, number)


def event(at: int, number: float) -> dict[str, float]:
    return {"clicks": 2 * number + at * 7_919 % 13 / 13, "views": number, "waits": at * 7_907 % 11 / 11}


def step(at: int, number: float) -> Step:
    return Step(3_600_000_000 * at, event(at, number))


def histogram(numbers: list[float]) -> Histogram:
    counts = Counter(map(bin_of, numbers))
    return Histogram(tuple(Bin(each, counts[each]) for each in sorted(counts)))


ERRORS = {f"errors of {share}": errors(share) for share in (0.1, 0.3, 0.5)}
LOSSES: dict[str, Numbers] = {
    "normal losses": normal(3),
    "lognormal losses": lambda random, n: random.lognormal(0, 1, n).tolist(),
}
NORMAL: dict[str, Numbers] = {"normal": normal(0)}
NUMBERS = Streams(errors(0.1), errors(0.9), ERRORS | LOSSES)
REFERENCE = histogram(normal(0)(np.random.default_rng(0), 5_000))
STREAMS: dict[str, Streams] = {
    # Tests without a correction for how often they are made: what their significance level lets through.
    "stepd": Streams(errors(0.1), errors(0.9), ERRORS, constant=0.0, false_alarms=25),
    "kswin": Streams(errors(0.1), errors(0.9), ERRORS | LOSSES, false_alarms=15),
    # Bounds and thresholds made for values between 0 and 1.
    "adwin": Streams(errors(0.1), errors(0.9), ERRORS, false_alarms=2),
    "seed": Streams(errors(0.1), errors(0.9), ERRORS, false_alarms=10),
    "page_hinkley": Streams(errors(0.1), errors(0.9), ERRORS, false_alarms=5),
    # Against a reference: anything but what it was is a finding.
    "betting": Streams(normal(0), normal(3), NORMAL, constant=None, parameters={"reference": REFERENCE}),
    # Anomalies: of values, of steps and of events, of which one in a thousand always is the most unusual.
    "baseline": Streams(normal(0), normal(30), NORMAL, value=point, false_alarms=8),
    "series_anomalies": Streams(normal(0), normal(30), NORMAL, value=point, false_alarms=8),
    "joint_anomalies": Streams(normal(0), normal(30), NORMAL, value=step, false_alarms=8),
    "event_anomalies": Streams(
        normal(0), normal(30), NORMAL, None, before=4_000, value=event, false_alarms=15, parameters={"every": 1}
    ),
}


def streams(name: str) -> Streams:
    return STREAMS.get(name, NUMBERS)


def made(name: str) -> Detector[Any]:
    return detector(name, **streams(name).parameters)


def values_of(name: str, *numbers: list[float]) -> list[Any]:
    return [streams(name).value(at, number) for at, number in enumerate(chain(*numbers))]


def steady(name: str, random: Random, n: int) -> list[Any]:
    return values_of(name, streams(name).steady(random, n))


def mixed(name: str, random: Random, n: int = 2_400) -> list[Any]:
    """Steady, changed and steady again: what brings a detector into all of its states."""
    of = streams(name)
    return values_of(name, of.steady(random, n // 2), of.changed(random, n // 4), of.steady(random, n // 4))


def apart(random: Random, values: list[Any]) -> Iterator[list[Any]]:
    """The values in stretches of random length, some empty."""
    cuts = sorted(int(cut) for cut in random.integers(0, len(values) + 1, 12))
    for begin, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        yield values[begin:end]


def known(of: Detector[Any]) -> dict[str, Any]:
    """Its snapshot but for what tells of the last call alone."""
    return {key: value for key, value in of.snapshot().items() if key != "drift_detected"}


def through_json(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(snapshot, allow_nan=False))


def test_the_registry_finds_detectors() -> None:
    assert {"adwin", "glr", "kswin", "page_hinkley", "seed", "stepd"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_the_same_as_its_values_one_by_one(name: str) -> None:
    random = np.random.default_rng(1)
    values = mixed(name, random)
    whole, single, split = made(name), made(name), made(name)
    found = whole.update(values)
    assert [each for value in values for each in single.update([value])] == found
    assert [each for some in apart(random, values) for each in split.update(some)] == found
    assert known(single) == known(whole) == known(split)
    assert whole.n == len(values)


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_taken_at_any_place_has_the_same_future(name: str) -> None:
    random = np.random.default_rng(2)
    values = mixed(name, random)
    going_on = made(name)
    for some in apart(random, values):
        snapshot = through_json(going_on.snapshot())
        resumed = restore(snapshot)
        assert through_json(resumed.snapshot()) == snapshot
        assert resumed.update(some) == going_on.update(some)
        assert known(resumed) == known(going_on)


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_stands_still_while_the_detector_goes_on(name: str) -> None:
    values = mixed(name, np.random.default_rng(3))
    going_on = made(name)
    going_on.update(values[:700])
    snapshot = going_on.snapshot()
    before = copy.deepcopy(snapshot)
    restore(snapshot).update(values[700:])
    going_on.update(values[700:])
    assert snapshot == before


@pytest.mark.parametrize("name", [name for name in NAMES if streams(name).constant is not None])
def test_nothing_is_found_in_constants(name: str) -> None:
    constant, value = made(name), streams(name).constant
    assert value is not None
    assert constant.update([streams(name).value(at, value) for at in range(3_000)]) == []
    assert 0 <= constant.score <= 1


@pytest.mark.parametrize("name", [name for name in NAMES if streams(name).value is plain])
def test_what_is_no_number_counts_and_changes_nothing_else(name: str) -> None:
    values = steady(name, np.random.default_rng(4), 1_000)
    whole, holed = made(name), made(name)
    whole.update(values)
    for value in values:
        holed.update([value, math.nan, math.inf, -math.inf])
    assert (holed.n, holed.score) == (4 * whole.n, whole.score)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_number_is_taken_without_a_crash_anywhere(name: str) -> None:
    numbers = streams(name).steady(np.random.default_rng(4), 600)
    for number in (math.nan, math.inf, -math.inf):
        numbers[::7] = [number] * len(numbers[::7])
        holed = made(name)
        assert len(holed.update(values_of(name, numbers))) <= 2
        assert holed.n == 600
        assert restore(through_json(holed.snapshot())).snapshot() == holed.snapshot()


@pytest.mark.parametrize("name", NAMES)
def test_one_value_and_none_are_enough_to_be_asked(name: str) -> None:
    one = made(name)
    assert one.update([]) == []
    assert (one.n, one.score, one.drift_detected) == (0, 0.0, False)
    assert one.update(steady(name, np.random.default_rng(5), 1)) == []
    assert one.n == 1
    assert restore(through_json(one.snapshot())).snapshot() == one.snapshot()


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(streams(name).value(0, 0.0), Mapping)])
def test_the_order_of_feature_names_does_not_matter(name: str) -> None:
    values = mixed(name, np.random.default_rng(6))
    one, other = made(name), made(name)
    assert one.update(values) == other.update([dict(reversed(each.items())) for each in values])
    assert known(one) == known(other)


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_does_not_grow_with_the_stream(name: str) -> None:
    values = steady(name, np.random.default_rng(7), 50_000)
    long, sizes = made(name), []
    for begin in range(0, len(values), 10_000):
        long.update(values[begin : begin + 10_000])
        sizes.append(len(json.dumps(long.snapshot())))
    assert max(sizes) < 400_000
    assert sizes[-1] < 2 * sizes[0] + 20_000


@pytest.mark.parametrize(("name", "null"), [(name, null) for name in NAMES for null in streams(name).nulls])
def test_findings_are_rare_where_nothing_changes(name: str, null: str) -> None:
    of = streams(name)
    quiet = made(name)
    found = quiet.update(values_of(name, of.nulls[null](np.random.default_rng(8), 40_000)))
    assert len(found) <= 4 * of.false_alarms


@pytest.mark.parametrize("name", NAMES)
def test_the_same_stream_gives_the_same_findings(name: str) -> None:
    values = mixed(name, np.random.default_rng(9))
    one, other = made(name), made(name)
    assert one.update(values) == other.update(values)
    assert one.snapshot() == other.snapshot()


@pytest.mark.parametrize("name", NAMES)
def test_a_big_change_is_found_soon_and_dated(name: str) -> None:
    of, random, change = streams(name), np.random.default_rng(10), streams(name).before
    watching = made(name)
    values = values_of(name, of.steady(random, change), of.changed(random, 1_000))
    watching.update(values[:change])
    found = watching.update(values[change:])
    first = found[0]
    assert watching.drift_detected
    assert change <= first.at <= change + of.late
    assert abs(first.since - change) <= of.near
    assert first.since <= first.at
    assert 0.5 <= first.score <= 1
    if first.expected is not None and first.seen is not None:
        assert first.expected < first.seen


def damaged(snapshot: dict[str, Any]) -> Iterator[Any]:
    """Snapshots with something wrong."""
    yield from (None, [], "text", {})
    for key in snapshot:
        yield {other: value for other, value in snapshot.items() if other != key}
    yield snapshot | {"detector": "nothing"}
    yield snapshot | {"version": snapshot["version"] + 1}
    yield snapshot | {"n": -1}
    yield snapshot | {"n": "many"}
    yield snapshot | {"score": 2.0}
    yield snapshot | {"state": None}
    state = snapshot["state"]
    for key in state:
        yield snapshot | {"state": {other: value for other, value in state.items() if other != key}}
        yield snapshot | {"state": state | {key: "text"}}


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_snapshot_is_refused(name: str) -> None:
    whole = made(name)
    whole.update(mixed(name, np.random.default_rng(11)))
    for snapshot in damaged(through_json(whole.snapshot())):
        with pytest.raises(SnapshotError):
            restore(snapshot)


@pytest.mark.parametrize("name", NAMES)
def test_another_detector_does_not_read_the_snapshot(name: str) -> None:
    other = next(each for each in NAMES if each != name)
    with pytest.raises(SnapshotError, match=name):
        detectors()[other].restore(made(name).snapshot())


def test_errors_of_the_registry_say_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no detector 'adwim': there are .*adwin"):
        detector("adwim")
    with pytest.raises(ValueError, match=r"no parameter 'size': it takes window_size, alpha"):
        detector("stepd", size=3)
    with pytest.raises(ValueError, match=r"'stepd'.*alpha has to be between 0 and 1"):
        detector("stepd", alpha=3)


def test_a_finding_is_plain_data() -> None:
    assert Finding(3, 2, 0.5).expected is None
