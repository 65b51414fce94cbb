"""Sweeps: predictions that wait in ClickHouse alone are looked for when due, and nothing is settled before."""

from loopwatch.stream_processors.join.sweeps import MINUTE_US, Sweeps

DAY = 86_400_000_000


def test_predictions_of_one_minute_are_one_sweep() -> None:
    sweeps = Sweeps()
    for ts_us in (0, 1, MINUTE_US - 1):
        sweeps.add("m", "click", DAY, ts_us)
    assert len(sweeps) == 1


def test_a_sweep_is_due_when_the_window_of_its_last_prediction_has_passed() -> None:
    sweeps = Sweeps()
    sweeps.add("m", "click", DAY, 0)
    assert sweeps.due(DAY + MINUTE_US) == []
    (sweep,) = sweeps.due(DAY + MINUTE_US + 2_000_000)
    assert (sweep.from_us, sweep.to_us) == (0, MINUTE_US)


def test_a_watermark_that_jumps_settles_nothing_that_is_not_swept_yet() -> None:
    sweeps = Sweeps()
    sweeps.add("m", "click", DAY, 0)
    assert sweeps.settled_until(1000 * DAY) <= DAY


def test_a_sweep_that_runs_is_not_settled_until_it_is_done() -> None:
    sweeps = Sweeps()
    sweeps.add("m", "click", DAY, 0)
    (sweep,) = sweeps.due(1000 * DAY)
    assert sweeps.settled_until(1000 * DAY) <= DAY
    sweeps.done(sweep)
    assert sweeps.settled_until(1000 * DAY) == 1000 * DAY
    assert len(sweeps) == 0


def test_sweeps_of_the_future_do_not_hold_what_is_settled() -> None:
    sweeps = Sweeps()
    sweeps.add("m", "click", DAY, 5 * DAY)
    assert sweeps.settled_until(3 * DAY) == 3 * DAY


def test_a_minute_may_be_swept_again() -> None:
    sweeps = Sweeps()
    sweeps.add("m", "click", DAY, 0)
    (sweep,) = sweeps.due(1000 * DAY)
    sweeps.done(sweep)
    sweeps.add("m", "click", DAY, 5)
    assert sweeps.due(1000 * DAY) == [sweep]
