"""Panes and rows held against each other, and what a crash kept out of the panes put in.

ClickHouse stores a block of `predictions` first and what the views make of it then. Killed between the two, with a
worker that is gone as well and sends the block no more, it has rows that are in no pane. Each insert's panes come with
an account in the same part, so what is missing is what has none.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from ...infra.clickhouse import INSERT_SETTINGS, ClickHouse, quote
from ...infra.logs import logger
from ...schemas.errors import LoopwatchError
from .inserts import token_of

log = logger(__name__)

_PANES = "panes_of_predictions"
_NAMES = ("pane_slices_of_predictions", "pane_categories_of_predictions")
_INSERT = "cityHash64(_topic, _topic_id, _partition, _ingested_at)"
_ROWS_AT_ONCE = 50_000


class Difference(Struct, frozen=True):
    """Panes of an hour (seconds since 1970) that do not hold as many predictions as there are rows."""

    model: str
    hour: int
    rows: int
    in_panes: int


def pane_differences(clickhouse: ClickHouse) -> list[Difference]:
    """Models and hours whose panes count other than the rows of `predictions`; empty is what must be."""
    database = clickhouse.database
    found = clickhouse.rows(
        "SELECT model, hour, sum(of_rows) AS by_rows, sum(of_panes) AS by_panes FROM ("
        "SELECT model, intDiv(toUnixTimestamp64Micro(ts) - positiveModulo(toUnixTimestamp64Micro(ts), 3600000000), "
        f"1000000) AS hour, 1 AS of_rows, 0 AS of_panes FROM {database}.predictions UNION ALL "
        "SELECT names.model, toUnixTimestamp64Second(start), 0, n "
        f"FROM (SELECT * FROM {database}.panes WHERE seconds = 3600 AND series = 1 AND bitAnd(slice, 1)) AS counted "
        f"LEFT JOIN (SELECT DISTINCT id, toString(model) AS model FROM {database}.pane_names "
        "WHERE kind = 'slice' AND key = '') AS names ON names.id = counted.slice"
        ") GROUP BY model, hour HAVING by_rows != by_panes ORDER BY model, hour"
    )
    return [Difference(model, int(hour), int(rows), int(panes)) for model, hour, rows, panes in found]


def repair_panes(clickhouse: ClickHouse, topic: str, partition: int, fence: str = "0") -> int:
    """Put rows of a Kafka partition that are in no pane into them; returns the number of inserts made up for.

    Also those of a database that is older than its panes. Nobody else may write for the partition: `fence` is SQL that
    is true if somebody does.
    """
    here = f"_topic = {quote(topic)} AND _partition = {partition}"
    latest = f"SELECT max(_ingested_at) FROM {clickhouse.database}.predictions WHERE {here}"
    for view in _NAMES:
        _insert_as(clickhouse, view, "pane_names", f"{here} AND _ingested_at = ({latest})", "latest")
    made_up = 0
    for ids in _portions(_missing(clickhouse, here)):
        listed = ",".join(map(str, ids))
        wanted = f"{here} AND {_INSERT} IN ({listed}) AND throwIf({fence}, 'fenced') = 0"
        for view in _NAMES:
            _insert_as(clickhouse, view, "pane_names", wanted, listed)
        _insert_as(clickhouse, _PANES, "panes", wanted, listed)
        made_up += len(ids)
    if made_up:
        log.warning("panes completed", partition=partition, inserts=made_up)
    return made_up


def _missing(clickhouse: ClickHouse, here: str) -> Sequence[tuple[int, int, int]]:
    """Id, rows and month of ingestion of the inserts that have no account, in order of time."""
    return [
        (int(insert), int(rows), int(month))
        for insert, rows, month in clickhouse.rows(
            f"SELECT {_INSERT} AS insert, count(), any(toYYYYMM(_ingested_at)) FROM {clickhouse.database}.predictions "
            f"WHERE {here} AND insert NOT IN (SELECT series FROM {clickhouse.database}.panes WHERE seconds = 0) "
            "GROUP BY insert ORDER BY min(_ingested_at)"
        )
    ]


def _portions(missing: Sequence[tuple[int, int, int]]) -> Iterator[list[int]]:
    """Inserts to make up for at once: not too many rows, and of one month, so that their panes are one part."""
    portion: list[int] = []
    rows, month_before = 0, 0
    for insert, n, month in missing:
        if portion and (month != month_before or rows + n > _ROWS_AT_ONCE):
            yield portion
            portion, rows = [], 0
        portion.append(insert)
        rows, month_before = rows + n, month
    if portion:
        yield portion


def _insert_as(clickhouse: ClickHouse, view: str, table: str, wanted: str, token: str) -> None:
    """Insert what the view makes of the rows that are wanted, as one block."""
    database = clickhouse.database
    ((select,),) = clickhouse.rows(
        f"SELECT as_select FROM system.tables WHERE database = {quote(database)} AND name = {quote(view)}"
    )
    source = f"FROM {database}.predictions"
    if select.count(source) != 1:
        raise LoopwatchError(f"view {database}.{view} is not as `loopwatch tables apply` makes it: drop it, and apply")
    columns = ", ".join(row[0] for row in clickhouse.rows(f"DESCRIBE TABLE {database}.{view}"))
    settings = dict(INSERT_SETTINGS) | {"max_threads": 1, "insert_deduplication_token": token_of([view, token])}
    listed = ", ".join(
        f"{name} = {quote(value) if isinstance(value, str) else value}" for name, value in settings.items()
    )
    clickhouse.command(
        f"INSERT INTO {database}.{table} ({columns}) SELECT {columns} FROM "
        f"({select.replace(source, f'{source} WHERE {wanted}')}) SETTINGS {listed}"
    )
