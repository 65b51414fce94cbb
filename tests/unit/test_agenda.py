"""When windows are evaluated again."""

import math

from loopwatch.schemas.windows import TimeOf, Window
from loopwatch.stream_processors.live.agenda import Agenda
from loopwatch.stream_processors.live.series import Due, Series

HOURLY = Series("fraud", "answer", Window.parse("1h"), TimeOf.PREDICTION)
DAILY = Series("fraud", "answer", Window.parse("1d"), TimeOf.PREDICTION)
HOUR, DAY = Due(HOURLY, 0), Due(DAILY, 0)


def due(agenda: Agenda, now_s: float, quiet: bool = False) -> set[Due]:
    return set(agenda.due(now_s, {"fraud": 1800.0}, {"fraud"} if quiet else set()))


def evaluate(agenda: Agenda, which: Due, now_s: float, took_s: float) -> None:
    agenda.note(which, now_s)
    agenda.begin([which])
    agenda.done(which, now_s)
    agenda.took(which.series, took_s)


def test_what_changes_while_it_is_read_is_read_again() -> None:
    agenda = Agenda(math.inf)
    agenda.note(HOUR, 10.0)
    agenda.begin([HOUR])
    assert due(agenda, 20.0) == set()
    agenda.note(HOUR, 15.0)
    assert due(agenda, 20.0) == set()
    assert (agenda.unread_since(), len(agenda)) == ({"fraud": 10.0}, 1)
    agenda.done(HOUR, 20.0)
    assert (agenda.unread_since(), len(agenda)) == ({"fraud": 15.0}, 1)
    assert due(agenda, 21.0) == {HOUR}


def test_what_was_not_done_is_unread_since_it_was_first_noted() -> None:
    agenda = Agenda(math.inf)
    agenda.note(HOUR, 10.0)
    agenda.note(DAY, 11.0)
    agenda.begin([HOUR, DAY])
    agenda.note(HOUR, 15.0)
    agenda.done(DAY, 20.0)
    agenda.put_back([HOUR, DAY])
    assert agenda.unread_since() == {"fraud": 10.0}
    assert due(agenda, 20.0) == {HOUR}


def test_large_windows_rest_and_small_ones_do_not() -> None:
    agenda = Agenda(0.5)
    evaluate(agenda, HOUR, 100.0, 0.4)
    evaluate(agenda, DAY, 100.0, 2.0)
    assert [agenda.is_slow(each) for each in (HOUR, DAY)] == [False, True]
    agenda.note(HOUR, 101.0)
    agenda.note(DAY, 101.0)
    assert due(agenda, 101.0) == {HOUR}
    assert due(agenda, 139.0) == {HOUR}
    assert due(agenda, 140.0) == {HOUR, DAY}
    assert due(agenda, 101.0, quiet=True) == {HOUR}
    assert due(agenda, 140.0, quiet=True) == {HOUR, DAY}


def test_old_windows_wait_unless_nothing_else_comes() -> None:
    agenda = Agenda(math.inf)
    old = Due(HOURLY, -360_000)
    evaluate(agenda, old, 100.0, 0.1)
    agenda.note(old, 101.0)
    assert due(agenda, 200.0) == set()
    assert due(agenda, 200.0, quiet=True) == {old}
    assert due(agenda, 4000.0) == {old}


def test_long_windows_wait_for_a_share_of_their_length() -> None:
    agenda = Agenda(math.inf, 0.001)
    for window in (HOUR, DAY):
        evaluate(agenda, window, 100.0, 0.1)
        agenda.note(window, 101.0)
    assert due(agenda, 102.0) == set()
    assert due(agenda, 104.0) == {HOUR}
    assert due(agenda, 187.0) == {HOUR, DAY}
    assert due(agenda, 102.0, quiet=True) == {HOUR, DAY}


def test_those_first_that_waited_longest() -> None:
    agenda = Agenda(math.inf)
    windows = [Due(HOURLY, hour * 3600) for hour in range(4)]
    for at, hour in enumerate((2, 0, 3)):
        evaluate(agenda, windows[hour], float(at), 1.0)
    assert agenda.oldest(windows, 3) == [windows[1], windows[2], windows[0]]


def test_a_series_is_slow_until_it_was_quick_for_a_while() -> None:
    agenda = Agenda(0.5)
    evaluate(agenda, DAY, 100.0, 1.2)
    slow = []
    for at in range(3):
        evaluate(agenda, DAY, 200.0 + at, 0.1)
        slow.append(agenda.is_slow(DAY))
    assert slow == [True, False, False]


def test_of_a_model_that_is_lost_nothing_is_left() -> None:
    agenda = Agenda(0.5)
    evaluate(agenda, DAY, 100.0, 2.0)
    agenda.note(DAY, 101.0)
    agenda.begin([DAY])
    agenda.forget("fraud")
    assert not agenda.is_under_way(DAY)
    agenda.put_back([DAY])
    assert (len(agenda), agenda.is_slow(DAY)) == (0, False)
