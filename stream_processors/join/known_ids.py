"""Which prediction ids a partition may have met before: a growing Bloom filter over everything in ClickHouse.

"No" is certain, so a new prediction costs no lookup. "Maybe" costs one, and is wrong for fewer than one id in a hundred.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_HASHES = 6
_BITS_PER_ID = 16
_FIRST_CAPACITY = 1 << 16


class KnownIds:
    """Bloom filters of doubling size, the last one open.

    Holds about two to four bytes an id. Beyond `limit` ids the last filter is overfilled: more ids answer "maybe", and
    are looked up; memory stays where it is and no answer becomes wrong.

    >>> known = KnownIds()
    >>> known.add(["a", "b"])
    >>> known.maybe(["a", "z"])
    [True, False]
    """

    def __init__(self, limit: int = 50_000_000) -> None:
        self.limit = limit
        self._filters: list[_Filter] = [_Filter(_FIRST_CAPACITY)]
        self.count = 0

    def add(self, ids: Sequence[str]) -> None:
        """Remember ids."""
        if not ids:
            return
        last = self._filters[-1]
        if last.count >= last.capacity and sum(f.capacity for f in self._filters) < self.limit:
            last = _Filter(last.capacity * 2)
            self._filters.append(last)
        last.add(_hashes(ids))
        self.count += len(ids)

    def maybe(self, ids: Sequence[str]) -> list[bool]:
        """For each id, False if it was never added."""
        if not ids:
            return []
        hashes = _hashes(ids)
        found = self._filters[-1].has(hashes)
        for earlier in self._filters[-2::-1]:
            found |= earlier.has(hashes)
        return found.tolist()

    @property
    def size_bytes(self) -> int:
        """Memory of the filters."""
        return sum(f.bits.nbytes for f in self._filters)


class _Filter:
    """One Bloom filter with room for `capacity` ids."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        self.bits = np.zeros(capacity * _BITS_PER_ID // 8, dtype=np.uint8)

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        positions = self._positions(hashes).ravel()
        np.bitwise_or.at(self.bits, positions >> np.uint64(3), _BIT[positions & np.uint64(7)])
        self.count += len(hashes)

    def has(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        positions = self._positions(hashes)
        return ((self.bits[positions >> np.uint64(3)] & _BIT[positions & np.uint64(7)]) != 0).all(axis=0)

    def _positions(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        step = (hashes >> np.uint64(32)) | np.uint64(1)
        mask = np.uint64(self.bits.size * 8 - 1)
        return (hashes + _ROUNDS * step) & mask


_ROUNDS = np.arange(_HASHES, dtype=np.uint64)[:, None]
_BIT = (1 << np.arange(8)).astype(np.uint8)


def _hashes(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    # Python's own string hash (SipHash, keyed for each process): the filter never leaves the process.
    return np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids)).view(np.uint64)
