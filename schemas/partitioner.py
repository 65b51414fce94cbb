"""Which partition a key belongs to: Kafka's murmur2, as Java clients, aiokafka and our producers compute it.

Kafka's reference is ``org.apache.kafka.common.utils.Utils.murmur2`` and ``toPositive(hash) % partitions``.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SEED = 0x9747B28C
_M = 0x5BD1E995
_U32 = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF
# Longer keys go one by one: the vectorised loop runs once for each word of the longest key.
_LONGEST_VECTORISED = 1024
_TAIL_MASK = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], dtype=np.uint32)


def murmur2(key: bytes) -> int:
    """Kafka's 32-bit murmur2 of `key`, unsigned.

    >>> hex(murmur2(b"foobar"))
    '0xd0e47bbe'
    """
    words = len(key) // 4
    h = _SEED ^ len(key)
    for position in range(0, words * 4, 4):
        k = (int.from_bytes(key[position : position + 4], "little") * _M) & _U32
        k = ((k ^ (k >> 24)) * _M) & _U32
        h = ((h * _M) & _U32) ^ k
    if tail := key[words * 4 :]:
        h = ((h ^ int.from_bytes(tail, "little")) * _M) & _U32
    h = ((h ^ (h >> 13)) * _M) & _U32
    return h ^ (h >> 15)


def partition_of(key: str | bytes, partitions: int) -> int:
    """The partition of one key. For batches use `partitions_of`, some thirty times quicker a key.

    >>> partition_of("0190b5f0-1234-7abc-8def-0123456789ab", 64)
    20
    """
    return (murmur2(key.encode() if isinstance(key, str) else key) & _POSITIVE) % partitions


def partitions_of(keys: Sequence[str] | Sequence[bytes], partitions: int) -> npt.NDArray[np.int32]:
    """The partition of every key, in order; keys are all text or all bytes, of any lengths.

    >>> partitions_of(["a", "key-17", "0190b5f0-1234-7abc-8def-0123456789ab"], 64).tolist()
    [60, 52, 20]
    """
    count = len(keys)
    if not count:
        return np.zeros(0, dtype=np.int32)
    joined, lengths = _joined(keys)
    longest = int(lengths.max())
    if longest > _LONGEST_VECTORISED:
        return np.array([partition_of(key, partitions) for key in keys], dtype=np.int32)
    starts = np.cumsum(lengths) - lengths
    if longest == int(lengths.min()):
        return _partitions(_murmur2_of_rows(joined, starts, lengths), partitions)
    # Longest first: the keys that still have a word left are then always a prefix.
    order = np.argsort(-lengths, kind="stable")
    hashes = np.empty(count, dtype=np.uint32)
    hashes[order] = _murmur2_of_rows(joined, starts[order], lengths[order])
    return _partitions(hashes, partitions)


def _joined(keys: Sequence[str] | Sequence[bytes]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """All keys in one buffer, with room to read a word behind the last, and the length of each in bytes."""
    if isinstance(keys[0], str):
        text = "".join(keys)  # pyright: ignore[reportArgumentType, reportCallIssue]
        if not text.isascii():
            return _joined([key.encode() for key in keys])  # pyright: ignore[reportAttributeAccessIssue]
        joined = text.encode()
    else:
        joined = b"".join(keys)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return joined + b"\0\0\0\0", np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))


def _murmur2_of_rows(
    joined: bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """murmur2 of the keys at `starts`, which are sorted longest first."""
    m = np.uint32(_M)
    # A word at every byte: the keys lie there unaligned.
    words = np.ndarray(len(joined) - 3, dtype="<u4", buffer=joined, strides=(1,))
    word_counts = lengths >> 2
    h = np.uint32(_SEED) ^ lengths.astype(np.uint32)
    longest = int(word_counts[0])
    # active[i]: how many keys have more than i words.
    active = len(starts) - np.searchsorted(word_counts[::-1], np.arange(longest), side="right")
    for i in range(longest):
        n = active[i]
        k = words[starts[:n] + 4 * i] * m
        k ^= k >> np.uint32(24)
        k *= m
        h[:n] *= m
        h[:n] ^= k
    rest = lengths & 3
    tail = words[starts + (word_counts << 2)] & _TAIL_MASK[rest]
    h = np.where(rest > 0, (h ^ tail) * m, h)
    h ^= h >> np.uint32(13)
    h *= m
    h ^= h >> np.uint32(15)
    return h


def _partitions(hashes: npt.NDArray[np.uint32], partitions: int) -> npt.NDArray[np.int32]:
    return ((hashes & np.uint32(_POSITIVE)) % np.uint32(partitions)).astype(np.int32)
