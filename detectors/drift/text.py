"""Texts: how long they are, and which words they have."""

import math
from collections.abc import Mapping

import numpy as np
from msgspec import Struct
from scipy import stats

from .column import Column
from .compare import DEFAULT, Limits, compare, reason
from .numeric import Floats
from .result import Drift, Question, Shift

_WORDS = 1_000
_TOP = 5


class Texts(Struct, frozen=True):
    """`lengths` is a numeric column; `words` says in how many of the texts each word is, whatever its number in a text.

    Words of one text belong together, so their plain number would make chance look smaller than it is.
    """

    lengths: Column
    words: Mapping[str, int] = {}

    @property
    def n(self) -> int:
        """How many texts."""
        return self.lengths.n


def compare_texts(
    reference: Texts, current: Texts, *, name: str = "", segment: str = "", limits: Limits = DEFAULT, seed: int = 0
) -> tuple[Drift, Drift]:
    """Have lengths changed, has the vocabulary? The two are comparisons of their own, for `decide`."""
    lengths = compare(
        reference.lengths, current.lengths, name=f"{name}.length", segment=segment, limits=limits, seed=seed
    )
    return lengths, _vocabulary(reference, current, f"{name}.words", segment, limits)


def _vocabulary(reference: Texts, current: Texts, name: str, segment: str, limits: Limits) -> Drift:
    """Each of the 1,000 most frequent words by Fisher's exact test, and the least p-value of them by Bonferroni.

    So it holds however words of a text depend on each other.

    Raises:
        ValueError: a word is in more texts than there are.
    """
    pooled = {word: reference.words.get(word, 0) + n for word, n in current.words.items()}
    pooled |= {word: n for word, n in reference.words.items() if word not in current.words}
    words = sorted((word for word, n in pooled.items() if n), key=lambda word: (-pooled[word], word))[:_WORDS]
    n, m = reference.n, current.n
    before, after = (np.array([side.words.get(word, 0) for word in words], np.int64) for side in (reference, current))
    if words and (before.max() > n or after.max() > m):
        raise ValueError(f"{name}: a word can't be in more texts than there are ({n} and {m})")
    statistic, effect, p_value, evidence = math.nan, math.nan, None, ()
    if min(n, m) >= max(1, limits.least_n) and words:
        p_values = np.minimum(1.0, len(words) * _two_sided(before, after, n, m))
        share = (before + after) / (n + m)
        with np.errstate(all="ignore"):
            moved = np.nan_to_num(np.abs(after / m - before / n) / np.sqrt(share * (1 - share)))
        p_value, statistic = float(p_values.min()), float(np.abs(after / m - before / n).max())
        shown = p_values <= max(0.05, p_value)
        effect = float(moved[shown].max())
        order = np.argsort(np.where(shown, -moved, 0.0), kind="stable")[:_TOP].tolist()
        if p_value <= 0.05:
            evidence = tuple(Shift(words[at], float(before[at] / n), float(after[at] / m)) for at in order if shown[at])
    return Drift(
        question=Question.VALUES, kind="vocabulary", method="exact+bonferroni", statistic=statistic, effect=effect,
        threshold=limits.rate, p_value=p_value, n_reference=n, n_current=m, reason=reason(p_value, effect, limits.rate),
        evidence=evidence, name=name, segment=segment,
    )  # fmt: skip


def _two_sided(before: np.ndarray, after: np.ndarray, n: int, m: int) -> Floats:
    """Twice the smaller tail of the hypergeometric distribution."""
    chance = stats.hypergeom(n + m, before + after, m)
    return np.minimum(1.0, 2 * np.minimum(chance.cdf(after), chance.sf(after - 1)))
