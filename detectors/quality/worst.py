"""Which slices are worse than the whole, beyond what chance explains."""

from collections.abc import Hashable, Mapping
from statistics import NormalDist
from typing import Generic, NamedTuple, TypeVar

from .estimates import Estimate

S = TypeVar("S", bound=Hashable)

_ERRORS = ("log_loss", "brier", "calibration_error", "mae", "rmse", "mape", "quantile_loss_")
_NEITHER = ("bias", "prevalence", "labelled")
_ALPHA = 0.05


class Worse(NamedTuple, Generic[S]):
    """A slice, its metric, and by how much it is worse than the whole: as measured, and at least."""

    slice: S
    estimate: Estimate
    gap: float
    at_least: float
    """Lower bound of the gap, for all slices together at 95 %; above 0 chance does not explain it."""


def worst(metric: str, whole: Estimate, slices: Mapping[S, Estimate]) -> list[Worse[S]]:
    """Slices by the lower bound of their gap to the whole, worst first; those without an interval are left out.

    The bound is one-sided and holds for all of them at once (Bonferroni): of many small slices some look bad by chance.

    Raises:
        ValueError: neither a high nor a low value of the metric is the better one.

    >>> found = worst("accuracy", Estimate(0.9, 5000), {
    ...     "few": Estimate(0.5, 2, 0.09, 0.91), "many": Estimate(0.85, 900, 0.825, 0.872)})
    >>> [(each.slice, each.at_least > 0) for each in found]
    [('many', True), ('few', False)]
    """
    if metric.startswith(_NEITHER):
        raise ValueError(f"of {metric} neither a high nor a low value is the better one")
    is_error = metric.startswith(_ERRORS)
    # The intervals of the estimates are two-sided, at 95 %.
    wider = NormalDist().inv_cdf(1 - _ALPHA / max(1, len(slices))) / NormalDist().inv_cdf(0.975)
    found: list[Worse[S]] = []
    for slice_, estimate in slices.items():
        if estimate.lower is None or estimate.upper is None:
            continue
        gap = estimate.value - whole.value if is_error else whole.value - estimate.value
        towards_whole = estimate.value - estimate.lower if is_error else estimate.upper - estimate.value
        found.append(Worse(slice_, estimate, gap, gap - wider * towards_whole))
    return sorted(found, key=lambda each: -each.at_least)
