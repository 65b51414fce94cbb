"""Which labels are known yet: weights that undo the head start of labels that come early.

Labels that come early are rarely like those that come late: a cancellation is known long before a stay, a click long
before there was none. Among the labels known now, a label that took `d` can only be one of a prediction at least `d`
old. So it stands for 1 / G(d) labels, G(d) being the share of predictions that are older than d: inverse probability of
censoring weighting (Robins and Rotnitzky, "Recovery of information and adjustment for dependent censoring using
surrogate markers", 1992; here censoring is by age alone, which is known of all predictions). Predictions count half as
much a half-life later, so that the weights follow a change.

Durations are counted in buckets of equal ratio (6 %): bucket b holds those of [e^(b/16) − 1, e^((b+1)/16) − 1) seconds.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct

BUCKETS_PER_E = 16
BUCKETS = 20 * BUCKETS_PER_E
"""The last one holds everything beyond 15 years."""
HALF_LIFE_PREDICTIONS = 10_000
"""Many enough to calibrate with, few enough to follow a season."""
LARGEST_WEIGHT = 20.0
"""A label stands for at most so many: a few that took as long as the oldest predictions are old would outweigh all."""

_Floats = npt.NDArray[np.float64]


class DelayWeights(Struct, frozen=True):
    """A label of a prediction of age `a` that took `d` has weight `of_age[a] * of_delay[d]`, a and d being buckets."""

    of_age: tuple[float, ...]
    of_delay: tuple[float, ...]


def delay_weights(ages: Mapping[int, int], delays: Mapping[int, int]) -> DelayWeights:
    """Weights from how many predictions have each age, and how many known labels took how long; both by bucket.

    The half-life is the time in which the newest `HALF_LIFE_PREDICTIONS` predictions were made, and not less than the
    median delay of the known labels: else those that are labelled would count for nothing.

    Half of the predictions are about an hour old, half a day, and the older count half as much. A label that took a
    minute could be seen of all of them; one that took three hours only of the older third, so it stands for three:

    >>> minute, hours, day = bucket(60), bucket(3 * 3600), bucket(86_400)
    >>> weights = delay_weights({bucket(3600): 500, day: 500}, {minute: 600, hours: 300})
    >>> round(weights.of_delay[minute], 1), round(weights.of_delay[hours], 1)
    (1.0, 3.0)

    Raises:
        ValueError: there are no predictions.
    """
    made = _counts(ages)
    if not made.any():
        raise ValueError("no predictions: nothing says how old labels may be")
    half_life_s = max(_newest_s(made), _seconds(_median(_counts(delays))))
    of_age = np.exp2(-_middles() / half_life_s)
    # A common factor changes no weight against another, and keeps the newest from vanishing.
    of_age = np.minimum(1.0, of_age / of_age[np.flatnonzero(made)[0]])
    decayed = made * of_age
    older = decayed[::-1].cumsum()[::-1] - decayed / 2
    of_delay = np.minimum(LARGEST_WEIGHT, decayed.sum() / np.maximum(older, 1e-300))
    return DelayWeights(tuple(of_age.tolist()), tuple(of_delay.tolist()))


def bucket(seconds: float) -> int:
    """The bucket of a duration; negative ones are in the first.

    >>> bucket(-5), bucket(0), bucket(3600), bucket(86_400)
    (0, 0, 131, 181)
    """
    return min(BUCKETS - 1, int(BUCKETS_PER_E * math.log1p(max(0.0, seconds))))


def _seconds(at: int) -> float:
    return math.expm1((at + 0.5) / BUCKETS_PER_E)


def _middles() -> _Floats:
    return np.expm1((np.arange(BUCKETS) + 0.5) / BUCKETS_PER_E)


def _counts(by_bucket: Mapping[int, int]) -> _Floats:
    counts = np.zeros(BUCKETS)
    for at, n in by_bucket.items():
        counts[at] = n
    return counts


def _newest_s(made: _Floats) -> float:
    """Time between the newest prediction and the one so many before it; the oldest, if there are fewer."""
    newest, oldest = np.flatnonzero(made)[[0, -1]]
    last = min(int(np.searchsorted(made.cumsum(), HALF_LIFE_PREDICTIONS)), int(oldest))
    return max(_seconds(last) - _seconds(int(newest)), _seconds(int(newest)) / BUCKETS_PER_E)


def _median(counts: _Floats) -> int:
    return int(np.searchsorted(counts.cumsum(), counts.sum() / 2)) if counts.any() else 0
