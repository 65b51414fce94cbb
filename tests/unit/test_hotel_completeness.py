"""The benchmark of final shares on a few weeks: what is published about it stays true."""

import numpy as np
import pytest
from loopwatch.schemas.errors import LoopwatchError

from benchmarks.completeness import TARGET_POINTS, measure
from benchmarks.hotel import read_bookings


def test_shares_of_hotel_bookings_stay_under_the_target_and_beat_plain_kaplan_meier() -> None:
    try:
        bookings = read_bookings()
    except LoopwatchError as exc:
        pytest.skip(str(exc))
    rows = measure(bookings, window_d=60, every=8)
    assert min(row.weeks for row in rows) >= 10
    ours = np.mean([row.ours for row in rows])
    assert ours <= TARGET_POINTS
    assert ours < 0.7 * np.mean([row.kaplan_meier for row in rows])
