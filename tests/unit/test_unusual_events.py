"""Unusual predictions, hour by hour: none told while nothing is wrong, a burst of broken ones with its feature."""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest
from loopwatch.stream_processors.monitor.event_sample import Event
from loopwatch.stream_processors.monitor.events import ALARM, Taken, UnusualEvents, apart

HOURS, AN_HOUR, BROKEN = 50, 200, 44
HOUR_US = 3_600_000_000


def hours(broken: str | None = None) -> list[list[Event]]:
    """Of a model with a course of the day, a long tail, a rare flag and two numbers that go together."""
    rng = np.random.default_rng(7)
    found: list[list[Event]] = []
    for hour in range(HOURS):
        rows = rng.normal(size=(AN_HOUR, 6))
        rows[:, 0] += np.sin(hour * np.pi / 12)
        rows[:, 1] = rows[:, 0] + 0.3 * rows[:, 1]
        rows[:, 2], rows[:, 3] = np.exp(1.5 * rows[:, 2]), rng.random(AN_HOUR) < 0.02
        odd = rng.random(AN_HOUR) < 0.08 if hour == BROKEN else np.zeros(AN_HOUR, dtype=bool)
        if broken == "a unit":
            rows[odd, 4] *= 1_000
        elif broken == "a combination":
            rows[odd, 1] = -rows[odd, 0] + 3.0 * np.sign(-rows[odd, 0])
        found.append(
            [
                Event(f"{'odd' if odd[at] else 'usual'} {hour} {at}", {f"x{n}": float(x) for n, x in enumerate(row)})
                for at, row in enumerate(rows)
            ]
        )
    return found


def taken(stream: list[list[Event]]) -> dict[int, Taken]:
    """What is found, by hour; the state goes through JSON on the way."""
    unusual = UnusualEvents()
    found: dict[int, Taken] = {}
    for hour, events in enumerate(stream):
        if hour in (3, BROKEN):
            unusual = UnusualEvents.of_state(msgspec.json.decode(msgspec.json.encode(unusual.state())))
        found[hour] = unusual.take(hour * HOUR_US, events)
    return found


def test_nothing_is_told_while_nothing_is_wrong() -> None:
    found = taken(hours())
    assert not [hour for hour, each in found.items() if each.found]
    shares = [len(each.unusual) / AN_HOUR for hour, each in found.items() if hour > 12]
    assert np.mean(shares) == pytest.approx(ALARM, rel=0.5)


@pytest.mark.parametrize(("broken", "features"), [("a unit", {"x4"}), ("a combination", {"x0", "x1"})])
def test_a_burst_of_broken_predictions_is_found_in_its_hour_and_says_which(broken: str, features: set[str]) -> None:
    found = taken(hours(broken))
    first = min(hour for hour, each in found.items() if each.found)
    assert first == BROKEN
    evidence, ids = apart(found[BROKEN].unusual)
    assert evidence[0].name in features
    assert abs(evidence[0].seen - evidence[0].expected) > 1.0
    assert all(each.startswith("odd") for each in ids[:5])


def told(stream: Iterator[np.ndarray]) -> list[int]:
    """Hours in which something is found, of rows by hour."""
    unusual, found = UnusualEvents(), []
    for hour, rows in enumerate(stream):
        events = [Event(f"{hour} {at}", {f"x{n}": float(x) for n, x in enumerate(row)}) for at, row in enumerate(rows)]
        if hour % 50 == 40:
            unusual = UnusualEvents.of_state(msgspec.json.decode(msgspec.json.encode(unusual.state())))
        if unusual.take(hour * HOUR_US, events).found:
            found.append(hour)
    return found


def bursts(hours: int, broken: Callable[[int], bool]) -> Iterator[np.ndarray]:
    """Of 200 an hour one in twelve is far off in a feature, in hours that are `broken`."""
    rng = np.random.default_rng(5)
    for hour in range(hours):
        rows = rng.normal(size=(AN_HOUR, 6))
        if broken(hour):
            rows[rng.random(AN_HOUR) < 0.08, 4] += 30.0
        yield rows


def test_what_stays_broken_is_found_on_and_on_until_it_is_usual() -> None:
    found = told(bursts(90, lambda hour: hour >= 35))
    assert found[0] == 35
    assert max(np.diff(found)) <= 2
    assert 35 + 20 <= found[-1] <= 35 + 30


def test_a_burst_that_comes_again_the_next_day_is_found_again() -> None:
    found = told(bursts(70, lambda hour: hour in (35, 36, 59, 60)))
    assert {35, 59} <= set(found) <= {35, 36, 59, 60}


def test_what_comes_every_week_is_usual_after_some_weeks() -> None:
    def weeks() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(6)
        for hour in range(8 * 168):
            rows = rng.normal(size=(50, 6))
            # On Sunday evenings all values lie together, elsewhere.
            yield 4.0 + 0.2 * rows if hour % 168 >= 162 else rows

    assert {hour // 168 for hour in told(weeks())} <= {0, 1}


def test_hours_without_predictions_are_no_anomaly() -> None:
    unusual = UnusualEvents()
    stream = hours()
    told = [unusual.take(hour * HOUR_US, events if hour % 24 < 18 else []).found for hour, events in enumerate(stream)]
    assert not any(told)


def test_the_state_is_small() -> None:
    unusual = UnusualEvents()
    rng = np.random.default_rng(1)
    for hour in range(20):
        rows = rng.normal(size=(300, 70)).tolist()
        unusual.take(hour * HOUR_US, [Event(str(at), {f"f{n}": x for n, x in enumerate(row)})
                                      for at, row in enumerate(rows)])  # fmt: skip
    assert len(msgspec.json.encode(unusual.state())) < 300_000
