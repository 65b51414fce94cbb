"""What of a model is watched by detectors, and what its features are compared with."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from .durations import format_duration, parse_duration
from .windows import Window

TRAINING = "training"
PREVIOUS = "previous"
DEFAULT, NONE = "default", "none"
_LONGEST = timedelta(days=400)
_HOUR = timedelta(hours=1)


class Reference(Struct, frozen=True):
    """What a window of predictions is compared with: one of the three, else the window before it.

    >>> str(Reference.parse("7d")), str(Reference.parse("2026-01-01/2026-02-01")), str(Reference.parse("training"))
    ('7d', '2026-01-01T00:00:00Z/2026-02-01T00:00:00Z', 'training')
    """

    sliding: timedelta | None = None
    """So much time before the window."""
    period: tuple[datetime, datetime] | None = None
    """From an instant to before another, in whole hours."""
    training: bool = False
    """What `loopwatch reference` has stored."""

    @property
    def moves(self) -> bool:
        """Whether each window has another one: what comes and goes shows, and what stays becomes the reference."""
        return self.period is None and not self.training

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """``7d``, ``previous``, ``training``, or two instants with a slash between.

        Raises:
            ValueError: it is none of them; the message says why.
        """
        if text == TRAINING:
            return cls(training=True)
        if text == PREVIOUS:
            return cls()
        begin, slash, end = text.partition("/")
        if slash:
            period = _hour(begin), _hour(end)
            if period[0] >= period[1]:
                raise ValueError(f"{text!r} ends before it begins")
            return cls(period=period)
        sliding = parse_duration(text)
        if not _HOUR <= sliding <= _LONGEST or sliding % _HOUR:
            raise ValueError(f"{text!r}: a reference slides over whole hours, 1h to {format_duration(_LONGEST)}")
        return cls(sliding=sliding)

    def __str__(self) -> str:
        if self.sliding is not None:
            return format_duration(self.sliding)
        if self.period is not None:
            return "/".join(f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in self.period)
        return TRAINING if self.training else PREVIOUS


class Drift(Struct, frozen=True):
    """How features and outputs are compared with a reference."""

    windows: tuple[Window, ...] = ()
    """Without any: hours that have enough predictions, and days that have not."""
    reference: Reference = Reference(sliding=timedelta(days=7))
    ignore: tuple[str, ...] = ()
    """Features that change anyway, such as the time of day; and ``rows``, ``prompt``, ``response``, ``embedding``."""


class Monitoring(Struct, frozen=True):
    """What is watched of one model, and by which detectors of docs/detectors.md; `NONE` is watched by none."""

    drift: Drift | None = Drift()
    losses: str = DEFAULT
    series: str = DEFAULT
    events: str = DEFAULT
    """`DEFAULT` or `NONE`: single predictions are looked at, or not."""


def _hour(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no instant: write 2026-01-01 or 2026-01-01T08:00Z") from None
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    if instant.minute or instant.second or instant.microsecond:
        raise ValueError(f"{text!r} is no whole hour")
    return instant
