"""Which prediction ids a partition may have met before: fingerprints of everything in ClickHouse, in numpy.

"No" is certain, so a new prediction costs no lookup. "Maybe" costs one, and is wrong about once in a hundred million
ids: a false one in every batch would mean a query for every batch.
"""

import mmap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_FIRST_SLOTS = 1 << 16
_GROWTH = 4
_FULL = 0.7


class KnownIds:
    """Open-addressing tables of 32-bit fingerprints, each four times as large as the one before, the last one open.

    Holds 6 to 23 bytes an id. Beyond `limit` ids nothing more is remembered and every answer is "maybe": more lookups,
    no more memory, and still no wrong "no".

    >>> known = KnownIds()
    >>> known.add(["a", "b"])
    >>> known.maybe(["a", "z"])
    [True, False]
    """

    def __init__(self, limit: int = 50_000_000) -> None:
        self.limit = limit
        self.count = 0
        self._tables: list[_Table] = [_Table(_FIRST_SLOTS)]

    def add(self, ids: Sequence[str]) -> None:
        """Remember ids."""
        self.count += len(ids)
        if not ids or self.count > self.limit:
            return
        hashes = _hashes(ids)
        while len(hashes):
            last = self._tables[-1]
            if not last.room:
                last = _Table(_GROWTH * last.slots)
                self._tables.append(last)
            last.add(hashes[: last.room])
            hashes = hashes[last.added :]

    def maybe(self, ids: Sequence[str]) -> list[bool]:
        """For each id, False if it was never added."""
        if not ids:
            return []
        if self.count > self.limit:
            return [True] * len(ids)
        hashes = _hashes(ids)
        found = self._tables[-1].has(hashes)
        for earlier in self._tables[:-1]:
            found |= earlier.has(hashes)
        return found.tolist()

    @property
    def size_bytes(self) -> int:
        """Memory of the tables."""
        return sum(table.prints.nbytes for table in self._tables)


class _Table:
    """Linear probing, a whole batch of hashes a step. Fingerprint 0 marks a free slot."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.room = int(slots * _FULL)
        self.added = 0
        # Zeroed pages of its own: in the heap it would keep the buffers around it from being used again.
        self.prints = np.frombuffer(mmap.mmap(-1, 4 * slots), dtype=np.uint32)

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        self.added = len(hashes)
        self.room -= len(hashes)
        slot, fingerprint = self._first(hashes)
        while len(slot):
            held = self.prints[slot]
            free = held == 0
            # Of several that want one free slot the last one written gets it; the others see that, and go on.
            self.prints[slot[free]] = fingerprint[free]
            settled = self.prints[slot] == fingerprint
            slot, fingerprint = self._next(slot[~settled]), fingerprint[~settled]

    def has(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(hashes), dtype=np.bool_)
        slot, fingerprint = self._first(hashes)
        waiting = np.arange(len(hashes))
        while len(waiting):
            held = self.prints[slot]
            equal = held == fingerprint
            found[waiting[equal]] = True
            on = ~(equal | (held == 0))
            waiting, slot, fingerprint = waiting[on], self._next(slot[on]), fingerprint[on]
        return found

    def _first(self, hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        slot = (hashes & np.uint64(self.slots - 1)).astype(np.int64)
        fingerprint = (hashes >> np.uint64(32)).astype(np.uint32)
        return slot, np.where(fingerprint == 0, np.uint32(1), fingerprint)

    def _next(self, slot: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return (slot + 1) & (self.slots - 1)


def _hashes(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    # Python's own string hash (SipHash, keyed for each process): the tables never leave the process.
    return np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids)).view(np.uint64)
