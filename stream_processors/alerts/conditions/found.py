"""How a finding is put together, whatever found it."""

import shlex
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ....schemas.alerting import Rule
from ....schemas.alerts import ALERTNAME, CATEGORY, SEVERITY, Category, Details, Finding


def finding(rule: Rule, category: Category, details: Details, **labels: str) -> Finding:
    """What a rule found; labels without a value are left out."""
    own = {ALERTNAME: rule.name, SEVERITY: rule.severity.value, CATEGORY: category.value}
    return Finding(rule.name, own | {name: value for name, value in labels.items() if value}, details)


def is_about(rule: Rule, model: str) -> bool:
    """Whether a rule is about a model."""
    return not rule.models or model in rule.models


def models_of(rules: Iterable[Rule]) -> frozenset[str] | None:
    """The models that any of these is about; None: all."""
    named = [rule.models for rule in rules]
    return None if not all(named) else frozenset(model for models in named for model in models)


def command(*words: str) -> str:
    """A command line to copy."""
    return " ".join(map(shlex.quote, ("loopwatch", *words)))


def minute(at: datetime) -> str:
    """An instant as people read it, of UTC."""
    return f"{at:%Y-%m-%d %H:%M}"


def span(length: timedelta) -> str:
    """How long, roughly.

    >>> span(timedelta(seconds=100)), span(timedelta(hours=30))
    ('100 s', '30 h')
    """
    seconds = length.total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def aware(at: datetime) -> datetime:
    """ClickHouse hands instants out without a zone: they are UTC."""
    return at.replace(tzinfo=UTC)
