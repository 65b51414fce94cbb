"""What a comparison found: flat, a row of table `drift`."""

from enum import Enum

from msgspec import Struct


class Question(Enum):
    """What of a column may have changed."""

    VALUES = "values"
    MISSING = "missing"
    INVALID = "invalid"


class Reason(Enum):
    """Why something counts as drifted, or why not."""

    DRIFTED = "drifted"
    CHANCE = "chance"
    """Chance explains the difference."""
    TRIFLING = "trifling"
    """Chance doesn't explain it, but it is smaller than what matters."""
    TOO_FEW = "too_few"
    """One side has too few values to say anything."""


class Shift(Struct, frozen=True):
    """A bin or a category, with its share of the values in the reference and now.

    `low` and `high` are the ends of a bin of numbers; NaN of a category.
    """

    name: str
    expected: float
    seen: float
    low: float = float("nan")
    high: float = float("nan")


class Drift(Struct, frozen=True):
    """One question about one column, answered by `compare` alone and by `decide` among others.

    `statistic` is that of `method`, `effect` how much changed in units that columns share, `threshold` the least effect
    that counts. `p_value` is None where nothing was decided.
    """

    question: Question
    kind: str
    method: str
    statistic: float
    effect: float
    threshold: float
    p_value: float | None
    n_reference: int
    n_current: int
    reason: Reason
    """Of this one alone, at 5 %; behind `decide` among all of them."""
    evidence: tuple[Shift, ...] = ()
    name: str = ""
    segment: str = ""
    q_value: float | None = None
    """The least level at which `decide` would have called it drifted."""
    drifted: bool = False

    @property
    def drifted_alone(self) -> bool:
        """As if nothing else had been looked at: p ≤ 5 %, and an effect that counts."""
        return self.p_value is not None and self.p_value <= 0.05 and self.effect >= self.threshold
