"""Which rule a row of feedback answers: the epoch of the rule, and the revision that carries it."""

from collections.abc import Iterator, Mapping

RULE = tuple[str, str]
"""Model and outcome."""

_BASE_BITS = 20
_LARGEST_BASE = (1 << _BASE_BITS) - 1

MOST_EPOCHS = 1 << (32 - _BASE_BITS)
"""A revision has 32 bits."""


class Epochs:
    """How often each rule changed. That of the model "" holds for every model that is not configured.

    >>> epochs = Epochs({("ctr", "click"): 2})
    >>> epochs.of("ctr", "click"), epochs.of("ctr", "buy"), epochs.any_changed
    (2, 0, True)
    """

    def __init__(self, of: Mapping[RULE, int] | None = None) -> None:
        self._of = dict(of or {})
        self.any_changed = any(self._of.values())

    def __iter__(self) -> Iterator[RULE]:
        return iter(self._of)

    def of(self, model: str, outcome: str) -> int:
        """The epoch of a rule; 0 for one that never changed."""
        epoch = self._of.get((model, outcome))
        return self._of.get(("", outcome), 0) if epoch is None else epoch


def revision_of(epoch: int, n_actions: int, expired: bool) -> int:
    """Revision of a row: every one of a rule is above every one of the rule before it.

    Within a rule it is twice the number of counting actions, plus 1 if the outcome was expired before: 0 for an answer
    that the rule takes back, 1 for a timeout. From half a million actions on it stays the same.

    >>> [revision_of(0, n, expired) for n, expired in ((0, True), (1, False), (1, True))]
    [1, 2, 3]
    >>> revision_of(1, 0, False) > revision_of(0, 10**9, True)
    True
    """
    return (epoch << _BASE_BITS) + min(2 * n_actions + expired, _LARGEST_BASE)
