"""Calls that run at the same time, whose results come in order."""

from threading import Barrier, Event

import pytest
from loopwatch.stream_processors.at_once import at_once, in_turn


def test_calls_run_at_the_same_time() -> None:
    both = Barrier(2)
    assert sorted(at_once([lambda: both.wait(10), lambda: both.wait(10)])) == [0, 1]


def test_results_come_in_the_order_of_the_calls() -> None:
    later_is_done = Event()

    def first() -> str:
        assert later_is_done.wait(10)
        return "first"

    def second() -> str:
        later_is_done.set()
        return "second"

    assert at_once([first, second]) == ["first", "second"]


def test_what_fails_is_raised_and_what_had_not_begun_does_not_run() -> None:
    ran: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    def note(number: int) -> None:
        ran.append(number)

    with pytest.raises(ValueError, match="no"), in_turn([fail, *(lambda n=n: note(n) for n in range(1000))]) as results:
        next(results)
    assert len(ran) < 1000


def test_nothing_to_do() -> None:
    assert at_once([]) == []
