"""What drifts from one window to the next, and when to say so: windows are many, and chance shows something in some."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Self, TypeVar

import msgspec
from msgspec import Struct

from ...detectors.drift.online import OnlineFdr

K = TypeVar("K", bound=tuple[Any, ...])


class Episode(Struct):
    """What drifted in windows that follow each other, but for single ones between them that did not. Instants in µs."""

    signal_id: str
    since_us: int
    found_us: int
    """End of the window that made it sure; until then that of the first."""
    until_us: int
    is_sure: bool = False
    """Otherwise one window has shown it, and may have by chance."""


class Episodes(Generic[K]):
    """Of the series of a model, by their keys.

    A window that is beyond chance is told at once, by a level that makes up for all windows before (LORD++ on the
    smallest q-value of each window: Ramdas, Yang, Wainwright and Jordan, NeurIPS 2017). Anything less is told when the
    next window shows it too, or the one after that: of some hundred series, chance hardly picks the same one twice.
    """

    def __init__(self, level: float) -> None:
        """`level`: the share of the windows that are told at once that is false, at most and on average."""
        self._of: dict[K, Episode] = {}
        self._over_time = OnlineFdr(level)

    def see(
        self, drifted: Mapping[K, float], start_us: int, until_us: int, id_of: Callable[[K], str]
    ) -> dict[K, Episode]:
        """Take in a window, with the q-value of each series that drifted in it; returns the episodes to tell."""
        level = self._over_time.next_level
        self._over_time.test(min(drifted.values(), default=1.0))
        told: dict[K, Episode] = {}
        for key, q_value in drifted.items():
            episode = self._of.get(key)
            if episode is None:
                episode = self._of[key] = Episode(id_of(key), start_us, until_us, until_us)
            episode.until_us = until_us
            if not episode.is_sure and (q_value <= level or episode.since_us < start_us):
                episode.is_sure, episode.found_us = True, until_us
            if episode.is_sure:
                told[key] = episode
        # One that neither this window nor the one before it belongs to is over.
        self._of = {key: each for key, each in self._of.items() if each.until_us >= start_us}
        return told

    def snapshot(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "episodes": [[list(key), msgspec.to_builtins(episode)] for key, episode in self._of.items()],
            "over_time": self._over_time.snapshot(),
        }

    def restore(self, snapshot: Mapping[str, Any], key_type: type[K]) -> Self:
        """Go on from a snapshot.

        Raises:
            ValueError, LookupError, TypeError: it is damaged.
        """
        self._of = {
            msgspec.convert(key, key_type): msgspec.convert(each, Episode) for key, each in snapshot["episodes"]
        }
        self._over_time = OnlineFdr.restore(snapshot["over_time"])
        return self
