"""How far the last values are from the nearest stretch before them."""

import json
import math

import numpy as np
import pytest
from loopwatch.detectors.anomaly.novelty import BACK, PATTERN, Novelty

SERIES = np.random.default_rng(1).normal(size=3 * BACK).tolist()


def distances(novelty: Novelty, values: list[float]) -> list[float]:
    return [novelty.take(value) for value in values]


def nearest(values: list[float]) -> float:
    """The same, said plainly, of the last of the values."""
    stretches = np.lib.stride_tricks.sliding_window_view(values, PATTERN)
    before = stretches[-1 - BACK : -PATTERN]
    return float(np.sqrt(np.mean((before - stretches[-1]) ** 2, axis=1).min()))


def test_it_is_the_distance_to_the_nearest_stretch() -> None:
    taken = distances(Novelty(), SERIES)
    assert not any(taken[:54])
    for at in (54, 71, 72, 300, BACK, BACK + 23, BACK + 24, 2 * BACK + 5, len(SERIES) - 1):
        assert taken[at] == pytest.approx(nearest(SERIES[: at + 1]), rel=1e-12)


def test_the_largest_value_leaves_no_error_behind() -> None:
    calm = [float(n % 7) for n in range(BACK)]
    taken = distances(Novelty(), [*calm, 1e100, *calm])
    assert taken[BACK] > 1e98
    assert taken[-1] == 0.0


@pytest.mark.parametrize("at", [0, 1, 24, 47, 100, BACK + 23, 2 * BACK + 11])
def test_it_goes_on_from_its_state_bit_for_bit(at: int) -> None:
    going_on, resumed = Novelty(), Novelty()
    distances(going_on, SERIES[:at])
    resumed.load(json.loads(json.dumps(going_on.state())))
    assert resumed.state() == going_on.state()
    assert distances(resumed, SERIES[at:]) == distances(going_on, SERIES[at:])


@pytest.mark.parametrize("damage", [{"n": 3}, {"n": -1}, {"values": []}])
def test_a_state_that_does_not_fit_is_refused(damage: dict[str, object]) -> None:
    novelty = Novelty()
    distances(novelty, SERIES[:200])
    with pytest.raises(ValueError, match="values of"):
        novelty.load(novelty.state() | damage)


def test_a_course_is_far_that_is_new_though_its_values_are_usual() -> None:
    random = np.random.default_rng(2)
    values = np.sin(np.arange(3_000) * 2 * math.pi / 24) + random.normal(0.0, 0.05, 3_000)
    values[2_000:2_012] = -values[2_000:2_012][::-1]
    taken = distances(Novelty(), values.tolist())
    assert max(taken[2_000:2_024]) > 3.0 * max(taken[200:2_000])
