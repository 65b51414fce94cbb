"""How conditions speak: labels that stay the same from tick to tick, numbers, instants, and bounds."""

import shlex
from datetime import UTC, datetime, timedelta

from ....schemas.alerting import Bound, Rule
from ....schemas.alerts import ALERTNAME, CATEGORY, SEVERITY, Category, Details, Finding
from ....schemas.comparison import Comparison

_SIDES = {
    Comparison.MORE: "above",
    Comparison.AT_LEAST: "at or above",
    Comparison.LESS: "below",
    Comparison.AT_MOST: "at or below",
}
_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45)


def finding(rule: Rule, category: Category, details: Details, /, **labels: str) -> Finding:
    """A finding of a rule, with the labels that all have, the rule's own, and those of these that say something."""
    named = {name: value for name, value in labels.items() if value}
    always = {ALERTNAME: rule.name, CATEGORY: category.value, SEVERITY: rule.severity.value}
    return Finding(rule.name, {**rule.labels, **named, **always}, details)


def is_meant(rule: Rule, model: str) -> bool:
    """Whether the rule is about this model."""
    return not rule.models or model in rule.models


def is_wrong(bound: Bound, value: float) -> bool:
    """Whether a value is on the wrong side."""
    return bound.comparison.holds(value, bound.value)


def is_surely_wrong(bound: Bound, value: float, lower: float | None, upper: float | None) -> bool:
    """Whether all of the interval is on the wrong side; of a value without one, itself."""
    nearest = lower if bound.comparison in (Comparison.MORE, Comparison.AT_LEAST) else upper
    return is_wrong(bound, value) and (nearest is None or is_wrong(bound, nearest))


def side(bound: Bound) -> str:
    """Where what is wrong lies.

    >>> side(Bound(Comparison.LESS, 0.6))
    'below 0.6'
    """
    return f"{_SIDES[bound.comparison]} {number(bound.value)}"


def number(value: float) -> str:
    """A number for people.

    >>> number(0.71234), number(12345678.0), number(-0.05)
    ('0.712', '12,345,678', '-0.05')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def sureness(lower: float | None, upper: float | None, n: int, completeness: float | None) -> str:
    """How sure something is, in brackets."""
    said = [] if lower is None or upper is None else [f"95 %: {number(lower)} to {number(upper)}"]
    said.append(f"n = {n:,}")
    if completeness is not None:
        said.append(f"{completeness:.0%} of them settled")
    return f"({', '.join(said)})"


def minute(at: datetime) -> str:
    """An instant for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def typed(at: datetime) -> str:
    """An instant for a command line."""
    return f"{at:%Y-%m-%dT%H:%M}"


def long(span: timedelta) -> str:
    """About how long, down to one of few steps: what is said every few seconds must not change each time.

    >>> long(timedelta(seconds=47)), long(timedelta(minutes=33)), long(timedelta(hours=7, minutes=59))
    ('45 seconds', '30 minutes', '6 hours')
    """
    for unit, seconds in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if (whole := int(span.total_seconds() // seconds)) >= 1 or seconds == 1:
            shown = max([step for step in _STEPS if step <= whole], default=whole) if whole < 60 else whole
            return f"{shown} {unit}{'' if shown == 1 else 's'}"
    raise AssertionError


def of_model(model: str, outcome: str = "", key: str = "", value: str = "") -> str:
    """Whose: a model, its outcome, and a slice."""
    return f"{model}{f' ({outcome})' if outcome else ''}{f' where {key} is {value}' if key else ''}"


def command(*words: str | datetime) -> str:
    """A command line of ours."""
    return shlex.join(["loopwatch", *(typed(word) if isinstance(word, datetime) else word for word in words)])


def at(second: int) -> datetime:
    """An instant by seconds since 1970."""
    return datetime.fromtimestamp(second, UTC)
