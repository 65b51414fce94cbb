"""The share of a cohort that will be labelled in the end, with its interval."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from ..quality.estimates import Estimate
from .choice import choose, landmark_of
from .covariates import Cuts, Levels
from .delay_bins import Floats, Ints
from .frailty import frailty
from .history import History
from .life_table import cumulative, followed_bins, life_table, nested_hazards, variance

_Z = 1.959963984540054


class Waiting(NamedTuple):
    """`n` predictions of a stratum without a label, of about the same age, younger than the attribution window."""

    stratum: int
    age_s: float
    n: int


class Cohort(Struct, frozen=True):
    """Predictions of one window of time: all of them, those labelled so far, and those that may still be."""

    predictions: int
    labelled: int
    waiting: Sequence[Waiting] = ()


class Delays(Struct, frozen=True):
    """How long labels take, by stratum (rows) and edge of the bins of delay (columns).

    `risk` is the cumulative hazard, −log of the share still waiting, `risk_variance` Greenwood's variance of it.
    Beyond edge `followed` no prediction was old enough: there the risk is extrapolated. `frailty` is the variance
    between cohorts of the factor that their hazards have in common.
    """

    codings: dict[str, Cuts | Levels]
    edges_s: Floats
    risk: Floats
    risk_variance: Floats
    at_risk: Floats
    followed: int
    frailty: float


def delays(history: History, waiting_ages_s: Floats) -> Delays:
    """Learn them from earlier predictions, to be applied to predictions that have waited for about those ages."""
    landmark = landmark_of(waiting_ages_s, history.edges_s)
    covariates = choose(history, landmark)
    everybody = np.ones(len(history.exit_bin), np.bool_)
    pooled = life_table(history, np.zeros(len(history.exit_bin), np.int64), 1, everybody)
    hazards = nested_hazards(history, covariates, everybody)
    risk = cumulative(hazards)
    return Delays(
        {name: history.codings[name] for name in covariates},
        history.edges_s,
        risk,
        variance(hazards),
        pooled.at_risk[0],
        followed_bins(pooled),
        frailty(history, covariates, landmark),
    )


def final_share(delays: Delays, cohort: Cohort) -> Estimate | None:
    """Labelled so far, plus those waiting by their chance of a label before the attribution window ends.

    The interval is Wilson's (JASA 1927) for the share of those waiting, on as many as would have its variance (Korn &
    Graubard, Survey Methodology 1998): that of the labels to come, of the life table (Greenwood), and between cohorts.
    What is extrapolated beyond the follow-up widens it by itself, and labels are whole. None of nothing.

    >>> table = Delays({}, np.array([0.0, 10.0, 20.0]), np.array([[0.0, 0.5, 0.5 + math.log(2)]]),
    ...                np.zeros((1, 3)), np.array([1000.0, 500.0]), 2, 0.0)
    >>> share = final_share(table, Cohort(predictions=100, labelled=40, waiting=[Waiting(0, 10.0, 60)]))
    >>> share.value, round(share.lower, 3), round(share.upper, 3)
    (0.7, 0.62, 0.78)
    """
    n = cohort.predictions
    if n == 0:
        return None
    known = cohort.labelled / n
    m = sum(group.n for group in cohort.waiting)
    if m == 0:
        return Estimate(known, n, known, known)
    stratum = np.array([group.stratum for group in cohort.waiting])
    age_s = np.array([group.age_s for group in cohort.waiting])
    number = np.array([group.n for group in cohort.waiting], np.float64)
    ahead = _until_end(delays.edges_s, delays.risk, stratum, age_s)
    chance = -np.expm1(-ahead)
    share = float(number @ chance) / m
    doubt_s = number * (1 - chance) * np.sqrt(_until_end(delays.edges_s, delays.risk_variance, stratum, age_s))
    spread = (
        float(number @ (chance * (1 - chance)))
        + float((np.bincount(stratum, weights=doubt_s) ** 2).sum())
        + delays.frailty * float(number @ (ahead * (1 - chance))) ** 2
    ) / (m * m)
    end = np.full_like(age_s, delays.edges_s[delays.followed])
    beyond = _until_end(delays.edges_s, delays.risk, stratum, np.maximum(age_s, end))
    guessed = share - float(number @ -np.expm1(beyond - ahead)) / m
    lower, upper = _wilson(share, spread, m, _at_risk(delays, float(np.median(age_s))))
    lower, upper = math.floor(max(0.0, lower - guessed) * m) / m, math.ceil(min(1.0, upper + guessed) * m) / m
    return Estimate(known + share * m / n, n, known + lower * m / n, known + upper * m / n)


def _until_end(edges_s: Floats, rising: Floats, stratum: Ints, age_s: Floats) -> Floats:
    """What the rows of `rising` gain from an age to the last edge, linear within a bin."""
    place = np.clip(np.searchsorted(edges_s, age_s, side="right") - 1, 0, len(edges_s) - 2)
    part = np.clip((age_s - edges_s[place]) / (edges_s[place + 1] - edges_s[place]), 0.0, 1.0)
    at_age = rising[stratum, place] * (1 - part) + rising[stratum, place + 1] * part
    return np.maximum(rising[stratum, -1] - at_age, 0.0)


def _at_risk(delays: Delays, age_s: float) -> float:
    place = int(np.clip(np.searchsorted(delays.edges_s, age_s, side="right") - 1, 0, len(delays.at_risk) - 1))
    return float(delays.at_risk[place])


def _wilson(share: float, spread: float, m: int, at_risk: float) -> tuple[float, float]:
    """Wilson's bounds of a share on an effective number: by its variance, and not more than data there are."""
    most = 1 / (1 / m + 1 / max(at_risk, 1.0))
    n = min(most, share * (1 - share) / spread) if spread > 0 else most
    n = max(n, 1e-9)
    z2 = _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(max(0.0, share * (1 - share)) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))
