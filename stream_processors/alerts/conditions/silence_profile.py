"""How silent a model may be: what came in the same stretch of the clock on days before. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

MINUTE_S, DAY_S = 60, 86_400
SHORTEST_S = 5 * MINUTE_S
"""No silence is shorter than this, whatever came before."""
LONGEST_S = 14 * DAY_S
"""What has been silent for longer is retired."""

_LEAST = 3
_GAPS = 5
_LEAST_MINUTES = 20


def is_too_silent(minutes: Sequence[int], now_s: int) -> bool:
    """Whether nothing having come since the last of these minutes was never so before.

    Where the same day of the week is known, that decides: the same stretch a week ago, and two weeks ago if known,
    would have to hold `_LEAST` minutes with something at least. Until then all days that are known have to; and on the
    first day it is the gaps that there were: five times as long as any.

    Args:
        minutes: seconds since 1970 of minutes in which something came, ascending.
        now_s: seconds since 1970.

    >>> daily = [day * DAY_S + minute * MINUTE_S for day in range(8) for minute in range(600)]
    >>> is_too_silent(daily, 8 * DAY_S + 20 * MINUTE_S), is_too_silent(daily, 7 * DAY_S + 1000 * MINUTE_S)
    (True, False)
    """
    if not minutes:
        return False
    first_s, last_s = minutes[0], minutes[-1] + MINUTE_S
    silent_s = now_s - last_s
    if not SHORTEST_S <= silent_s <= LONGEST_S:
        return False
    known_days = (last_s - first_s) // DAY_S
    days = [day for day in (7, 14) if known_days >= day] or list(range(1, known_days + 1))
    if days:
        return all(
            _between(minutes, last_s - day * DAY_S, min(now_s - day * DAY_S, last_s - 1)) >= _LEAST for day in days
        )
    gaps = [after - before for before, after in pairwise(minutes)]
    return len(minutes) >= _LEAST_MINUTES and silent_s > _GAPS * max(gaps)


def _between(minutes: Sequence[int], begin_s: int, end_s: int) -> int:
    return bisect_right(minutes, end_s) - bisect_left(minutes, begin_s)
