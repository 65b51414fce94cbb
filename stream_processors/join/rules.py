"""Outcome rules of a model, in the integers that the join compares."""

from datetime import timedelta

from ...schemas.ledger import IgnoreReason
from ...schemas.outcomes import LoopwatchConfig, ModelConfig, Outcome
from .epochs import Epochs, revision_of
from .state import Acted


class OutcomeRule:
    """One outcome of a model. Durations are µs."""

    __slots__ = ("actions", "bit", "epoch", "name", "outcome", "window_us")

    def __init__(self, outcome: Outcome, index: int, epoch: int) -> None:
        self.outcome = outcome
        self.name = outcome.name
        self.actions = frozenset(outcome.actions)
        self.bit = 1 << index
        self.window_us = micros(outcome.window)
        self.epoch = epoch

    def revision(self, n_actions: int, *, expired: bool) -> int:
        """Revision of a row of this rule, by the actions that count and by whether it was ever provisional."""
        return revision_of(self.epoch, n_actions, expired)


class ModelRules:
    """What the join needs to know of one model; one object a model, shared by all its predictions."""

    __slots__ = ("all_bits", "disorder_us", "longest_us", "model", "outcomes", "retention_us", "segments")

    def __init__(self, config: ModelConfig, disorder_us: int, epochs: Epochs) -> None:
        self.model = config.name
        self.outcomes = tuple(
            OutcomeRule(outcome, index, epochs.of(config.name, outcome.name))
            for index, outcome in enumerate(config.outcomes)
        )
        self.all_bits = (1 << len(self.outcomes)) - 1
        self.longest_us = max(rule.window_us for rule in self.outcomes)
        self.retention_us = micros(config.retention)
        self.segments = config.segments
        self.disorder_us = disorder_us

    def counting(self, prediction_us: int, acted: Acted) -> int:
        """Bits of the outcomes that an action counts for: it is named in them, and inside their attribution window."""
        after_us = acted.ts_us - prediction_us
        if after_us < -self.disorder_us or acted.retired:
            return 0
        bits = 0
        for rule in self.outcomes:
            if after_us <= rule.window_us and (not rule.actions or acted.name in rule.actions):
                bits |= rule.bit
        return bits

    def why_ignored(self, acted: Acted) -> IgnoreReason:
        """Why an action counts for none of the outcomes."""
        if acted.retired:
            return IgnoreReason.AFTER_RETENTION
        if any(rule.outcome.names(acted.name) for rule in self.outcomes):
            return IgnoreReason.OUTSIDE_WINDOW
        return IgnoreReason.NO_OUTCOME


class Rules:
    """Rules of every model, made once each. Bounded: names of unknown models come from events."""

    _LIMIT = 100_000

    def __init__(self, config: LoopwatchConfig, epochs: Epochs | None = None) -> None:
        self.config = config
        self.epochs = epochs or Epochs()
        self.disorder_us = micros(config.defaults.disorder)
        self.orphan_grace_us = micros(config.defaults.orphan_grace)
        self._models: dict[str, ModelRules] = {}

    def of(self, model: str) -> ModelRules:
        """The rules of a model, configured or not."""
        rules = self._models.get(model)
        if rules is None:
            if len(self._models) >= self._LIMIT:
                self._models.clear()
            rules = self._models[model] = ModelRules(self.config.for_model(model), self.disorder_us, self.epochs)
        return rules


def micros(duration: timedelta) -> int:
    """A duration in whole µs."""
    return duration // timedelta(microseconds=1)
