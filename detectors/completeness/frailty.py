"""How much more than by chance the labels of one stretch of time differ from those of another."""

from collections.abc import Sequence

import numpy as np

from .delay_bins import Floats
from .history import BLOCKS, History
from .life_table import nested_hazards


def frailty(history: History, covariates: Sequence[str], landmark: int) -> float:
    """Variance of the factor that the hazards of a block of time have in common, its mean being 1.

    (Vaupel, Manton & Stallard, "The impact of heterogeneity in individual frailty", Demography 1979.) A moment
    estimate: labels that came to those waiting at the landmark, against those that a life table of the *other* half of
    the time expects. So it has what one time is off from another as well, and not only what blocks vary.
    """
    strata = history.strata(covariates)
    excess, scale = 0.0, 0.0
    for learn in history.halves:
        hazard = nested_hazards(history, covariates, learn).hazard
        judged = ~learn & history.waits(landmark)
        block, stratum, watched = history.block[judged], strata[judged], history.watched[judged]
        came = history.labelled[judged] & (history.exit_bin[judged] < watched)
        until = np.where(came, history.exit_bin[judged] + 1, watched)
        # The compensator of the counts, and its own variance: a label ends the risk of its prediction.
        likely, noise = (
            cumulated[stratum, until] - cumulated[stratum, landmark]
            for cumulated in (_from_zero(hazard), _from_zero(hazard * (1 - hazard)))
        )
        surplus = np.bincount(block, weights=came - likely, minlength=BLOCKS)
        excess += float((surplus**2).sum() - noise.sum())
        scale += float((np.bincount(block, weights=likely, minlength=BLOCKS) ** 2).sum())
    return max(0.0, excess) / scale if scale > 0 else 0.0


def _from_zero(steps: Floats) -> Floats:
    return np.concatenate([np.zeros((len(steps), 1)), steps.cumsum(axis=1)], axis=1)
