"""Predictions of the recent past in memory, bounded in bytes: a cache over ClickHouse, never the only copy."""

from collections.abc import Iterator
from itertools import islice

from .state import ACTED_BYTES, ENTRY_BYTES, Entry

# Evicting this share at once keeps the walk over the dict's head cheap.
_EVICT_SHARE = 0.1


class HotState:
    """Entries by prediction id, oldest first. An entry may leave only when the flush that changed it last is stored."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.entries: dict[str, Entry] = {}
        self.n_acted = 0
        self.late: dict[str, int] = {}
        """Watermark (µs) at which a prediction came whose windows had all passed by then."""
        self._closing: list[str] = []

    @property
    def size_bytes(self) -> int:
        """Memory held, as measured a piece (see state.py)."""
        return len(self.entries) * ENTRY_BYTES + self.n_acted * ACTED_BYTES

    def close(self, prediction_id: str) -> None:
        """All windows of the entry have passed: let it go once it is stored."""
        self._closing.append(prediction_id)

    def release_closed(self, stored_flush: int) -> None:
        """Let go of the closed entries whose last change is in a stored flush."""
        waiting, self._closing = self._closing, []
        for prediction_id in waiting:
            entry = self.entries.get(prediction_id)
            if entry is None or entry.closed != entry.rules.all_bits:
                continue
            if entry.flush > stored_flush:
                self._closing.append(prediction_id)
            else:
                self._forget(prediction_id, entry)

    def evict(self, stored_flush: int) -> Iterator[tuple[str, Entry]]:
        """If over the limit, let go of the oldest stored entries and yield them."""
        if self.size_bytes <= self.limit_bytes:
            return
        oldest = list(islice(self.entries.items(), int(len(self.entries) * _EVICT_SHARE) + 1))
        for prediction_id, entry in oldest:
            if entry.flush <= stored_flush:
                self._forget(prediction_id, entry)
                yield prediction_id, entry

    def _forget(self, prediction_id: str, entry: Entry) -> None:
        del self.entries[prediction_id]
        self.late.pop(prediction_id, None)
        if entry.acted:
            self.n_acted -= len(entry.acted)
