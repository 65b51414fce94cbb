"""How often deviations are as large as one, judged by how heavy the tail has shown to be."""

import math
from typing import Annotated

from msgspec import Meta, Struct, field

_FREEDOM = (10.0, 5.0, 3.0)
# Units and constants of Student densities of the same spread as the normal one, which is cut off at 3 deviations.
_UNIT = (0.9063923, 0.8150206, 0.6997468)
_CONSTANT = (0.0733242, 0.1548608, 0.2750864)
# Logarithm of how much likelier a deviation below 2 is.
_WHERE_ORDINARY = (-0.006688, -0.012818, -0.020292)
_ORDINARY = 4.0
_PRIOR = (-4.0, -6.0, -8.0)
_CERTAIN = 20.0
_MOST = 3.0
_KEPT = 1.0 - 1.0 / 3_000.0
_TALLIED_FROM = 1.5


def tail(deviation: float, freedom: float) -> float:
    """Two-sided tail of Student's t (Wallace, 1959), heavier than the exact one by a fifth at most."""
    root = math.sqrt(freedom * math.log1p(deviation * deviation / freedom))
    return math.erfc(root * (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * math.sqrt(0.5))


class Heavy(Struct):
    """Odds of three Student tails (10, 5 and 3 degrees) against the normal one, from the deviations so far.

    Deviations below 2 are not told apart: only tails matter here, and discrete values have other middles. A single one
    adds at most 3 nats: one event says little about the tail, a few do.
    """

    odds: Annotated[list[float], Meta(min_length=3, max_length=3)] = field(default_factory=lambda: list(_PRIOR))

    def probability(self, deviation: float, freedom: float) -> float:
        """Of a deviation as large, where the unit was estimated with so many degrees of freedom; 1 of ordinary ones."""
        if abs(deviation) < _TALLIED_FROM:
            return 1.0
        total, p = 1.0, tail(deviation, freedom)
        for log_odds, unit, of in zip(self.odds, _UNIT, _FREEDOM, strict=True):
            if log_odds > -30.0:
                weight = math.exp(log_odds)
                total += weight
                p += weight * tail(deviation / unit, 1.0 / (1.0 / of + 1.0 / freedom))
        return p / total

    def take(self, deviation: float, share: float) -> None:
        """Learn from a deviation, which counts as the `share` of an independent one."""
        squared = min(deviation * deviation, 1e6)
        is_ordinary = squared < _ORDINARY
        odds = self.odds
        for i, of in enumerate(_FREEDOM):
            more = _WHERE_ORDINARY[i]
            if not is_ordinary:
                density = _CONSTANT[i] - 0.5 * (of + 1.0) * math.log1p(squared / (_UNIT[i] ** 2 * of))
                more = min(density + 0.5 * squared, _MOST)
            odds[i] = min(_PRIOR[i] + _KEPT * (odds[i] - _PRIOR[i]) + share * more, _CERTAIN)
