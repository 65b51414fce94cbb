"""What drifts from window to window: told once it is sure, under one id, and not for what chance shows."""

import json
import random
from collections import Counter

import pytest
from loopwatch.stream_processors.monitor.episodes import Episode, Episodes

Key = tuple[str]
HOUR_US = 3_600_000_000
X, Y = ("x",), ("y",)


def see(episodes: Episodes[Key], hour: int, **q_values: float) -> dict[Key, Episode]:
    drifted = {(name,): q_value for name, q_value in q_values.items()}
    return episodes.see(drifted, hour * HOUR_US, (hour + 1) * HOUR_US, lambda key: f"{key[0]}-{hour}")


def test_what_is_beyond_chance_is_told_with_its_first_window() -> None:
    episodes: Episodes[Key] = Episodes(0.05)
    assert see(episodes, 5, x=1e-9, y=0.04) == {X: Episode("x-5", 5 * HOUR_US, 6 * HOUR_US, 6 * HOUR_US, True)}


@pytest.mark.parametrize("again", [6, 7])
def test_what_two_windows_show_is_told_with_the_second_since_the_first(again: int) -> None:
    episodes: Episodes[Key] = Episodes(0.05)
    for hour in range(5):
        assert not see(episodes, hour)
    assert not see(episodes, 5, x=0.04)
    for hour in range(6, again):
        assert not see(episodes, hour, y=0.04)
    end_us = (again + 1) * HOUR_US
    assert see(episodes, again, x=0.04)[X] == Episode("x-5", 5 * HOUR_US, end_us, end_us, True)


def test_a_window_alone_is_forgotten_after_two_that_do_not_show_it() -> None:
    episodes: Episodes[Key] = Episodes(0.05)
    see(episodes, 5, x=0.04)
    see(episodes, 6)
    see(episodes, 7)
    assert not see(episodes, 8, x=0.04)
    assert not episodes.snapshot()["episodes"] or episodes.snapshot()["episodes"][0][1]["signal_id"] == "x-8"


def test_what_goes_on_keeps_its_id_and_when_it_was_found() -> None:
    episodes: Episodes[Key] = Episodes(0.05)
    see(episodes, 5, x=1e-9)
    see(episodes, 6)
    told = see(episodes, 7, x=0.04)[X]
    assert (told.signal_id, told.found_us, told.until_us) == ("x-5", 6 * HOUR_US, 8 * HOUR_US)


def test_a_year_of_hours_in_which_nothing_changes_tells_hardly_anything() -> None:
    """A hundred series an hour with uniform p-values, corrected: one hour in twenty shows something."""
    rnd = random.Random(3)
    shown = told = 0
    for _ in range(5):
        episodes: Episodes[Key] = Episodes(0.05)
        for hour in range(24 * 365):
            q_value = 100 * (1 - (1 - rnd.random()) ** (1 / 100))
            drifted = {f"f{rnd.randrange(100)}": q_value} if q_value <= 0.05 else {}
            shown += bool(drifted)
            told += sum(each.found_us == (hour + 1) * HOUR_US for each in see(episodes, hour, **drifted).values())
    assert shown > 2000
    assert told <= 10


def test_the_longer_nothing_drifts_the_more_a_window_alone_must_show() -> None:
    def least(after: int) -> int:
        """Zeros behind the point of the largest q-value that is told at once."""
        for zeros in range(1, 20):
            episodes: Episodes[Key] = Episodes(0.05)
            for hour in range(after):
                see(episodes, hour)
            if see(episodes, after, x=10.0**-zeros):
                return zeros
        raise AssertionError("nothing is ever told")

    zeros = [least(after) for after in (0, 24, 24 * 30)]
    assert zeros == sorted(zeros)
    assert zeros[0] < zeros[-1] < 9


def test_its_snapshot_goes_on_as_it_would_have() -> None:
    rnd = random.Random(4)
    one: Episodes[Key] = Episodes(0.05)
    other: Episodes[Key] = Episodes(0.05)
    found: Counter[str] = Counter()
    for hour in range(300):
        drifted = {f"f{at}": 10 ** -rnd.uniform(1.3, 9) for at in range(5) if rnd.random() < 0.1}
        told = see(one, hour, **drifted)
        assert see(other, hour, **drifted) == told
        found.update(each.signal_id for each in told.values())
        other = Episodes[Key](0.05).restore(json.loads(json.dumps(other.snapshot())), Key)
    assert len(found) > 10


@pytest.mark.parametrize("damage", [{}, {"episodes": []}, {"episodes": [["x"]], "over_time": {}}, {"episodes": 1}])
def test_a_damaged_snapshot_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        Episodes[Key](0.05).restore(damage, Key)
