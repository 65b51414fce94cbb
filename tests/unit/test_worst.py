"""Slices that are worse than the whole, beyond chance."""

import numpy as np
import pytest
from loopwatch.detectors.quality.estimates import proportion
from loopwatch.detectors.quality.worst import worst


def test_noise_alone_is_rarely_beyond_chance() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(400):
        sizes = rng.integers(5, 2000, 40)
        right = rng.binomial(sizes, 0.9)
        whole = proportion(int(right.sum()), int(sizes.sum()))
        slices = {
            index: estimate
            for index, (successes, n) in enumerate(zip(right.tolist(), sizes.tolist(), strict=True))
            if (estimate := proportion(successes, n)) is not None
        }
        assert whole is not None
        alarms += any(each.at_least > 0 for each in worst("accuracy", whole, slices))
    assert alarms / 400 < 0.08


def test_a_broken_slice_is_found_before_smaller_ones_that_look_worse() -> None:
    whole, broken, tiny = proportion(9000, 10000), proportion(700, 1000), proportion(1, 2)
    assert whole is not None
    assert broken is not None
    assert tiny is not None
    first, second = worst("recall", whole, {"tiny": tiny, "broken": broken})
    assert (first.slice, first.at_least > 0.1, second.slice, second.at_least > 0) == ("broken", True, "tiny", False)
    assert second.gap > first.gap


def test_of_an_error_more_is_worse() -> None:
    whole, low, high = (proportion(n, 1000) for n in (100, 50, 200))
    assert whole is not None
    assert low is not None
    assert high is not None
    assert [each.slice for each in worst("brier", whole, {"low": low, "high": high})] == ["high", "low"]


def test_what_has_no_better_side_is_refused() -> None:
    whole = proportion(1, 2)
    assert whole is not None
    with pytest.raises(ValueError, match="bias"):
        worst("bias", whole, {})
