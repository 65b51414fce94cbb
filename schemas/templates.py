"""What an alert tells people: text with ``{{ name }}`` and ``{{ name | filter }}``, and nothing that runs.

Names are those of `Details` (`value`, `threshold`, `n`, …), `labels.NAME`, and `model`, `rule`, `severity`. What is not
known of an alert is written as ``?``.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from .alerts import ALERTNAME, MODEL, SEVERITY, Details

MOST_TEXT = 2000
"""Characters of a template; what comes of it is cut to as many."""

_FIELD = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(?:\|\s*([a-z]+)\s*)?\}\}")
_NUMBERS = ("value", "threshold", "expected", "lower", "upper", "n", "completeness")
_INSTANTS = ("since", "until")
_TEXTS = ("message", "command", "signal_id")
_OF_LABELS = {"model": MODEL, "rule": ALERTNAME, "severity": SEVERITY}
_LABEL = "labels."

_FILTERS: Mapping[str, Callable[[object], str]] = {
    "number": lambda value: f"{value:,.4g}" if isinstance(value, int | float) else str(value),
    "percent": lambda value: f"{100 * value:.3g} %" if isinstance(value, int | float) else str(value),
    "usd": lambda value: f"{value:,.2f} USD" if isinstance(value, int | float) else str(value),
    "time": lambda value: f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value),
}


def check_template(text: str) -> None:
    """Whether a text is a template.

    Raises:
        ValueError: it is none; the message says what is wrong with it.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(f"a template of {len(text)} characters: at most {MOST_TEXT} are taken")
    for name, filter_ in _FIELD.findall(text):
        known = (*_NUMBERS, *_INSTANTS, *_TEXTS, *_OF_LABELS)
        if name not in known and not (name.startswith(_LABEL) and len(name) > len(_LABEL)):
            raise ValueError(f"{{{{ {name} }}}} is not known (allowed: {', '.join(known)}, labels.NAME)")
        if filter_ and filter_ not in _FILTERS:
            raise ValueError(f"filter {filter_} is not known (allowed: {', '.join(_FILTERS)})")
    if "{{" in _FIELD.sub("", text) or "}}" in _FIELD.sub("", text):
        raise ValueError("write a field as {{ name }} or {{ name | filter }}")


def render(text: str, labels: Mapping[str, str], details: Details) -> str:
    """The text of one alert.

    >>> render("{{ model }}: {{ value | percent }}, {{ labels.team }}", {"model": "m"}, Details("", value=0.25))
    'm: 25 %, ?'
    """
    return _FIELD.sub(lambda found: _shown(found[1], found[2], labels, details), text)[:MOST_TEXT]


def _shown(name: str, filter_: str | None, labels: Mapping[str, str], details: Details) -> str:
    if name in _OF_LABELS or name.startswith(_LABEL):
        return labels.get(_OF_LABELS.get(name) or name[len(_LABEL) :], "?")
    value = getattr(details, name)
    if value is None or value == "":
        return "?"
    usual = "number" if name in _NUMBERS else "time" if name in _INSTANTS else ""
    chosen = filter_ or usual
    return _FILTERS[chosen](value) if chosen else str(value)
