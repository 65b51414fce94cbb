"""Durations as people write them in ``loopwatch.yaml``: ``500ms``, ``10s``, ``30m``, ``1h30m``, ``7d``, ``2w``."""

import re
from datetime import timedelta

_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
# Ten digits and largest unit first: `30m1h` is more likely a slip than a wish.
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,10}}){unit})?" for unit in _UNITS))
HOW_TO_WRITE = "write a number with its unit, such as 500ms, 10s, 30m, 1h30m, 7d or 2w"


def parse_duration(text: str) -> timedelta:
    """The duration `text` says.

    Raises:
        ValueError: it says none; the message tells how to write one.

    >>> parse_duration("1h30m"), parse_duration("2w")
    (datetime.timedelta(seconds=5400), datetime.timedelta(days=14))
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text[:40]!r} is not a duration: {HOW_TO_WRITE}")
    try:
        return sum((_UNITS[unit] * int(count) for unit, count in match.groupdict().items() if count), timedelta())
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is longer than a duration can be") from None


def format_duration(duration: timedelta) -> str:
    """How to write a duration that is not negative, to the millisecond; `parse_duration` reads it.

    >>> format_duration(timedelta(minutes=90)), format_duration(timedelta(days=14)), format_duration(timedelta())
    ('1h30m', '14d', '0s')
    """
    text, rest = "", duration
    for unit, length in _UNITS.items():
        if unit == "w":
            continue
        count, rest = divmod(rest, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
