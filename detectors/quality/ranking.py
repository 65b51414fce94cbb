"""Metrics of a model that puts items in an order: each request shows some, and people act on few of them.

An item's gain is what it was worth: its label, or 0 where that is less. It is relevant if its label is the positive
class, or else if it has a gain. The items of a request are in the order in which they were shown.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from .estimates import Estimate, mean, proportion

CUTS = (1, 5, 10)


class Moments(NamedTuple):
    """Over requests, the sum of a value and the sum of its squares."""

    total: float = 0.0
    squares: float = 0.0


class AtCut(Struct, frozen=True):
    """Sums over requests of what is within their first k items."""

    precision: Moments
    """Relevant items, over k."""
    recall: Moments
    """Relevant items, over all relevant ones of the request; 0 where there are none."""
    average_precision: Moments
    """Σ over the relevant items of the precision down to each, over what could be relevant: min(k, all relevant)."""
    ndcg: Moments
    """Σ gain / log₂(rank + 1), over that of the best order; 0 where nothing has a gain."""
    hits: int
    """Requests with a relevant item."""


class Requests(Struct, frozen=True):
    """Sums over `n` requests, of which `answered` have a relevant item."""

    n: int
    answered: int
    reciprocal_rank: Moments
    """1 / rank of the first relevant item; 0 where there is none."""
    cuts: Mapping[int, AtCut]
    """By k."""


class Shown(Struct, frozen=True):
    """Items whose label is known, in whatever request."""

    n: int
    relevant: int


def of_shown(shown: Shown) -> dict[str, Estimate]:
    """The click-through rate.

    >>> of_shown(Shown(200, 5))["ctr"].value
    0.025
    """
    ctr = proportion(shown.relevant, shown.n)
    return {} if ctr is None else {"ctr": ctr}


def of_requests(requests: Requests) -> dict[str, Estimate]:
    """MRR, and precision, recall, MAP, NDCG and hit rate at each k; what is undefined is left out.

    Each is a mean over requests. One without a relevant item counts 0, but for recall, which it doesn't have. NDCG has
    linear gains (Järvelin and Kekäläinen, ACM TOIS 2002), as scikit-learn's `ndcg_score`.

    >>> first = AtCut(Moments(1, 1), Moments(0.5, 0.25), Moments(1, 1), Moments(1, 1), hits=1)
    >>> metrics = of_requests(Requests(2, 1, Moments(1, 1), {1: first}))
    >>> {name: metric.value for name, metric in metrics.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'mrr': 0.5, 'precision@1': 0.5, 'recall@1': 0.5, 'map@1': 0.5, 'ndcg@1': 0.5, 'hit_rate@1': 0.5}
    >>> metrics["recall@1"].n
    1
    """
    metrics = {"mrr": mean(*requests.reciprocal_rank, requests.n)}
    for k, cut in requests.cuts.items():
        metrics |= {
            f"precision@{k}": mean(*cut.precision, requests.n),
            f"recall@{k}": mean(*cut.recall, requests.answered),
            f"map@{k}": mean(*cut.average_precision, requests.n),
            f"ndcg@{k}": mean(*cut.ndcg, requests.n),
            f"hit_rate@{k}": proportion(cut.hits, requests.n),
        }
    return {name: metric for name, metric in metrics.items() if metric is not None}
