"""Epochs of the rules in ``loopwatch.yaml``, kept in table `rules`: a definition that changed gets the next one.

A worker registers its rules before it takes partitions. Workers with the same file find the same epochs, however many
start at once. One that goes back to an earlier definition gets a new epoch too.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

import msgspec

from ..infra.clickhouse import ClickHouse, quote
from ..infra.logs import logger
from ..schemas.errors import ConfigError, LoopwatchError
from ..schemas.outcomes import DEFAULT_OUTCOME, LoopwatchConfig, Outcome
from .join.epochs import MOST_EPOCHS, RULE, Epochs
from .join.rules import micros

log = logger(__name__)

_TRIES = 20
_ROWS_AT_ONCE = 500


class Rule(NamedTuple):
    """One definition of an outcome, and its epoch."""

    epoch: int
    definition: str


class RuleBook(NamedTuple):
    """The rules that hold, and the longest window (µs) that any rule ever had."""

    epochs: Epochs
    longest_window_us: int


def register_rules(clickhouse: ClickHouse, config: LoopwatchConfig, worker: str) -> RuleBook:
    """The epochs of the configuration's rules; new definitions are written down. Blocks on ClickHouse.

    Raises:
        LoopwatchError: a rule changed more often than there are epochs, or workers with other files keep starting.
    """
    for _ in range(_TRIES):
        known = _read(clickhouse)
        rules = present_rules(known, config)
        new = {key: rule for key, rule in rules.items() if known.get(key) != rule}
        if not new:
            return RuleBook(epochs_of(rules), _longest_window_us(clickhouse, config))
        for (model, outcome), rule in new.items():
            if rule.epoch:
                log.warning("rule changed: `loopwatch recompute` brings older feedback to it", model=model,
                            outcome=outcome, epoch=rule.epoch)  # fmt: skip
        _write(clickhouse, new, worker)
    raise LoopwatchError("workers with another loopwatch.yaml keep starting: give all of them the same one")


def registered_rules(clickhouse: ClickHouse, config: LoopwatchConfig, model: str) -> RuleBook:
    """The same for who only reads: the rules of one model must be those that workers run.

    Raises:
        ConfigError: no worker started with the model's rules as they are in the configuration.
    """
    known = _read(clickhouse)
    rules = present_rules(known, config)
    for outcome in config.for_model(model).outcomes:
        key = (model, outcome.name) if (model, outcome.name) in rules else ("", outcome.name)
        if known.get(key) != rules[key]:
            raise ConfigError(
                f"models.{model}.outcomes.{outcome.name}",
                "no worker runs this rule yet: start the workers anew with this file first",
            )
    return RuleBook(epochs_of(rules), _longest_window_us(clickhouse, config))


def outdated_rules(clickhouse: ClickHouse, epochs: Epochs) -> list[RULE]:
    """Those of some rules that a worker with another configuration has changed since."""
    known = _read(clickhouse)
    return [key for key in epochs if key in known and known[key].epoch > epochs.of(*key)]


def present_rules(known: Mapping[RULE, Rule], config: LoopwatchConfig) -> dict[RULE, Rule]:
    """The rules of a configuration with their epochs, given the last ones known.

    The rule of models that are not configured has the model "". A model that has an outcome `default` of its own had
    that rule before.
    """
    wanted = {
        (model.name, outcome.name): definition_of(outcome, config.defaults.disorder)
        for model in config.models.values()
        for outcome in model.outcomes
    }
    unconfigured = definition_of(DEFAULT_OUTCOME, config.defaults.disorder)
    wanted["", DEFAULT_OUTCOME.name] = unconfigured
    wanted |= {
        (model, outcome): unconfigured
        for model, outcome in known
        if outcome == DEFAULT_OUTCOME.name and model not in config.models
    }
    rules: dict[RULE, Rule] = {}
    for key, definition in wanted.items():
        last = known.get(key) or known.get(("", key[1]))
        changed = last is not None and last.definition != definition
        epoch = 0 if last is None else last.epoch + changed
        if epoch >= MOST_EPOCHS:
            raise LoopwatchError(f"the rule of {'.'.join(key)} changed {epoch} times, and more do not fit")
        rules[key] = Rule(epoch, definition)
    return rules


def definition_of(outcome: Outcome, disorder: timedelta) -> str:
    """What decides the labels of an outcome, as JSON: equal text, equal rule."""
    parts = {
        "actions": sorted(outcome.actions),
        "window_us": micros(outcome.window),
        "disorder_us": micros(disorder),
        "on_timeout": outcome.on_timeout,
        "label": outcome.label,
        "combine": outcome.combine,
    }
    return msgspec.json.encode(parts).decode()


def epochs_of(rules: Mapping[RULE, Rule]) -> Epochs:
    """The epochs alone."""
    return Epochs({key: rule.epoch for key, rule in rules.items()})


def _read(clickhouse: ClickHouse) -> dict[RULE, Rule]:
    """The last rule of each outcome. Of two that got the same epoch at once, the first by its text."""
    rows = clickhouse.rows(
        f"SELECT model, outcome, epoch, definition FROM {clickhouse.database}.rules ORDER BY epoch, definition DESC"
    )
    return {(model, outcome): Rule(int(epoch), definition) for model, outcome, epoch, definition in rows}


def _longest_window_us(clickhouse: ClickHouse, config: LoopwatchConfig) -> int:
    ((ever,),) = clickhouse.rows(
        f"SELECT max(JSONExtractInt(definition, 'window_us')) FROM {clickhouse.database}.rules"
    )
    now = [DEFAULT_OUTCOME.window, *(model.longest_window for model in config.models.values())]
    return max(int(ever), micros(max(now)))


def _write(clickhouse: ClickHouse, rules: Mapping[RULE, Rule], worker: str) -> None:
    rows = [
        f"({quote(model)}, {quote(outcome)}, {rule.epoch}, {quote(rule.definition)}, now64(3), {quote(worker)})"
        for (model, outcome), rule in rules.items()
    ]
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        clickhouse.command(
            f"INSERT INTO {clickhouse.database}.rules (model, outcome, epoch, definition, since, worker) "
            f"VALUES {', '.join(rows[first : first + _ROWS_AT_ONCE])}"
        )
