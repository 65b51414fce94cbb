"""Earlier predictions as far as the life table needs them: how long each was watched, and whether a label came."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .covariates import STRATA, Codes, Cuts, Levels, cut_numbers, cut_texts
from .delay_bins import Floats, Ints, bin_edges, bin_of, whole_bins

BLOCKS = 32


class History(Struct, frozen=True):
    """A sample of predictions, an entry each, ordered by the time of prediction.

    `exit_bin` is the bin of delay in which a prediction was labelled, or last seen waiting; `watched` the number of
    bins that its age has behind it, labelled or not. `block` is its stretch of time, `BLOCKS` stretches of equally many
    predictions. `codes` has the stratum of each prediction by covariate.
    """

    edges_s: Floats
    labelled: NDArray[np.bool_]
    exit_bin: Ints
    watched: Ints
    block: Ints
    codes: Mapping[str, Codes]
    codings: Mapping[str, Cuts | Levels]

    @property
    def bins(self) -> int:
        """Bins of delay."""
        return len(self.edges_s) - 1

    @property
    def halves(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The earlier and the later half of the predictions."""
        earlier = self.block < BLOCKS // 2
        return earlier, ~earlier

    def waits(self, landmark: int) -> NDArray[np.bool_]:
        """Predictions that were waiting when a bin began, and are old enough to have all of it behind them."""
        return (self.exit_bin >= landmark) & (self.watched > landmark)

    def strata(self, covariates: Sequence[str]) -> Codes:
        """The stratum of each prediction by several covariates, the first one the most significant digit."""
        strata = np.zeros(len(self.exit_bin), np.int64)
        for covariate in covariates:
            strata = strata * STRATA + self.codes[covariate]
        return strata


class Sample(Struct, frozen=True):
    """Earlier predictions, an entry each, oldest first: their age, the delay of the label that is known (NaN where none
    is), and what they carry: `numbers`, NaN where missing, and `texts`, "" where missing.
    """

    ages_s: Floats
    delays_s: Floats
    numbers: Mapping[str, Floats] = {}
    texts: Mapping[str, NDArray[np.object_]] = {}


def history(sample: Sample, window_s: float) -> History:
    """A sample, cut into bins of delay and strata.

    A label that outlasts the attribution window is none, and one with a delay greater than the age is not known yet. A
    delay below 0, which clocks in disorder make, is 0.
    """
    seen_s = np.minimum(sample.ages_s, window_s)
    delays_s = np.maximum(sample.delays_s, 0.0)
    labelled = delays_s <= seen_s
    edges = bin_edges(delays_s[labelled], window_s)
    n = len(seen_s)
    codings: dict[str, Cuts | Levels] = {}
    codes: dict[str, Codes] = {}
    for name, numbers in sample.numbers.items():
        codings[name] = cuts = cut_numbers(numbers)
        codes[name] = cuts.codes(numbers)
    for name, texts in sample.texts.items():
        codings[name] = levels = cut_texts(texts)
        codes[name] = levels.codes(texts)
    return History(
        edges,
        labelled,
        bin_of(np.where(labelled, delays_s, seen_s), edges),
        whole_bins(seen_s, edges),
        np.arange(n) * BLOCKS // max(n, 1),
        codes,
        codings,
    )
