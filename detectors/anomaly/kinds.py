"""What the values of a series are made of, and how far they may be from what is expected by that alone.

A kind works on its own scale, on which noise is about the same everywhere, and on amounts: what was seen, what was
expected and their weight, which add up over steps; `changed` is what would be seen of a step if what changed a value
from `before` to `after` changed it as well. Deviations are signed roots of deviances (McCullagh, Nelder, 1989),
after a correction for continuity: standard normal, nearly, down to single counts.
"""

import math
from typing import Literal

from msgspec import Struct

Kind = Literal["count", "share", "mean"]
LEAST = 0.5
"""Of a count that is expected in a step: what never happened so far may happen."""
UNKNOWN_N = 30
"""A share is taken as one of so many, where nobody says."""
_FEW = 4.0


class Seen(Struct, frozen=True):
    """A value on the scale of its kind: `residual` from what was expected, and the amounts that add up.

    `information`: what noise beyond sampling grows with.
    """

    residual: float
    seen: float
    expected: float
    weight: float
    information: float


def _root(deviance: float, difference: float) -> float:
    return math.copysign(math.sqrt(max(deviance, 0.0)), difference)


class Count:
    """Numbers of events: Poisson noise at least. Scale: 2√x."""

    sampling = True

    def scaled(self, value: float) -> float:
        return 2.0 * math.sqrt(max(value, 0.0))

    def natural(self, scaled: float) -> float:
        return (max(scaled, 0.0) / 2.0) ** 2

    def look(self, value: float, n: int | None, expected: float) -> Seen:
        value, mean = max(value, 0.0), self.natural(expected)
        if mean >= _FEW:
            residual = 2.0 * math.sqrt(value + 0.25) - expected
        else:
            residual = (value - mean) / math.sqrt(max(mean, LEAST))
        return Seen(residual, value, mean, 1.0, mean)

    def unit(self, weight: float) -> float:
        return 1.0

    def deviation(self, seen: float, expected: float, weight: float, steps: int) -> float:
        expected = max(expected, LEAST * steps if seen > expected else LEAST)
        difference = seen - expected
        if abs(difference) <= 0.5:
            return 0.0
        seen -= math.copysign(0.5, difference)
        log = seen * math.log(seen / expected) if seen > 0.0 else 0.0
        return _root(2.0 * (log - seen + expected), difference)

    def of_amount(self, amount: float, weight: float) -> float:
        return amount / weight

    def changed(self, expected: float, weight: float, before: float, after: float) -> float:
        return expected * (after + LEAST) / (before + LEAST)


class Share:
    """Shares of n observations: binomial noise at least. Scale: 2 arcsin √x."""

    sampling = True

    def scaled(self, value: float) -> float:
        return 2.0 * math.asin(math.sqrt(min(max(value, 0.0), 1.0)))

    def natural(self, scaled: float) -> float:
        return math.sin(min(max(scaled, 0.0), math.pi) / 2.0) ** 2

    def look(self, value: float, n: int | None, expected: float) -> Seen:
        n = UNKNOWN_N if n is None else max(n, 1)
        share = self.natural(expected)
        seen, mean = min(max(value, 0.0), 1.0) * n, share * n
        if _FEW <= mean <= n - _FEW:
            residual = self.scaled((seen + 0.25) / (n + 0.5)) - expected
        else:
            residual = (seen - mean) / n / math.sqrt(max(share * (1.0 - share), LEAST / n))
        return Seen(residual, seen, mean, float(n), float(n))

    def unit(self, weight: float) -> float:
        return 1.0 / math.sqrt(weight)

    def deviation(self, seen: float, expected: float, weight: float, steps: int) -> float:
        least = min(LEAST, weight / steps / 2.0)
        expected = max(expected, least * steps if seen > expected else least)
        expected = min(expected, weight - (least * steps if seen < expected else least))
        difference = seen - expected
        if abs(difference) <= 0.5:
            return 0.0
        seen -= math.copysign(0.5, difference)
        log = seen * math.log(seen / expected) if seen > 0.0 else 0.0
        rest = weight - seen
        if rest > 0.0:
            log += rest * math.log(rest / (weight - expected))
        return _root(2.0 * log, difference)

    def of_amount(self, amount: float, weight: float) -> float:
        return amount / weight

    def changed(self, expected: float, weight: float, before: float, after: float) -> float:
        return self.natural(self.scaled(expected / weight) + self.scaled(after) - self.scaled(before)) * weight


class Mean:
    """Means of anything, and numbers of no other kind: only history says how they vary. Scale: asinh x by `size`."""

    sampling = False

    def __init__(self, size: float, typical_n: float) -> None:
        """`size`: of usual values; `typical_n`: what a value is usually made of, 0 where unknown."""
        self.size, self.typical_n = size or 1.0, typical_n

    def scaled(self, value: float) -> float:
        return math.asinh(value / self.size)

    def natural(self, scaled: float) -> float:
        return math.sinh(min(max(scaled, -600.0), 600.0)) * self.size

    def look(self, value: float, n: int | None, expected: float) -> Seen:
        weight = 1.0
        if n is not None and self.typical_n > 0.0:
            weight = math.sqrt(min(1.0, max(n, 1) / self.typical_n))
        scaled = self.scaled(value)
        return Seen(scaled - expected, scaled * weight, expected * weight, weight, 1.0)

    def unit(self, weight: float) -> float:
        return 1.0 / weight

    def deviation(self, seen: float, expected: float, weight: float, steps: int) -> float:
        return (seen - expected) / math.sqrt(steps)

    def of_amount(self, amount: float, weight: float) -> float:
        return self.natural(amount / weight)

    def changed(self, expected: float, weight: float, before: float, after: float) -> float:
        return expected + (self.scaled(after) - self.scaled(before)) * weight
