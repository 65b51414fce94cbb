"""When a window is evaluated again: at once while it is young, more rarely as it ages, and when its model is quiet."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping

from .series import Due

# A window's age has to grow by this share before it is evaluated again.
_GROWN_BY = 0.01
MOST_REMEMBERED = 200_000


class Agenda:
    """Windows in which something changed, with the moment from which on their rows have to be read again.

    Late labels trickle into windows of weeks and months ago, a few into each; to restate all of them every few seconds
    would write more than it tells. A model that nothing came for since the last look has all of its windows done.
    """

    def __init__(self) -> None:
        self._pending: dict[Due, float] = {}
        self._evaluated: OrderedDict[Due, float] = OrderedDict()

    def note(self, due: Due, since_s: float) -> None:
        """Something in the window changed, at `since_s` or after it."""
        self._pending.setdefault(due, since_s)

    def due(self, now_s: float, newest_s: Mapping[str, float], quiet: Collection[str]) -> Iterator[Due]:
        """Windows to evaluate now, where the events of a model have come up to `newest_s`."""
        for due in self._pending:
            age_s = max(0.0, newest_s.get(due.series.model, 0.0) - due.end)
            waited_s = now_s - self._evaluated.get(due, 0.0)
            if due.series.model in quiet or waited_s >= age_s * _GROWN_BY:
                yield due

    def done(self, due: Due, now_s: float) -> None:
        """The window is evaluated, as of now."""
        self._pending.pop(due, None)
        self._evaluated[due] = now_s
        self._evaluated.move_to_end(due)
        if len(self._evaluated) > MOST_REMEMBERED:
            self._evaluated.popitem(last=False)

    def unread_since(self) -> dict[str, float]:
        """By model with pending windows: from when on rows are not in its metrics yet."""
        since: dict[str, float] = {}
        for due, noted_s in self._pending.items():
            since[due.series.model] = min(noted_s, since.get(due.series.model, noted_s))
        return since

    def __len__(self) -> int:
        return len(self._pending)

    def forget(self, model: str) -> None:
        """The model belongs to another worker."""
        for of_windows in (self._pending, self._evaluated):
            for due in [due for due in of_windows if due.series.model == model]:
                del of_windows[due]
