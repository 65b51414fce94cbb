"""Actions that came before their prediction: held back until it comes, or given up as orphans."""

from collections.abc import Iterator
from itertools import islice

from .state import Acted, HeldActions, Stored
from .timers import Timers


class HeldState:
    """By prediction id, oldest first. Over `limit` actions the oldest become orphans early.

    Orphans stay until they are stored: from ClickHouse a later prediction finds them.
    """

    def __init__(self, limit: int, grace_us: int) -> None:
        self.limit = limit
        self.grace_us = grace_us
        self.entries: dict[str, HeldActions] = {}
        self.n_actions = 0
        self._timers: Timers[str] = Timers()
        self._orphans: list[str] = []

    def hold(self, prediction_id: str, acted: Acted, found: Stored | None, flush: int) -> bool:
        """Keep an action, given what ClickHouse has of its id. False if it was accepted before."""
        held = self.entries.get(prediction_id)
        if held is not None and acted.action_id in held.acted:
            return False
        if found is not None and any(earlier.action_id == acted.action_id for earlier in found.actions):
            return False
        until_us = acted.ts_us + self.grace_us
        if held is None:
            held = self.entries[prediction_id] = HeldActions({}, found is None, until_us, flush)
            self._timers.add(until_us, prediction_id)
        elif until_us > held.until_us or held.orphaned:
            held.until_us = max(until_us, held.until_us)
            self._timers.add(held.until_us, prediction_id)
        held.acted[acted.action_id] = acted
        held.orphaned, held.flush = False, flush
        self.n_actions += 1
        return True

    def take(self, prediction_id: str) -> dict[str, Acted]:
        """Let go of the actions of a prediction: it is here."""
        held = self.entries.pop(prediction_id, None)
        if held is None:
            return {}
        self.n_actions -= len(held.acted)
        return held.acted

    def give_up(self, watermark_us: int, flush: int) -> Iterator[tuple[str, str]]:
        """Prediction and action id of those that become orphans now."""
        for prediction_id in self._timers.due(watermark_us):
            held = self.entries.get(prediction_id)
            if held is not None and not held.orphaned and held.until_us <= watermark_us:
                yield from self._orphaned(prediction_id, held, flush)
        for prediction_id, held in list(islice(self.entries.items(), max(0, self.n_actions - self.limit))):
            if not held.orphaned:
                yield from self._orphaned(prediction_id, held, flush)

    def release(self, stored_flush: int) -> None:
        """Let go of the orphans that a stored flush carries."""
        waiting, self._orphans = self._orphans, []
        for prediction_id in waiting:
            held = self.entries.get(prediction_id)
            if held is None or not held.orphaned:
                continue
            if held.flush > stored_flush:
                self._orphans.append(prediction_id)
            else:
                self.take(prediction_id)

    def _orphaned(self, prediction_id: str, held: HeldActions, flush: int) -> Iterator[tuple[str, str]]:
        held.orphaned, held.flush = True, flush
        self._orphans.append(prediction_id)
        for action_id in held.acted:
            yield prediction_id, action_id
