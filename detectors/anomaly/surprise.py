"""One surprise from many signs, and whether it says anything new."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from .tail import Tail
from .yesterday import Yesterday

MOST = 8.0
"""The most that one sign of several of its kind can say: 1 in 3,000."""
MOST_ALONE = 16.0
"""The most that a sign can say that no other can see as well: enough to be found after one or two like it."""
AS_YESTERDAY = 1.5
"""A sign of up to so many times what it was a day ago, about this time, says nothing."""
REST = 100
"""Values for which a surprise is only told again if it has become larger."""
LARGER = 1.5
_ALIKE = 0.8
_REPEATS = 0.4
_KEPT = 100


class Evidence:
    """The sum of what the signs say: minus log probabilities, as Fisher combines them; 0 for nothing unusual."""

    def __init__(self, signs: int, alone: int = 0) -> None:
        """`signs`: how many, and then `alone` further ones that may say more."""
        self._tails = [Tail() for _ in range(signs + alone)]
        self._most = [MOST] * signs + [MOST_ALONE] * alone
        self._yesterday = Yesterday()

    def take(self, ts_us: int, signs: list[float]) -> float:
        """Take the signs of a time."""
        before = self._yesterday.largest(ts_us)
        total = 0.0
        for number, (tail, sign) in enumerate(zip(self._tails, signs, strict=True)):
            said = tail.take(sign)
            if said and (before is None or sign > AS_YESTERDAY * before[number]):
                total += min(said, self._most[number])
        self._yesterday.take(signs)
        return total

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {"tails": [tail.state() for tail in self._tails], "yesterday": self._yesterday.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        for tail, kept in zip(self._tails, state["tails"], strict=True):
            tail.load(kept)
        self._yesterday.load(state["yesterday"])


class News:
    """Of evidence, what is new: an event is told when it comes, and less strongly if there were others like it."""

    def __init__(self) -> None:
        self._n = 0
        self._told = 0.0
        self._at = 0
        self._past: deque[float] = deque(maxlen=_KEPT)

    def take(self, evidence: float) -> float:
        """What is new about it; 0 for nothing."""
        self._n += 1
        if self._told and self._n - self._at > REST:
            self._past.append(self._told)
            self._told = 0.0
        if evidence <= LARGER * self._told:
            return 0.0
        self._told, self._at = evidence, self._n
        alike = sum(each >= _ALIKE * evidence for each in self._past)
        return evidence / (1 + alike) ** _REPEATS

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {"n": self._n, "told": self._told, "at": self._at, "past": list(self._past)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` says."""
        self._n, self._told, self._at = int(state["n"]), float(state["told"]), int(state["at"])
        self._past.clear()
        self._past.extend(map(float, state["past"]))
