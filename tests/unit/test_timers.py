"""Timers come due in event time: never early, at most a second late, each once."""

from hypothesis import given
from hypothesis import strategies as st
from loopwatch.stream_processors.join.timers import Timers

SECOND = 1_000_000
INSTANTS = st.integers(-(10**9), 10**9)


@given(st.lists(INSTANTS), st.lists(INSTANTS))
def test_each_item_comes_once_never_early_and_at_most_a_second_late(due: list[int], watermarks: list[int]) -> None:
    timers: Timers[int] = Timers()
    for item, at_us in enumerate(due):
        timers.add(at_us, item)
    came: list[int] = []
    for watermark_us in sorted(watermarks):
        now = timers.due(watermark_us)
        assert all(due[item] < watermark_us for item in now)
        came += now
        waiting = set(range(len(due))) - set(came)
        assert all(due[item] > watermark_us - 2 * SECOND for item in waiting)
        assert timers.next_us is None or timers.next_us <= min(due[item] for item in waiting)
    assert len(came) == len(set(came))


def test_there_is_nothing_left_once_everything_came() -> None:
    timers: Timers[str] = Timers()
    timers.add(3 * SECOND, "a")
    assert timers
    assert timers.due(5 * SECOND) == ["a"]
    assert not timers
    assert timers.next_us is None


def test_an_item_may_be_added_for_an_instant_that_has_passed() -> None:
    timers: Timers[str] = Timers()
    timers.due(100 * SECOND)
    timers.add(3 * SECOND, "late")
    assert timers.due(100 * SECOND) == ["late"]
