"""`OfQuery`: rows of a query are findings; text columns are their labels, `value` is held against a bound."""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ....infra.clickhouse import ClickHouse
from ....schemas.alerting import OfQuery, Rule
from ....schemas.alerts import ALERTNAME, CATEGORY, MODEL, SEVERITY, Details, Finding
from ....schemas.errors import LoopwatchError
from .wording import finding, is_meant, is_wrong, number, side

MOST_FINDINGS = 1000
NOW = "now"
"""Parameter of a query: the instant that is asked about, as in ``{now:DateTime64(6)}``."""
VALUE, MESSAGE = "value", "message"
LIMITS = {
    "readonly": 2,
    "max_execution_time": 5,
    "timeout_overflow_mode": "throw",
    "max_result_rows": MOST_FINDINGS + 1,
    "result_overflow_mode": "break",
    "max_memory_usage": 1 << 30,
    "max_threads": 1,
}
"""Of every query: it reads, for 5 seconds and with 1 GiB at most."""
_SELECTS = re.compile(r"\A(\s|\(|--[^\n]*\n|/\*.*?\*/)*(SELECT|WITH)\b", re.IGNORECASE | re.DOTALL)
# Read-only, but not of this database.
_ELSEWHERE = re.compile(
    r"\b(url|urlCluster|file|fileCluster|s3|s3Cluster|gcs|hdfs|remote|remoteSecure|mysql|postgresql|mongodb|sqlite|odbc"
    r"|jdbc|redis|executable|input|azureBlobStorage|deltaLake|iceberg|hudi|cluster|clusterAllReplicas)\s*\(",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_LABEL = 256
_RESERVED = (ALERTNAME, SEVERITY, CATEGORY)


def rows_of(clickhouse: ClickHouse, condition: OfQuery, now: datetime) -> tuple[Sequence[str], list[Sequence[Any]]]:
    """Names of columns, and rows: no more than fit.

    Raises:
        LoopwatchError: it is no query that reads tables.
        ClickHouseError: it fails, or takes too long.
    """
    check_text(condition.query)
    result = clickhouse.client.query(
        condition.query.strip().rstrip(";"),
        parameters={NOW: f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"},
        settings={**LIMITS, "database": clickhouse.database},
    )
    return result.column_names, list(result.result_rows)


def takes_instant(condition: OfQuery) -> bool:
    """Whether the query asks for an instant, and so can be asked of the past."""
    return re.search(rf"\{{\s*{NOW}\s*:", condition.query) is not None


def check_text(query: str) -> None:
    """Whether it begins as a query does, and asks this ClickHouse alone.

    Raises:
        LoopwatchError: it says what is wrong.
    """
    if not _SELECTS.match(query):
        raise LoopwatchError("a rule's query begins with SELECT or WITH")
    if found := _ELSEWHERE.search(query):
        raise LoopwatchError(f"a rule's query reads tables of this ClickHouse: {found[1]}() is not allowed")


def check(clickhouse: ClickHouse, condition: OfQuery, now: datetime) -> list[str]:
    """What is wrong with the query, without running it: its text, what ClickHouse says to it, and its columns."""
    try:
        check_text(condition.query)
        query = condition.query.strip().rstrip(";")
        parameters = {NOW: f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"}
        settings = {**LIMITS, "database": clickhouse.database}
        clickhouse.client.query(f"EXPLAIN {query}", parameters=parameters, settings=settings)
        described = clickhouse.client.query(f"DESCRIBE TABLE ({query})", parameters=parameters, settings=settings)
    except Exception as exc:
        return [said(exc)]
    types = {str(row[0]): str(row[1]) for row in described.result_rows}
    problems: list[str] = []
    if VALUE not in types:
        problems.append(f"has no column `{VALUE}`: its columns are {', '.join(types)}")
    elif not re.search(r"Int|Float|Decimal|Bool", types[VALUE]):
        problems.append(f"column `{VALUE}` is no number: {types[VALUE]}")
    problems += [f"column `{name}` can't be a label: every alert has one" for name in types if name in _RESERVED]
    problems += [
        f"column `{name[:80]}` is no name of a label: say AS, letters, digits and _"
        for name in types
        if not _LABEL.fullmatch(name)
    ]
    return problems


def findings(
    rule: Rule, condition: OfQuery, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Iterator[Finding]:
    """A finding a row whose value is wrong; without a bound every row is one.

    Raises:
        LoopwatchError: there is no column `value`, or its values are no numbers.
    """
    # Without rows the client has no columns either.
    if rows and VALUE not in columns:
        raise LoopwatchError(f"the query has no column `{VALUE}`, but {', '.join(columns)}")
    for row in rows[:MOST_FINDINGS]:
        found = dict(zip(columns, row, strict=True))
        value = _number(found.pop(VALUE))
        labels = {
            name: each[:_LONGEST_LABEL]
            for name, each in found.items()
            if isinstance(each, str) and name not in (MESSAGE, *_RESERVED) and _LABEL.fullmatch(name)
        }
        if (
            value is None
            or (condition.bound is not None and not is_wrong(condition.bound, value))
            or (MODEL in labels and not is_meant(rule, labels[MODEL]))
        ):
            continue
        message = found.get(MESSAGE)
        details = Details(
            message=message if isinstance(message, str) and message else _message(rule, condition, labels, value),
            value=value,
            threshold=None if condition.bound is None else condition.bound.value,
            query=condition.query.strip(),
            command="loopwatch sql -",
        )
        yield finding(rule, condition.category, details, **labels)


def said(exc: Exception) -> str:
    """What went wrong, in one line and without what the client wraps around it."""
    text = " ".join(str(exc).split())
    text = text.partition("DB::Exception: ")[2] or text
    return text.partition(" (version ")[0][:500]


def _message(rule: Rule, condition: OfQuery, labels: dict[str, str], value: float) -> str:
    of = ", ".join(f"{name} {each}" for name, each in labels.items())
    beyond = "" if condition.bound is None else f", {side(condition.bound)}"
    return f"{rule.name}{f' of {of}' if of else ''} is {number(value)}{beyond}"


def _number(value: Any) -> float | None:
    if value is None:
        return None
    try:
        number_ = float(value)
    except (TypeError, ValueError):
        raise LoopwatchError(f"`{VALUE}` is no number but {type(value).__name__}") from None
    return None if math.isnan(number_) else number_
