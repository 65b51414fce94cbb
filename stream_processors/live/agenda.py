"""When a window is evaluated again: soon while it is young, more rarely as it ages, and when its model is quiet."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import chain

from .series import Due, Series

# A window's age has to grow by this share before it is evaluated again.
_GROWN_BY = 0.01
# Windows that take long rest so many times as long as that before they are evaluated again.
_REST = 20
MOST_REMEMBERED = 200_000


class Agenda:
    """Windows in which something changed, with the moment from which on their rows have to be read again.

    Late labels trickle into windows of weeks and months ago, a few into each; to restate all of them every few seconds
    would write more than it tells. Large windows are the same: what comes in seconds hardly changes them, and to read
    all of their rows takes longer. A model that nothing came for since the last look has all of its windows done but
    the large ones, which rest.
    """

    def __init__(self, slow_s: float, pace: float = 0.0) -> None:
        """Series whose windows take so many seconds are slow. A window is due again after `pace` times its length."""
        self._slow_s = slow_s
        self._pace = pace
        self._pending: dict[Due, float] = {}
        self._under_way: dict[Due, float] = {}
        self._took: dict[Series, float] = {}
        self._evaluated: OrderedDict[Due, float] = OrderedDict()

    def note(self, due: Due, since_s: float) -> None:
        """Something in the window changed, at `since_s` or after it."""
        self._pending.setdefault(due, since_s)

    def due(self, now_s: float, newest_s: Mapping[str, float], quiet: Collection[str]) -> Iterator[Due]:
        """Windows to evaluate now, where the events of a model have come up to `newest_s`."""
        for due in self._pending:
            if due in self._under_way:
                continue
            waits_s = self._took.get(due.series, 0.0) * _REST
            if due.series.model not in quiet:
                age_s = max(0.0, newest_s.get(due.series.model, 0.0) - due.end)
                waits_s = max(waits_s, due.series.window.size_s * self._pace, age_s * _GROWN_BY)
            if now_s - self._evaluated.get(due, 0.0) >= waits_s:
                yield due

    def begin(self, dues: Collection[Due]) -> None:
        """Their rows are about to be read: what changes from now on has to be read again."""
        for due in dues:
            self._under_way[due] = self._pending.pop(due)

    def is_under_way(self, due: Due) -> bool:
        """Whether it was begun, is not done, and belongs to us still."""
        return due in self._under_way

    def done(self, due: Due, now_s: float) -> None:
        """The window that was begun is evaluated, as of now."""
        if self._under_way.pop(due, None) is None:
            return
        self._evaluated[due] = now_s
        self._evaluated.move_to_end(due)
        if len(self._evaluated) > MOST_REMEMBERED:
            self._evaluated.popitem(last=False)

    def put_back(self, dues: Collection[Due]) -> None:
        """Those of them that are not done are to be begun again."""
        for due in dues:
            since_s = self._under_way.pop(due, None)
            if since_s is not None:
                self._pending[due] = since_s

    def took(self, series: Series, seconds: float) -> None:
        """It took so long to evaluate windows of the series together."""
        expected_s = max(seconds, self._took.get(series, 0.0) / 2)
        if expected_s >= self._slow_s:
            self._took[series] = expected_s
        else:
            self._took.pop(series, None)

    def is_slow(self, due: Due) -> bool:
        """Whether windows of its series take long."""
        return due.series in self._took

    def oldest(self, dues: Iterable[Due], most: int) -> list[Due]:
        """So many of them at most, those that were evaluated the longest ago."""
        return nsmallest(most, dues, lambda due: (self._evaluated.get(due, 0.0), due))

    def unread_since(self) -> dict[str, float]:
        """By model with pending windows: from when on rows are not in its metrics yet."""
        since: dict[str, float] = {}
        for due, noted_s in chain(self._pending.items(), self._under_way.items()):
            since[due.series.model] = min(noted_s, since.get(due.series.model, noted_s))
        return since

    def __len__(self) -> int:
        return len(self._pending.keys() | self._under_way.keys())

    def forget(self, model: str) -> None:
        """The model belongs to another worker."""
        for of_windows in (self._pending, self._under_way, self._evaluated):
            for due in [due for due in of_windows if due.series.model == model]:
                del of_windows[due]
        for series in [series for series in self._took if series.model == model]:
            del self._took[series]
