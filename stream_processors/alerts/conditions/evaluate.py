"""All rules at an instant: what holds, of which rules that is known, and what went wrong with the others."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from ....infra.clickhouse import ClickHouse
from ....infra.logs import logger
from ....schemas.alerting import (
    Condition,
    NoData,
    OfBudget,
    OfDeadLetters,
    OfGap,
    OfLabelDelay,
    OfLedger,
    OfMetric,
    OfPipeline,
    OfQuery,
    OfSignals,
    Rule,
)
from ....schemas.alerts import Finding, fingerprint_of
from ....schemas.errors import ServiceUnavailable
from . import budget, dead_letters, gap, label_delay, ledger, metric, no_data, pipeline, query, signal
from .context import Context
from .operations import count_letters, read_pipeline, why_dead

log = logger(__name__)

MOST_FINDINGS = 1000
"""Of one rule: what is beyond says nothing that these don't."""


class Evaluation(Struct, frozen=True):
    """What holds at an instant.

    Rules in `evaluated` have all their findings here, at most 1,000. Those in `errors` (what went wrong, by rule) have
    none, and their alerts stay as they are. A rule in neither can't be asked of the past.
    """

    findings: Sequence[Finding]
    evaluated: frozenset[str]
    errors: Mapping[str, str]


Found = Iterable[Finding]


class _Asked(Struct):
    """The rules with one kind of condition. What they share is read once, before the first of them."""

    clickhouse: ClickHouse
    context: Context
    now: datetime
    rules: Sequence[Rule]

    def conditions(self) -> list[Any]:
        return [rule.condition for rule in self.rules]


def evaluate(clickhouse: ClickHouse, rules: Sequence[Rule], context: Context, now: datetime) -> Evaluation:
    """Ask all rules, one after the other.

    What rules of a kind have in common is read once. Several findings of a rule with the same labels are one: the
    first, which is the strongest.

    Raises:
        ServiceUnavailable: ClickHouse doesn't answer; a query of a user's that breaks off is that rule's error.
    """
    findings: list[Finding] = []
    evaluated: set[str] = set()
    errors: dict[str, str] = {}
    asked = rules if context.past is None else [rule for rule in rules if can_be_asked_of_the_past(rule)]
    for kind, ask in _KINDS.items():
        of_kind = [rule for rule in asked if type(rule.condition) is kind]
        if not of_kind:
            continue
        try:
            of_rule = ask(_Asked(clickhouse, context, now, of_kind))
        except ServiceUnavailable:
            raise
        except Exception as exc:
            errors |= {rule.name: _said(exc, rule) for rule in of_kind}
            continue
        for rule in of_kind:
            try:
                findings += _distinct(of_rule(rule, rule.condition))
                evaluated.add(rule.name)
            except ServiceUnavailable:
                raise
            except Exception as exc:
                errors[rule.name] = _said(exc, rule)
    return Evaluation(tuple(findings), frozenset(evaluated), errors)


def can_be_asked_of_the_past(rule: Rule) -> bool:
    """Whether a replay tells what it would have found."""
    condition = rule.condition
    if isinstance(condition, OfQuery):
        return query.takes_instant(condition)
    return not isinstance(condition, OfPipeline | OfLedger | OfDeadLetters)


def is_of_metrics(rule: Rule) -> bool:
    """Whether new revisions of metrics may change what it finds, and nothing else but time."""
    return isinstance(rule.condition, OfMetric | OfGap)


OfRule = Callable[[Rule, Any], Found]


def _metrics(asked: _Asked) -> OfRule:
    conditions = asked.conditions()
    facts = asked.context.facts(asked.clickhouse)
    names = {condition.metric for condition in conditions}
    measurements = facts.metrics(names, any(condition.slices for condition in conditions), asked.now)
    return lambda rule, condition: metric.findings(rule, condition, measurements, facts)


def _gaps(asked: _Asked) -> OfRule:
    names = {condition.metric + gap.SUFFIX for condition in asked.conditions()}
    measurements = asked.context.facts(asked.clickhouse).gaps(names, asked.now)
    return lambda rule, condition: gap.findings(rule, condition, measurements)


def _signals(asked: _Asked) -> OfRule:
    signals = asked.context.facts(asked.clickhouse).signals(asked.now)
    return lambda rule, condition: signal.findings(rule, condition, signals)


def _no_data(asked: _Asked) -> OfRule:
    heard = asked.context.facts(asked.clickhouse).heard(asked.now)
    return lambda rule, condition: no_data.findings(rule, condition, heard, asked.now)


def _label_delays(asked: _Asked) -> OfRule:
    facts = asked.context.facts(asked.clickhouse)
    return lambda rule, condition: label_delay.findings(rule, condition, facts, asked.now)


def _budgets(asked: _Asked) -> OfRule:
    spans = {span for condition in asked.conditions() for span in budget.spans_of(condition)}
    costs = asked.context.facts(asked.clickhouse).costs(spans, asked.now)
    return lambda rule, condition: budget.findings(rule, condition, costs, asked.now)


def _pipeline(asked: _Asked) -> OfRule:
    context = asked.context
    read = read_pipeline(asked.clickhouse, context.topics, context.partitions, context.since, asked.now)
    return lambda rule, condition: pipeline.findings(rule, condition, read, asked.now)


def _ledger(asked: _Asked) -> OfRule:
    report = asked.context.ledger(asked.clickhouse).report(asked.now)
    return lambda rule, _: ledger.findings(rule, report)


def _dead_letters(asked: _Asked) -> OfRule:
    spans = {condition.within for condition in asked.conditions()}
    counted = {within: count_letters(asked.clickhouse, within, asked.now) for within in spans}

    def of_rule(rule: Rule, condition: OfDeadLetters) -> Found:
        found = dead_letters.found_in(rule, condition, counted[condition.within])
        why = {sent: why_dead(asked.clickhouse, sent, condition.within, asked.now) for sent in found}
        return dead_letters.findings(rule, condition, found, {s: each for s, each in why.items() if each is not None})

    return of_rule


def _queries(asked: _Asked) -> OfRule:
    def of_rule(rule: Rule, condition: OfQuery) -> Found:
        return query.findings(rule, condition, *query.rows_of(asked.clickhouse, condition, asked.now))

    return of_rule


# Causes first: should ClickHouse fail on the way, they are known.
_KINDS: Mapping[type[Condition], Callable[[_Asked], OfRule]] = {
    OfPipeline: _pipeline,
    OfLedger: _ledger,
    OfDeadLetters: _dead_letters,
    NoData: _no_data,
    OfLabelDelay: _label_delays,
    OfBudget: _budgets,
    OfSignals: _signals,
    OfMetric: _metrics,
    OfGap: _gaps,
    OfQuery: _queries,
}


def _distinct(found: Found) -> Iterator[Finding]:
    known: set[str] = set()
    for each in found:
        fingerprint = fingerprint_of(each.labels)
        if fingerprint not in known:
            known.add(fingerprint)
            yield each
        if len(known) >= MOST_FINDINGS:
            return


def _said(exc: Exception, rule: Rule) -> str:
    log.warning("rule can't be evaluated", rule=rule.name, error=query.said(exc))
    return query.said(exc)
