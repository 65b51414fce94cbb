"""The join of one partition: predictions and actions in, outcomes out. Pure: no Kafka, no ClickHouse, no clock.

The caller works in this order. Before a batch it asks `unknown_to_memory` which ids may be in ClickHouse only, and
looks those up. It then feeds the batch (`predictions` or `actions`) with what it found. Before a flush it calls
`settle`, which emits the outcomes that changed, moves the watermark and handles timeouts. When the flush is stored it
says so (`stored`), and only then may entries leave memory. What is in memory or in ClickHouse is everything.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import compress, filterfalse
from operator import attrgetter

from ...schemas.events import Action, Prediction
from ...schemas.feedback import FeedbackStatus
from ...schemas.labels import combine, timeout_label
from ...schemas.ledger import ActionClass, IgnoreReason, PredictionClass
from .commons import Commons
from .held import HeldState
from .hot_state import HotState
from .known_ids import KnownIds
from .output import HOUR_US, Accepted, ActionRow, Count, OutcomeRow, Output, SettledAction, by_model_and_hour
from .rules import OutcomeRule, Rules
from .slices import add_segments
from .state import Acted, Entry, Stored
from .sweeps import Sweeps
from .timers import Timers
from .watermark import NEVER, Watermark

_SOMETHING_STORED = Stored()
# Members of enums that nearly every event asks for: a look into the class costs 0.1 µs in Python 3.11.
_MATCHED, _LATE_REVISED = ActionClass.MATCHED, ActionClass.LATE_REVISED
_OUTCOME_MATCHED, _OUTCOME_REVISED = FeedbackStatus.MATCHED, FeedbackStatus.REVISED
_offset_of = attrgetter("offset")


class PartitionJoin:
    """Joins one partition pair. Not thread-safe; offsets are those of the partition the events belong to."""

    def __init__(
        self,
        partition: int,
        rules: Rules,
        *,
        hot_bytes: int = 1 << 30,
        held_limit: int = 500_000,
        known_limit: int = 50_000_000,
    ) -> None:
        self.partition = partition
        self.rules = rules
        self.watermark = Watermark(rules.disorder_us)
        self.hot = HotState(hot_bytes)
        self.held = HeldState(held_limit, rules.orphan_grace_us)
        self.known = KnownIds(known_limit)
        self.sweeps = Sweeps()
        self.last_prediction_offset = 0
        self._commons = Commons()
        self._timers: dict[OutcomeRule, Timers[str]] = {}
        self._changed: dict[str, int] = {}
        self._outdated: dict[str, int] = {}
        self._repeat: dict[str, set[tuple[str, int]]] = {}

    def unknown_to_memory(self, prediction_ids: Iterable[str]) -> list[str]:
        """The ids, each once, that ClickHouse may know more about than memory does: look them up before the batch."""
        cold = list(filterfalse(self.hot.entries.__contains__, prediction_ids))
        if held := self.held.entries:
            cold = [each for each in cold if not ((waiting := held.get(each)) and waiting.complete)]
        return list(dict.fromkeys(compress(cold, self.known.maybe(cold))))

    def predictions(
        self,
        offsets: Sequence[int],
        ts_us: Sequence[int],
        events: Sequence[Prediction],
        stored: Mapping[str, Stored],
        out: Output,
        flush: int,
    ) -> Accepted:
        """Take in predictions, with offsets and event times (µs), and return those to store.

        `stored` is what was found of the unknown ids.
        """
        hot, held, timers = self.hot.entries, self.held.entries, self._timers
        common_of, watermark_us = self._commons.of, self.watermark.us
        model, rules = "", None
        fresh: list[str] = []
        duplicates: list[int] = []
        for at_us, event in zip(ts_us, events, strict=True):
            prediction_id = event.prediction_id
            found = stored.get(prediction_id) if stored else None
            if prediction_id in hot or (found is not None and found.prediction is not None):
                duplicates.append(len(fresh) + len(duplicates))
                continue
            if rules is None or event.model != model:
                model = event.model
                rules = self.rules.of(model)
            if rules.segments:
                add_segments(event, rules.segments)
            entry = hot[prediction_id] = Entry(
                at_us,
                common_of(rules, event.version, event.segments, event.variants),
                event.prediction,
                event.score,
                None,
                0,
                0,
                flush,
            )
            fresh.append(prediction_id)
            if at_us + rules.longest_us < watermark_us:
                self.hot.late[prediction_id] = watermark_us
            for rule in rules.outcomes:
                due = timers.get(rule) or self._timers_of(rule)
                due.add(at_us + rule.window_us, prediction_id)
            if found is not None or prediction_id in held:
                self._meet_earlier_actions(prediction_id, entry, found, out)
        self.known.add(fresh)
        accepted = Accepted(offsets, ts_us, events)
        if duplicates:
            for index in duplicates:
                at = Count(
                    False, self.partition, events[index].model, ts_us[index] // HOUR_US, PredictionClass.DUPLICATE
                )
                out.counts[at] += 1
            gone = set(duplicates)
            accepted = accepted.only(index for index in range(len(events)) if index not in gone)
        for (of_model, hour), n in by_model_and_hour(accepted.events, accepted.ts_us).items():
            out.counts[Count(False, self.partition, of_model, hour, PredictionClass.ACCEPTED)] += n
        return accepted

    def actions(
        self,
        offsets: Sequence[int],
        ts_us: Sequence[int],
        events: Sequence[Action],
        stored: Mapping[str, Stored],
        out: Output,
        flush: int,
        retired: Container[int] = (),
    ) -> None:
        """Take in actions with their offsets and event times (µs). `stored` is what was found of the unknown ids.

        `retired` are offsets of actions that were found too late before, by a flush that did not end.
        """
        hot, partition, rows = self.hot.entries, self.partition, out.actions
        newly_held: list[str] = []
        for offset, at_us, event in zip(offsets, ts_us, events, strict=True):
            prediction_id = event.prediction_id
            entry = hot.get(prediction_id)
            found = stored.get(prediction_id) if stored else None
            if entry is None and found is not None and found.prediction is not None:
                entry = self.load(prediction_id, found, flush)
            acted = Acted(event.action_id, event.name, at_us, event.value, offset, offset in retired)
            if entry is None:
                if self.held.hold(prediction_id, acted, found, flush):
                    newly_held.append(prediction_id)
                    rows.append(ActionRow(event, at_us, "", ActionClass.HELD, None, partition, offset))
                else:
                    out.counts[Count(True, partition, "", at_us // HOUR_US, ActionClass.DUPLICATE)] += 1
                continue
            model = entry.rules.model
            if entry.acted is not None and acted.action_id in entry.acted:
                out.counts[Count(True, partition, model, at_us // HOUR_US, ActionClass.DUPLICATE)] += 1
                continue
            entry.flush = flush
            action_class, reason = self._class_of(entry, acted, self._join(prediction_id, entry, acted))
            rows.append(ActionRow(event, at_us, model, action_class, reason, partition, offset))
        self.known.add(newly_held)

    def load(self, prediction_id: str, stored: Stored, flush: int) -> Entry:
        """Bring a prediction that ClickHouse knows back into hot state, with all its accepted actions.

        What a former rule said of it is derived again with the next flush.
        """
        prediction = stored.prediction
        assert prediction is not None
        rules = self.rules.of(prediction.model)
        entry = Entry(
            prediction.ts_us,
            self._commons.of(rules, prediction.version, prediction.segments, prediction.variants),
            prediction.prediction,
            prediction.score,
            flush=flush,
        )
        if stored.actions:
            entry.acted = {acted.action_id: acted for acted in stored.actions}
            self.hot.n_acted += len(entry.acted)
        self.hot.entries[prediction_id] = entry
        if entry.ts_us + rules.longest_us < prediction.accepted_us:
            self.hot.late[prediction_id] = prediction.accepted_us
        for rule in rules.outcomes:
            if rule.name in prediction.outdated:
                self._outdated[prediction_id] = self._outdated.get(prediction_id, 0) | rule.bit
            if rule.name in prediction.expired:
                entry.closed |= rule.bit
                entry.expired |= rule.bit
            elif self._is_due(entry, rule) and self._counting(entry, rule):
                entry.closed |= rule.bit
            else:
                self._timers_of(rule).add(entry.ts_us + rule.window_us, prediction_id)
        if entry.closed == rules.all_bits:
            self.hot.close(prediction_id)
        return entry

    def hold_stored(self, prediction_id: str, actions: Sequence[Acted]) -> None:
        """Put actions that ClickHouse has as held back into memory, after a restart."""
        for acted in actions:
            self.held.hold(prediction_id, acted, _SOMETHING_STORED, 0)
        self.known.add([prediction_id])

    def adopt(self, prediction_id: str, stored: Stored, out: Output, flush: int) -> None:
        """Finish what a flush began that stored rows of this id and will never be read again: settle its outcomes."""
        if stored.prediction is None:
            return
        entry = self.hot.entries.get(prediction_id) or self.load(prediction_id, stored, flush)
        held = self.held.take(prediction_id)
        for acted in (entry.acted or {}).values():
            bits = entry.rules.counting(entry.ts_us, acted)
            self._changed[prediction_id] = self._changed.get(prediction_id, 0) | bits
            if acted.action_id in held:
                out.settled.append(self._settled(prediction_id, entry, acted, bits))

    def derive_again(self, prediction_id: str, stored: Stored, out: Output, flush: int) -> None:
        """Derive every outcome of a stored prediction, and the class of each of its actions, whatever was written."""
        entry = self.load(prediction_id, stored, flush)
        self._outdated[prediction_id] = entry.rules.all_bits
        for acted in (entry.acted or {}).values():
            bits = entry.rules.counting(entry.ts_us, acted)
            out.settled.append(self._settled(prediction_id, entry, acted, bits))

    def repeat(self, rows: Iterable[tuple[str, str, int]], stored: Mapping[str, Stored], flush: int) -> None:
        """Emit rows again that no event caused, of (prediction id, outcome, revision).

        One whose prediction is to be read again waits for it. One of a former rule is not repeated: loading its
        prediction derives the outcome again.
        """
        for prediction_id, outcome, revision in rows:
            found = stored.get(prediction_id)
            if prediction_id not in self.hot.entries and found is not None and found.prediction is not None:
                self.load(prediction_id, found, flush)
            self._repeat.setdefault(prediction_id, set()).add((outcome, revision))

    def settle(self, now_us: int, out: Output, flush: int) -> int:
        """Emit outcomes that changed, advance the watermark and handle what is due. Returns the watermark (µs)."""
        unanswered = self._emit_changed(out)
        watermark_us = self.watermark.advance(now_us)
        self._expire(watermark_us, out, flush)
        for prediction_id, entry, rule in unanswered:
            if not entry.closed & rule.bit:
                self._take_back(prediction_id, entry, rule, out)
        for prediction_id in self._repeat.keys() & self.hot.entries.keys():
            for outcome, revision in self._repeat.pop(prediction_id):
                self._emit_again(prediction_id, outcome, revision, out, flush)
        for prediction_id, action_id in self.held.give_up(watermark_us, flush):
            out.settled.append(SettledAction(self.partition, prediction_id, action_id, "", ActionClass.ORPHAN, None))
        return watermark_us

    @property
    def settled_us(self) -> int:
        """Every timeout due by this watermark is in the output."""
        return self.sweeps.settled_until(self.watermark.us)

    def stored(self, flush: int) -> None:
        """Everything up to this flush is in ClickHouse: let go of what is not needed or doesn't fit."""
        self.hot.release_closed(flush)
        self.held.release(flush)
        for _, entry in self.hot.evict(flush):
            for rule in entry.rules.outcomes:
                if not entry.closed & rule.bit:
                    answered_from = rule.revision(0, expired=True)
                    self.sweeps.add(entry.rules.model, rule.name, rule.window_us, entry.ts_us, answered_from)

    def _join(self, prediction_id: str, entry: Entry, acted: Acted) -> int:
        """Add an action to its prediction; returns the bits of the outcomes that it counts for."""
        rules = entry.rules
        if entry.acted is None:
            entry.acted = {}
        entry.acted[acted.action_id] = acted
        self.hot.n_acted += 1
        bits = rules.counting(entry.ts_us, acted)
        revises = bits & entry.expired
        if revises and revises == bits:
            # A prediction that came late itself, in a backfill, has its retention from then on.
            ended_us = max(entry.ts_us + rules.longest_us, self.hot.late.get(prediction_id, NEVER))
            if self.watermark.us > ended_us + rules.retention_us:
                acted.retired, bits = True, 0
        if entry.closed == rules.all_bits:
            self.hot.close(prediction_id)
        if bits:
            self._changed[prediction_id] = self._changed.get(prediction_id, 0) | bits
        return bits

    def _class_of(self, entry: Entry, acted: Acted, bits: int) -> tuple[ActionClass, IgnoreReason | None]:
        """What an action is to its prediction, given the outcomes it counts for."""
        if not bits:
            return ActionClass.IGNORED, entry.rules.why_ignored(acted)
        return (_MATCHED if bits & ~entry.expired else _LATE_REVISED), None

    def _settled(self, prediction_id: str, entry: Entry, acted: Acted, bits: int) -> SettledAction:
        action_class, reason = self._class_of(entry, acted, bits)
        return SettledAction(self.partition, prediction_id, acted.action_id, entry.rules.model, action_class, reason)

    def _meet_earlier_actions(self, prediction_id: str, entry: Entry, found: Stored | None, out: Output) -> None:
        """Its prediction is here: join what was held in memory, or became an orphan in ClickHouse."""
        earlier = {acted.action_id: acted for acted in found.actions} if found is not None else {}
        earlier |= self.held.take(prediction_id)
        for acted in earlier.values():
            out.settled.append(self._settled(prediction_id, entry, acted, self._join(prediction_id, entry, acted)))

    def _emit_changed(self, out: Output) -> list[tuple[str, Entry, OutcomeRule]]:
        """Emit outcomes that an action changed or a former rule answered; returns those for which nothing counts."""
        changed, self._changed = self._changed, {}
        outdated, self._outdated = self._outdated, {}
        unanswered: list[tuple[str, Entry, OutcomeRule]] = []
        for prediction_id, bits in changed.items():
            entry = self.hot.entries[prediction_id]
            for rule in entry.rules.outcomes:
                if bits & rule.bit:
                    self._emit(prediction_id, entry, rule, out)
        for prediction_id, bits in outdated.items():
            entry = self.hot.entries[prediction_id]
            for rule in entry.rules.outcomes:
                if bits & rule.bit & ~changed.get(prediction_id, 0):
                    if self._counting(entry, rule):
                        self._emit(prediction_id, entry, rule, out, from_action=False)
                    else:
                        unanswered.append((prediction_id, entry, rule))
        return unanswered

    def _emit_again(self, prediction_id: str, outcome: str, revision: int, out: Output, flush: int) -> None:
        entry = self.hot.entries[prediction_id]
        for rule in entry.rules.outcomes:
            if rule.name != outcome or revision < rule.revision(0, expired=False):
                continue
            counting = self._counting(entry, rule)
            if revision == rule.revision(0, expired=True):
                # An action that counts by now says more.
                if not counting:
                    self._time_out(prediction_id, entry, rule, out, flush)
            elif counting:
                self._emit(prediction_id, entry, rule, out, from_action=False)
            elif not entry.closed & rule.bit:
                self._take_back(prediction_id, entry, rule, out)

    def _emit(
        self, prediction_id: str, entry: Entry, rule: OutcomeRule, out: Output, *, from_action: bool = True
    ) -> None:
        """Emit an outcome for which an action counts."""
        acted = entry.acted or {}
        counting = list(acted.values()) if len(acted) == 1 else self._counting(entry, rule)
        combined = combine(rule.outcome.combine, rule.outcome.label, counting)
        was_expired = bool(entry.expired & rule.bit)
        out.outcomes.append(
            OutcomeRow(
                prediction_id, entry, rule.name, _OUTCOME_REVISED if was_expired else _OUTCOME_MATCHED,
                combined.label, combined.label_value, combined.action_id, combined.ts_us, len(counting),
                rule.revision(len(counting), expired=was_expired), self.partition, from_action,
                max(map(_offset_of, counting)) if from_action else self.last_prediction_offset,
            )
        )  # fmt: skip

    def _expire(self, watermark_us: int, out: Output, flush: int) -> None:
        entries = self.hot.entries
        for rule, timers in list(self._timers.items()):
            for prediction_id in timers.due(watermark_us):
                entry = entries.get(prediction_id)
                # Gone from memory: then a sweep brings it back.
                if entry is None or entry.closed & rule.bit or rule not in entry.rules.outcomes:
                    continue
                entry.closed |= rule.bit
                if not (entry.expired & rule.bit or self._counting(entry, rule)):
                    self._time_out(prediction_id, entry, rule, out, flush)
                if entry.closed == entry.rules.all_bits:
                    self.hot.close(prediction_id)
            if not timers:
                del self._timers[rule]

    def _time_out(self, prediction_id: str, entry: Entry, rule: OutcomeRule, out: Output, flush: int) -> None:
        label, label_value = timeout_label(rule.outcome.on_timeout)
        entry.expired |= rule.bit
        entry.flush = flush
        out.outcomes.append(
            OutcomeRow(
                prediction_id, entry, rule.name, FeedbackStatus.EXPIRED, label, label_value, None, None, 0,
                rule.revision(0, expired=True), self.partition, False, self.last_prediction_offset,
            )
        )  # fmt: skip

    def _take_back(self, prediction_id: str, entry: Entry, rule: OutcomeRule, out: Output) -> None:
        """A former rule answered; under the present one it waits still."""
        out.outcomes.append(
            OutcomeRow(
                prediction_id, entry, rule.name, FeedbackStatus.PENDING, None, None, None, None, 0,
                rule.revision(0, expired=False), self.partition, False, self.last_prediction_offset,
            )
        )  # fmt: skip

    def _counting(self, entry: Entry, rule: OutcomeRule) -> list[Acted]:
        if entry.acted is None:
            return []
        counting, ts_us, bit = entry.rules.counting, entry.ts_us, rule.bit
        return [acted for acted in entry.acted.values() if counting(ts_us, acted) & bit]

    def _timers_of(self, rule: OutcomeRule) -> Timers[str]:
        timers = self._timers.get(rule)
        if timers is None:
            timers = self._timers[rule] = Timers()
        return timers

    def _is_due(self, entry: Entry, rule: OutcomeRule) -> bool:
        return entry.ts_us + rule.window_us < self.watermark.us
