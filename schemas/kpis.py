"""What a business wants to know of its models, as counts, shares, sums and means of actions."""

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .outcomes import Positive

ALL_PREDICTIONS = "prediction"
"""What shares are `of`, and counts and sums are `per`, when it is no action."""


class Measure(StrEnum):
    """What is made of the actions of one name."""

    SHARE = "share"
    """Predictions that have one, as a share of all predictions, or of those with an action of another name."""
    COUNT = "count"
    """How many there are."""
    SUM = "sum"
    """What their values add up to."""
    MEAN = "mean"
    """The mean of their values."""


class Per(StrEnum):
    """What a count or a sum is divided by."""

    PREDICTION = ALL_PREDICTIONS


class Kpi(Struct, frozen=True):
    """A key performance indicator: a measure of the actions that are called `action`.

    `value`, if any, says which of them: those with a value on one side of a bound, or one value. A share is `of` the
    predictions with an action of that name, None being all. A count or a sum without `per` is a total.
    """

    name: str
    measure: Measure
    action: str
    of: str | None = None
    per: Per | None = None
    value: "Positive | None" = None
