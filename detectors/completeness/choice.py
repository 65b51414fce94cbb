"""Which covariates a life table is stratified by: those that foretell labels of predictions it has not seen."""

import numpy as np
from numpy.typing import NDArray

from .covariates import STRATA, Codes
from .delay_bins import Floats, Ints
from .history import History
from .life_table import Hazards, cumulative, life_table, pooled_hazards, shrunk, within

MOST_COVARIATES = 3
_LEAST_LIKELY = 1e-3
# A gain must be this many standard errors above nothing (Breiman et al., CART, 1984).
_SURE = 1.0


class _Half:
    """One half of the history to learn from, and of the other half those waiting at the landmark to be scored on."""

    def __init__(self, history: History, landmark: int, learn: NDArray[np.bool_]) -> None:
        self._history = history
        self._learn = learn
        self._judge = ~learn & history.waits(landmark)
        self._landmark = landmark
        self._watched: Ints = history.watched[self._judge]
        # Whether the label came while the prediction was watched for whole bins; those that began later don't count.
        self._came = history.labelled[self._judge] & (history.exit_bin[self._judge] < self._watched)
        self.block: Ints = history.block[self._judge]
        self.take(np.zeros(len(history.exit_bin), np.int64))

    def take(self, strata: Codes, hazards: Hazards | None = None) -> None:
        """Go on from these strata. To be beaten is the score of their hazards when they are shrunk once more to
        themselves, as those of a split are: else a split into noise gains by shrinking less to the strata above.
        """
        counts = life_table(self._history, strata, 1 if hazards is None else len(hazards.hazard), self._learn)
        self._hazards = hazards or pooled_hazards(counts, self._history.edges_s)
        self.score = self._log_score(shrunk(self._hazards.hazard, counts), strata)

    def split(self, strata: Codes) -> tuple[Hazards, Floats]:
        """Hazards when the present strata split into these, and the log score of each prediction judged."""
        n_strata = STRATA * len(self._hazards.hazard)
        hazards = within(self._hazards, life_table(self._history, strata, n_strata, self._learn))
        return hazards, self._log_score(hazards, strata)

    def _log_score(self, hazards: Hazards, strata: Codes) -> Floats:
        rising = cumulative(hazards)
        stratum = strata[self._judge]
        likely = -np.expm1(rising[stratum, self._landmark] - rising[stratum, self._watched])
        likely = np.clip(likely, _LEAST_LIKELY, 1 - _LEAST_LIKELY)
        return np.log(np.where(self._came, likely, 1 - likely))


def choose(history: History, landmark: int) -> tuple[str, ...]:
    """Covariates that foretell best, at most `MOST_COVARIATES`, the best first; none where nothing helps.

    Asked is what the estimate needs: of predictions that wait at the beginning of bin `landmark`, which will be
    labelled by the age that they have now (landmarking: van Houwelingen, Scandinavian Journal of Statistics 2007; the
    log score of what is known at the prediction's own age needs no weights for censoring). Forward selection: the
    covariate with the highest score, each half of the time judged by what the other one teaches, is added while it
    gains more than the standard error of that gain over blocks of time.
    """
    halves = [_Half(history, landmark, half) for half in history.halves]
    blocks = np.concatenate([half.block for half in halves])
    chosen: list[str] = []
    while len(chosen) < MOST_COVARIATES and len(blocks):
        best: tuple[float, str] | None = None
        for name in history.codes.keys() - chosen:
            strata = history.strata([*chosen, name])
            gains = np.concatenate([half.split(strata)[1] - half.score for half in halves])
            gain = float(gains.sum())
            if gain > _SURE * _standard_error(gains, blocks) and (best is None or (gain, name) > best):
                best = gain, name
        if best is None:
            break
        chosen.append(best[1])
        for half in halves:
            strata = history.strata(chosen)
            half.take(strata, half.split(strata)[0])
    return tuple(chosen)


def landmark_of(waiting_ages_s: Floats, edges_s: Floats) -> int:
    """The bin in which the median of those waiting is; 0 where nobody waits."""
    if not waiting_ages_s.size:
        return 0
    middle = np.median(waiting_ages_s)
    return int(np.clip(np.searchsorted(edges_s, middle, side="right") - 1, 0, len(edges_s) - 2))


def _standard_error(gains: Floats, blocks: NDArray[np.int64]) -> float:
    """Of their sum; predictions of one block are not independent, blocks are taken to be."""
    of_block = np.bincount(blocks, weights=gains)
    return float(np.sqrt((of_block**2).sum()))
