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
_PRIOR = (-4.5, -6.5, -8.5)
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
        top = max(0.0, *self.odds)
        total = math.exp(-top)
        p = total * tail(deviation, freedom)
        for log_odds, unit, of in zip(self.odds, _UNIT, _FREEDOM, strict=True):
            if log_odds > top - 30.0:
                weight = math.exp(log_odds - top)
                total += weight
                p += weight * tail(deviation / unit, 1.0 / (1.0 / of + 1.0 / freedom))
        return p / total

    def take(self, deviation: float, share: float) -> None:
        """Learn from a deviation, which counts as the `share` of an independent one."""
        squared = min(deviation * deviation, 1e6)
        more = _WHERE_ORDINARY
        if squared >= _ORDINARY:
            more = [
                constant - 0.5 * (of + 1.0) * math.log1p(squared / (unit * unit * of)) + 0.5 * squared
                for constant, of, unit in zip(_CONSTANT, _FREEDOM, _UNIT, strict=True)
            ]
            beyond = max(max(more) - _MOST, 0.0)
            more = [each - beyond for each in more]
        self.odds = [
            prior + _KEPT * (odds - prior) + share * each
            for prior, odds, each in zip(_PRIOR, self.odds, more, strict=True)
        ]
