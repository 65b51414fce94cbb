"""Business indicators, from what their actions add up to."""

from typing import NamedTuple

from ...schemas.kpis import Kpi, Measure
from .estimates import Estimate, mean, proportion


class Sample(NamedTuple):
    """Of `n` predictions or actions, the sum of what each contributes, and the sum of the squares of that.

    A prediction contributes to a share 1 or 0, to a count or a sum that of its own actions.
    """

    n: int
    total: float
    squares: float


def of_sample(kpi: Kpi, sample: Sample) -> Estimate | None:
    """The value of the indicator. Shares have Wilson's interval, means the normal one, totals none. None of nothing.

    >>> of_sample(Kpi("ctr", Measure.SHARE, "click"), Sample(200, 5.0, 5.0)).value
    0.025
    >>> of_sample(Kpi("revenue", Measure.SUM, "purchase"), Sample(200, 75.0, 1500.0))
    Estimate(value=75.0, n=200, lower=None, upper=None)
    """
    if kpi.measure is Measure.SHARE:
        return proportion(round(sample.total), sample.n)
    if kpi.measure is Measure.MEAN or kpi.per is not None:
        return mean(sample.total, sample.squares, sample.n)
    return Estimate(sample.total, sample.n)
