"""Which findings of a series are of one anomaly: they are one signal, that comes again."""

from collections.abc import Callable
from typing import Any, Self

from msgspec import Struct, convert, to_builtins
from msgspec.structs import replace

from ...detectors.interface import Finding
from ...schemas.signals import Signal
from ..records import from_micros

# Findings that follow each other so closely, in steps, are of one anomaly.
_ONE_ANOMALY = 5
_LONGEST_US = 86_400_000_000
"""Without anything to see, such as at night, an anomaly goes on for so long at most."""


class Told(Struct, array_like=True):
    """The last anomaly of a series: since when, found when, and up to when it was seen (µs of event time)."""

    signal_id: str = ""
    since_us: int = 0
    found_us: int = 0
    until_us: int = 0
    seen_us: int = 0
    """End of the last step that showed it."""
    signal: Signal | None = None
    """What was said last."""

    def take(self, found: Finding, at_us: int, step_us: int, id_of: Callable[[int], str]) -> None:
        """Take note of a finding in the step that begins `at_us`; `id_of` says the id of one since an instant."""
        if at_us - self.until_us > _ONE_ANOMALY * step_us:
            self.since_us = at_us - (found.at - found.since) * step_us
            signal_id = id_of(self.since_us)
            # One that began then is known already, where a night without values lies between.
            if signal_id != self.signal_id:
                self.signal_id, self.found_us = signal_id, at_us + step_us
        self.until_us = self.seen_us = at_us + step_us

    def say(self, signal: Signal) -> Signal:
        """This is what was taken, in words."""
        self.signal = signal
        return signal

    def wait(self, at_us: int, step_us: int) -> Signal | None:
        """The step that begins `at_us` says nothing: what the one before it was of goes on; returns its signal then."""
        end_us = at_us + step_us
        if self.signal is None or self.until_us != at_us or end_us - self.seen_us > _LONGEST_US:
            return None
        self.until_us = end_us
        return self.say(replace(self.signal, until=from_micros(end_us)))

    def state(self) -> list[Any]:
        """As plain data."""
        return to_builtins(self)

    @classmethod
    def of_state(cls, state: Any) -> Self:
        """The same again; raises one of `DAMAGED` if it is none."""
        told = convert(state, cls)
        for at_us in (told.since_us, told.found_us, told.until_us, told.seen_us):
            from_micros(at_us)
        return told
