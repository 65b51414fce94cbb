"""Rules as rows to print, what is wrong with them, and what they would have fired."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from ..infra.clickhouse import ClickHouse
from ..schemas.alerting import (
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
    Receiver,
    Rule,
    Secret,
)
from ..schemas.durations import format_duration
from ..schemas.outcomes import LoopwatchConfig
from ..stream_processors.alerts.conditions import query
from ..stream_processors.alerts.conditions.metric_names import ESTIMATED, known_metrics, unknown
from ..stream_processors.alerts.conditions.wording import long, side
from ..stream_processors.alerts.replay import Fired
from .tabular import Report


def overview(rules: Sequence[Rule]) -> Report:
    """A row a rule."""
    columns = ("rule", "finds", "models", "for", "keeps firing", "severity", "owner")
    rows = [
        [
            rule.name, said(rule.condition), ", ".join(rule.models) or "all", format_duration(rule.held_for),
            format_duration(rule.keep_firing_for), rule.severity.value, rule.owner,
        ]
        for rule in rules
    ]  # fmt: skip
    return Report(columns, rows)


def said(condition: Condition) -> str:
    """A condition in words.

    >>> said(OfLedger())
    'the ledger does not balance'
    """
    match condition:
        case OfMetric():
            surely = " surely" if condition.surely else ""
            of = f" in {condition.window}" if condition.window else ""
            slices = ", slices too" if condition.slices else ""
            return f"{condition.metric}{of}{surely} {side(condition.bound)}{slices}"
        case OfSignals():
            of = f" of {', '.join(condition.subjects)}" if condition.subjects else ""
            strong = f" of strength {condition.min_score:g} or more" if condition.min_score else ""
            return " or ".join(kind.value for kind in condition.kinds) + of + strong
        case OfGap():
            return f"realised minus estimated {condition.metric} {side(condition.bound)}"
        case NoData():
            after = "unusually long" if condition.after is None else format_duration(condition.after)
            return f"no {condition.of.value} for {after}"
        case OfPipeline():
            return f"pipeline: {condition.of.value} for {format_duration(condition.after)}"
        case OfLedger():
            return "the ledger does not balance"
        case OfDeadLetters():
            return f"more than {condition.share:.3g} of the records of {format_duration(condition.within)} unreadable"
        case OfLabelDelay():
            above = "twice what is usual" if condition.above is None else format_duration(condition.above)
            return f"{condition.of:.0%} quantile of label delays above {above}"
        case OfBudget():
            times = f" {condition.burn:g} times" if condition.burn != 1 else ""
            return f"cost{times} above {condition.usd:g} USD in {format_duration(condition.per)}"
        case OfQuery():
            return f"SQL{'' if condition.bound is None else ' with value ' + side(condition.bound)}"
        case _:
            return "alerting itself"


def problems(config: LoopwatchConfig, clickhouse: ClickHouse, now: datetime) -> Iterator[tuple[str, str]]:
    """What is wrong, by where in `alerting:`, but for what reading the configuration has found already.

    Raises:
        ServiceUnavailable: a rule has a query, and ClickHouse doesn't answer.
    """
    known = known_metrics(config)
    for rule in config.alerting.rules:
        condition, where = rule.condition, f"rules.{rule.name}"
        if isinstance(condition, OfMetric):
            if wrong := unknown(condition.metric, known):
                yield f"{where}.metric", wrong
            yield from _outcome(config, rule, condition, where)
        elif isinstance(condition, OfGap) and (wrong := unknown(condition.metric, ESTIMATED)):
            yield f"{where}.gap", wrong
        elif isinstance(condition, OfQuery):
            yield from ((f"{where}.sql", wrong) for wrong in query.check(clickhouse, condition, now))
    for receiver in config.alerting.receivers:
        yield from _secrets(receiver)


def _outcome(config: LoopwatchConfig, rule: Rule, condition: OfMetric, where: str) -> Iterator[tuple[str, str]]:
    if not condition.outcome:
        return
    for name in rule.models:
        outcomes = [outcome.name for outcome in config.for_model(name).outcomes]
        if condition.outcome not in outcomes:
            yield f"{where}.outcome", f"model {name} has no outcome {condition.outcome!r}, but {', '.join(outcomes)}"


def _secrets(receiver: Receiver) -> Iterator[tuple[str, str]]:
    """Those that are missing, by name: never what they say."""
    secrets: list[Secret] = [*receiver.secrets, *([receiver.url_secret] if receiver.url_secret is not None else [])]
    for secret in secrets:
        where = f"receivers.{receiver.name}"
        if secret.env and not os.environ.get(secret.env):
            yield where, f"environment variable {secret.env} is not set here"
        if secret.file and not _is_readable(Path(secret.file)):
            yield where, f"file {secret.file} can't be read here, or is empty"


def _is_readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes().strip())
    except OSError:
        return False


def fired_report(found: Sequence[Fired], end: datetime, *, whole: bool) -> Report:
    """What would have fired; `whole` has all labels, and instants as they are."""
    columns = ("fired", "lasted", "severity", "rule", "about", "message")
    if whole:
        return Report(
            ("fired_at", "resolved_at", "lasted_s", "rule", "severity", "labels", "message", "began_at"),
            [
                [
                    each.since, each.until, each.lasted(end).total_seconds(), each.alert.rule,
                    each.alert.severity.value, each.alert.labels, each.alert.details.message, each.alert.details.since,
                ]
                for each in found
            ],
        )  # fmt: skip
    rows = [
        [
            f"{each.since:%Y-%m-%d %H:%M}", long(each.lasted(end)) + ("" if each.until else ", goes on"),
            each.alert.severity.value, each.alert.rule, _about(each.alert.labels), each.alert.details.message,
        ]
        for each in found
    ]  # fmt: skip
    return Report(columns, rows)


def _about(labels: dict[str, str]) -> str:
    """What tells the alerts of a rule and a model apart."""
    named = [labels[name] for name in ("outcome", "metric", "subject", "window") if name in labels]
    of_slice = f"{labels['segment_key']}={labels.get('segment', '')}" if "segment_key" in labels else ""
    return " ".join([*named, *([of_slice] if of_slice else [])])
