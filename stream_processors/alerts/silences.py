"""Who asked that nobody be told."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from ...schemas.matchers import all_hold
from ...schemas.notifications import Silence


def silence_of(labels: Mapping[str, str], silences: Iterable[Silence], now: datetime) -> Silence | None:
    """The silence that holds of an alert now and ends last, if there is one."""
    holding = (each for each in silences if each.begins_at <= now < each.ends_at and all_hold(each.matchers, labels))
    return max(holding, key=lambda each: (each.ends_at, each.silence_id), default=None)
