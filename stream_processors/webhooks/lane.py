"""The way to one receiver: what waits for it, in order of their groups, and who is tried when."""

import heapq
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from ...schemas.alerting import Receiver
from ...schemas.notifications import HEARTBEAT, Notification
from .pauses import Rate


class Lane:
    """Notifications of one receiver. Pure: it is told the time.

    Those of a group follow each other: that something is over doesn't arrive before that it began. Groups don't wait
    for each other.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.is_gone = False
        """Whether it said that it takes nothing any more (410)."""
        self._rate = Rate(receiver.per_minute)
        self._groups: dict[str, deque[Notification]] = {}
        self._heads: list[tuple[datetime, str]] = []
        self._in_flight: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def __contains__(self, notification: Notification) -> bool:
        waiting = self._groups.get(notification.group_key, ())
        return any(each.notification_id == notification.notification_id for each in waiting)

    def add(self, notification: Notification) -> None:
        """Behind the others of its group; a heartbeat only where none waits."""
        group = self._groups.get(notification.group_key)
        if group is None:
            self._groups[notification.group_key] = deque([notification])
            heapq.heappush(self._heads, (notification.next_at, notification.group_key))
        elif notification.group_key != HEARTBEAT:
            # One that was left in the table for lack of room may be older than what came since.
            begin = 1 if notification.group_key in self._in_flight else 0
            later = (n for n, each in enumerate(group) if n >= begin and _order(notification) < _order(each))
            place = next(later, len(group))
            group.insert(place, notification)
            if place == 0:
                heapq.heappush(self._heads, (notification.next_at, notification.group_key))

    def next(self, now: datetime) -> Notification | timedelta | None:
        """What to try now; or how long until there may be something; None: not before something else happens."""
        if not self._heads or len(self._in_flight) >= self.receiver.concurrency:
            return None
        while self._heads and self._is_outdated(*self._heads[0]):
            heapq.heappop(self._heads)
        if not self._heads:
            return None
        next_at, key = self._heads[0]
        wait = max(next_at - now, self._rate.wait(now))
        if wait > timedelta():
            return wait
        heapq.heappop(self._heads)
        self._rate.take()
        self._in_flight.add(key)
        return self._groups[key][0]

    def tried(self, key: str, again: Notification | None) -> None:
        """The first of a group was tried: it is settled, or to be tried again."""
        self._in_flight.discard(key)
        group = self._groups.get(key)
        if group is None:
            return
        if again is not None:
            group[0] = again
        else:
            group.popleft()
        if group:
            heapq.heappush(self._heads, (group[0].next_at, key))
        else:
            del self._groups[key]

    def _is_outdated(self, next_at: datetime, key: str) -> bool:
        """Whether another one has come to the head of its group since."""
        return key in self._in_flight or key not in self._groups or self._groups[key][0].next_at != next_at

    def drain(self) -> Sequence[Notification]:
        """Everything that is not under way, taken out."""
        left: list[Notification] = []
        for key, group in list(self._groups.items()):
            kept = 1 if key in self._in_flight else 0
            left += list(group)[kept:]
            if kept:
                self._groups[key] = deque([group[0]])
            else:
                del self._groups[key]
        self._heads = []
        return left


def _order(notification: Notification) -> tuple[datetime, str]:
    return notification.created_at, notification.notification_id
