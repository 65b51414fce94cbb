"""UUIDv7 (RFC 9562 §5.7): ids that sort by time, which keeps lookups by id local in ClickHouse.

Layout, most significant bit first: 48 bits of Unix milliseconds, version 7, 12 bits, variant 2, 62 bits. Ids made now
fill the first 42 of those 74 bits with a counter (§6.2, method 1) and the last 32 with random bits.
"""

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_VARIANT = 0b10 << 14
_COUNTER_BITS = 42
# Half of the counter's range is left free at each start, so that it can hardly run over within a millisecond.
_START_BITS = _COUNTER_BITS - 1


class Uuid7:
    """Makes ids that increase strictly within this process, over all threads, also when the clock steps back.

    A forked child draws new random bits. The generator is its own: seeding Python's or numpy's changes nothing here.

    >>> make = Uuid7()
    >>> make() < make()
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random()
        self._last_ms = 0
        self._counter = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_anew)

    def __call__(self) -> str:
        """The next id, as 36 characters of lower case."""
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            if now_ms > self._last_ms:
                self._last_ms = now_ms
                self._counter = self._random.getrandbits(_START_BITS)
            else:
                self._counter += 1
                if self._counter >> _COUNTER_BITS:
                    self._last_ms += 1
                    self._counter = self._random.getrandbits(_START_BITS)
            return _text(self._last_ms, self._counter << 32 | self._random.getrandbits(32))

    def _start_anew(self) -> None:
        # The parent's other threads don't exist here: one of them may have held the lock.
        self._lock = threading.Lock()
        self._random.seed()


uuid7 = Uuid7()
"""The process's generator."""


def uuid7_of(ts: datetime, sequence: int, namespace: str) -> str:
    """The same id for the same arguments, sorted by `ts` (to the millisecond), then by `sequence` (32 bits).

    For histories: sending them again makes the same ids, so that nothing counts twice.

    >>> uuid7_of(datetime(2013, 3, 1, 10, tzinfo=UTC), 7, "flights")
    '013d2564-dd00-7000-8000-1d14fbc5d842'
    """
    digest = blake2b(f"{namespace}\0{sequence}".encode(), digest_size=6).digest()
    return _text((ts - _EPOCH) // _MILLISECOND, sequence << 42 | int.from_bytes(digest, "big") >> 6)


def _text(unix_ms: int, bits74: int) -> str:
    high, low = bits74 >> 62, bits74 & 0x3FFF_FFFF_FFFF_FFFF
    time_part = f"{unix_ms >> 16:08x}-{unix_ms & 0xFFFF:04x}"
    return f"{time_part}-7{high:03x}-{low >> 48 | _VARIANT:04x}-{low & 0xFFFF_FFFF_FFFF:012x}"
