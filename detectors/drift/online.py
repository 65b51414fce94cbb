"""False discoveries over time: window after window is tested, and what is called drifted must stay mostly right."""

import math
from collections.abc import Mapping
from typing import Any, Self

from ..interface import SnapshotError

_REMEMBERED = 1_000
_MOST = 2**53
# Makes the shares of `_share` add up to 0.999 (the form is that of Javanmard and Montanari, Annals of Statistics 2018).
_SCALE = 0.079


class OnlineFdr:
    """LORD++ (Ramdas, Yang, Wainwright and Jordan, NeurIPS 2017): p-values come one by one, each is decided at once.

    At any time at most the share `level` of all rejections so far is false, on average, if p-values of unchanged
    columns don't depend on earlier ones. A long time without any makes it stricter; each rejection gives back what
    can be spent. Bounded: of rejections the last 1,000 count, which errs on the safe side.

    >>> stream = OnlineFdr(0.05)
    >>> [stream.test(p) for p in (1e-6, 0.5, 0.0004)]
    [True, False, True]
    """

    name = "lord++"
    version = 1

    def __init__(self, level: float = 0.05) -> None:
        if not 0 < level < 1:
            raise ValueError(f"a level lies between 0 and 1, not at {level}")
        self.level = level
        self.tested = 0
        self.rejected = 0
        self._first: int | None = None
        self._last: list[int] = []

    @property
    def next_level(self) -> float:
        """The level at which the next p-value is tested."""
        now, first_wealth = self.tested + 1, self.level / 2
        spent = _share(now) * first_wealth
        if self._first is not None:
            spent += (self.level - first_wealth) * _share(now - self._first)
        return spent + self.level * math.fsum(_share(now - each) for each in self._last)

    def test(self, p_value: float) -> bool:
        """Whether it is rejected.

        Raises:
            ValueError: it is not between 0 and 1.
        """
        if not 0 <= p_value <= 1:
            raise ValueError(f"a p-value lies between 0 and 1, not at {p_value}")
        rejects = p_value <= self.next_level
        self.tested += 1
        if rejects:
            self.rejected += 1
            if self._first is None:
                self._first = self.tested
            else:
                self._last = [*self._last, self.tested][-_REMEMBERED:]
        return rejects

    def snapshot(self) -> dict[str, Any]:
        """The state as plain data: what JSON can hold."""
        return {
            "procedure": self.name, "version": self.version, "level": self.level, "tested": self.tested,
            "rejected": self.rejected, "first": self._first, "last": list(self._last),
        }  # fmt: skip

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """As it was when the snapshot was taken.

        Raises:
            SnapshotError: it is another procedure's, another version's, or damaged.
        """
        kind = snapshot.get("procedure"), snapshot.get("version")
        if kind != (cls.name, cls.version):
            raise SnapshotError(f"a snapshot of {kind[0]!r}, version {kind[1]!r}: {cls.name!r} reads {cls.version}")
        try:
            restored = cls(float(snapshot["level"]))
            restored.tested, restored.rejected = int(snapshot["tested"]), int(snapshot["rejected"])
            first = snapshot["first"]
            restored._first = None if first is None else int(first)
            restored._last = [int(each) for each in snapshot["last"]][-_REMEMBERED:]
            rejections = [*([] if restored._first is None else [restored._first]), *restored._last]
            if not 0 <= restored.tested < _MOST or not all(0 < at <= restored.tested for at in rejections):
                raise ValueError(f"{rejections} of {restored.tested} are rejected")
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise SnapshotError(f"a damaged snapshot of {cls.name!r}: {exc!r}") from exc
        return restored


def _share(t: int) -> float:
    return _SCALE * math.log(max(t, 2)) / (t * math.exp(math.sqrt(math.log(t))))
