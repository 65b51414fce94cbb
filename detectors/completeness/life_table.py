"""Life tables by stratum: how likely a label comes in each bin of delay, if it has not come before."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .covariates import STRATA, Codes
from .delay_bins import Floats
from .history import History

SHRINKAGE = 10.0
"""Predictions at risk that a stratum's parent counts for, in each bin."""
FEWEST_AT_RISK = 20
"""A bin that fewer predictions were waiting in is not followed up; of less than 200 predictions, a tenth."""
_CERTAIN = 1 - 1e-9


class LifeTable(Struct, frozen=True):
    """Counts of one level of strata, by stratum and bin of delay.

    Half of those censored in a bin count as at risk in it (Cutler & Ederer, Journal of Chronic Diseases 1958).
    """

    labelled: Floats
    at_risk: Floats


class Hazards(Struct, frozen=True):
    """Probability of a label in each bin for those that wait when it begins, and on how many that rests."""

    hazard: Floats
    at_risk: Floats


def life_table(history: History, strata: Codes, n_strata: int, among: NDArray[np.bool_]) -> LifeTable:
    """Count the predictions of `among`, by their stratum."""
    shape = (n_strata, history.bins)
    cell = strata[among] * history.bins + history.exit_bin[among]
    labelled_here = history.labelled[among]
    labelled = np.bincount(cell[labelled_here], minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    # Who left at the very end of a bin has seen all of it.
    whole = history.watched[among] > history.exit_bin[among]
    censored = np.bincount(cell[~labelled_here & ~whole], minlength=shape[0] * shape[1]).reshape(shape)
    left = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    entered = left[:, ::-1].cumsum(axis=1)[:, ::-1]
    return LifeTable(labelled, np.maximum(entered - censored / 2, labelled))


def followed_bins(pooled: LifeTable) -> int:
    """How many bins from the first on have enough predictions at risk: the length of the follow-up."""
    fewest = min(FEWEST_AT_RISK, max(1.0, pooled.at_risk[0, 0] / 10))
    return int(np.argmax(np.append(pooled.at_risk[0] < fewest, True)))


def pooled_hazards(pooled: LifeTable, edges_s: Floats) -> Hazards:
    """Kaplan and Meier's hazards of all predictions, with an exponential tail beyond the follow-up.

    The tail has the rate at which labels came in the second half of the follow-up (after Brown, Hollander & Korwar,
    "Nonparametric tests of independence for censored data", in Reliability and Biometry, 1974).
    """
    labelled, at_risk = pooled.labelled[0], pooled.at_risk[0]
    hazard = np.divide(labelled, at_risk, out=np.zeros_like(labelled), where=at_risk > 0)
    followed = followed_bins(pooled)
    if 0 < followed < len(hazard):
        widths_s = np.diff(edges_s)
        late = slice(min(int(np.searchsorted(edges_s, edges_s[followed] / 2)), followed - 1), followed)
        rate = labelled[late].sum() / max(float((at_risk[late] * widths_s[late]).sum()), 1e-300)
        hazard[followed:] = -np.expm1(-rate * widths_s[followed:])
        at_risk = np.concatenate([at_risk[:followed], np.full(len(hazard) - followed, at_risk[late].mean())])
    return Hazards(np.minimum(hazard, _CERTAIN)[None, :], np.maximum(at_risk, 1.0)[None, :])


def within(parent: Hazards, table: LifeTable) -> Hazards:
    """Hazards of the strata that each stratum of `parent` splits into, shrunk towards it: where a stratum has few
    predictions at risk it goes by its parent (empirical Bayes with a beta prior).

    >>> parent = Hazards(np.array([[0.5]]), np.array([[100.0]]))
    >>> none, many = np.zeros((8, 1)), np.array([[90.0]])
    >>> split = within(parent, LifeTable(np.vstack([none, many]), np.vstack([none, many])))
    >>> split.hazard[:, 0].round(2).tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.95]
    """
    return shrunk(np.repeat(parent.hazard, STRATA, axis=0), table)


def shrunk(prior: Floats, table: LifeTable) -> Hazards:
    """Hazards of the counts, with a prior of the same shape that is worth `SHRINKAGE` predictions."""
    at_risk = table.at_risk + SHRINKAGE
    return Hazards(np.minimum((table.labelled + SHRINKAGE * prior) / at_risk, _CERTAIN), at_risk)


def nested_hazards(history: History, covariates: Sequence[str], among: NDArray[np.bool_]) -> Hazards:
    """Hazards by the strata of all the covariates, each level shrunk towards the one above it."""
    everybody = np.zeros(len(history.exit_bin), np.int64)
    hazards = pooled_hazards(life_table(history, everybody, 1, among), history.edges_s)
    for level in range(1, len(covariates) + 1):
        strata = history.strata(covariates[:level])
        hazards = within(hazards, life_table(history, strata, STRATA**level, among))
    return hazards


def cumulative(hazards: Hazards) -> Floats:
    """−log of the share that still waits at each edge, by stratum: 0 at the first."""
    steps = -np.log1p(-hazards.hazard)
    return np.concatenate([np.zeros((len(steps), 1)), steps.cumsum(axis=1)], axis=1)


def variance(hazards: Hazards) -> Floats:
    """Greenwood's variance of `cumulative` at each edge (Greenwood, "The natural duration of cancer", 1926)."""
    steps = hazards.hazard / ((1 - hazards.hazard) * hazards.at_risk)
    return np.concatenate([np.zeros((len(steps), 1)), steps.cumsum(axis=1)], axis=1)
