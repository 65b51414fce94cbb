"""Rules in SQL: any query that returns rows with labels, which are its texts, and a number called `value`."""

import re
from collections.abc import Iterator
from typing import Any

from ....infra.clickhouse import ClickHouse
from ....schemas.alerting import OfQuery, Rule
from ....schemas.alerts import ALERTNAME, CATEGORY, SEVERITY, Details, Finding
from ....schemas.errors import LoopwatchError
from .found import finding

VALUE, MESSAGE = "value", "message"
MOST_ROWS = 1000
_LONGEST_LABEL = 256
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = (ALERTNAME, CATEGORY, SEVERITY)
# A query of a user's may read, and for so long.
_LIMITS = {
    "readonly": 2,
    "max_execution_time": 10,
    "max_result_rows": MOST_ROWS + 1,
    "result_overflow_mode": "break",
    "max_memory_usage": 2 << 30,
    "max_threads": 2,
}


class BadQuery(LoopwatchError):
    """A query of a rule does not return what rules need."""


def find_rows(clickhouse: ClickHouse, rule: Rule) -> Iterator[Finding]:
    """A finding a row whose value is on the wrong side of the bound, or every row where there is no bound.

    Raises:
        BadQuery: it returns no `value`, too much, or a label that is ours.
        DatabaseError: ClickHouse refuses it.
    """
    condition = rule.condition
    assert isinstance(condition, OfQuery)
    names, rows = clickhouse.limited(condition.query, _LIMITS)
    # ClickHouse names no columns where there are no rows.
    labels = _label_columns(names) if rows else []
    if len(rows) > MOST_ROWS:
        raise BadQuery(f"it returns more than {MOST_ROWS:,} rows: group them, or leave out what is well")
    for row in rows:
        named = dict(zip(names, row, strict=True))
        value = _number(named[VALUE]) if VALUE in named else None
        bound = condition.bound
        if bound is not None and (value is None or not bound.comparison.holds(value, bound.value)):
            continue
        said = {name: str(named[name])[:_LONGEST_LABEL] for name in labels}
        whose = ", ".join(f"{name} {text}" for name, text in said.items() if text)
        shown = "" if value is None else f" is {value:.4g}"
        limit = "" if bound is None else f", {bound.comparison} {bound.value:g}"
        message = (
            str(named[MESSAGE])[:500]
            if MESSAGE in named
            else f"{rule.name}{f' of {whose}' if whose else ''}{shown}{limit}"
        )
        yield finding(
            rule,
            condition.category,
            Details(message, value=value, threshold=bound and bound.value, query=condition.query),
            **said,
        )


def _label_columns(names: list[str]) -> list[str]:
    labels = [name for name in names if name not in (VALUE, MESSAGE)]
    for name in labels:
        if name in _OURS:
            raise BadQuery(f"column {name} is a label of ours: call it otherwise")
        if not _LABEL.fullmatch(name):
            raise BadQuery(f"column {name[:80]!r} is no name of a label: say AS, letters, digits and _")
    if VALUE not in names and not labels:
        raise BadQuery("it returns neither a column value nor any label")
    return labels


def _number(value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadQuery(f"column value is no number but {type(value).__name__}") from None
