"""Fingerprints of the rows that windows are made of: equal ones mean that there is nothing to evaluate again."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from ...infra.clickhouse import ClickHouse, quote
from ...schemas.windows import TimeOf
from ..lookups import instant
from .news import bucket
from .series import Due, starts_of

_MODULO = 1 << 64
_MOST_STRETCHES = 20


class Content(Struct):
    """Rows of a window: a hash of which they are, and their number plus their revisions."""

    hash: int = 0
    revision: int = 0

    def add(self, hash_: int, revision: int) -> None:
        """Count further rows in."""
        self.hash = (self.hash + hash_) % _MODULO
        self.revision += revision


def contents_of(clickhouse: ClickHouse, dues: Collection[Due], bucket_s: int) -> dict[Due, Content]:
    """The content of each window; one without rows has hash and revision 0."""
    contents = {due: Content() for due in dues}
    cohorts = [due for due in dues if due.series.time_of is TimeOf.PREDICTION]
    labels = [due for due in dues if due.series.time_of is TimeOf.LABEL]
    for table, clock, of_outcome, which in (
        ("predictions", "ts", False, cohorts),
        ("feedback_current", "prediction_ts", True, cohorts),
        ("feedback_current", "assumeNotNull(action_ts)", True, labels),
    ):
        asked: dict[tuple[str, str], set[Due]] = defaultdict(set)
        for due in which:
            asked[due.series.model, due.series.outcome if of_outcome else ""].add(due)
        if asked:
            _add(contents, clickhouse, table, clock, asked, bucket_s)
    return contents


def _add(
    contents: dict[Due, Content],
    clickhouse: ClickHouse,
    table: str,
    clock: str,
    asked: dict[tuple[str, str], set[Due]],
    bucket_s: int,
) -> None:
    """Count the rows of `table` into the windows asked for, by (model, outcome)."""
    conditions: list[str] = []
    for (model, outcome), dues in asked.items():
        which = f"model = {quote(model)}" + (f" AND outcome = {quote(outcome)}" if outcome else "")
        which += " AND action_ts IS NOT NULL" if "action_ts" in clock else ""
        conditions += [
            f"({which} AND {clock} >= {instant(begin * 1_000_000)} AND {clock} < {instant(end * 1_000_000)})"
            for begin, end in stretches(dues)
        ]
    key, revision, hash_ = (
        ("''", "count()", "sum(cityHash64(prediction_id))") if table == "predictions"
        else ("outcome", "sum(toUInt64(revision))", "sum(cityHash64(prediction_id, revision))")
    )  # fmt: skip
    rows = clickhouse.rows(
        f"SELECT model, {key} AS of_outcome, {bucket(clock, bucket_s)} AS bucket, {revision}, {hash_} "
        f"FROM {clickhouse.database}.{table} WHERE {' OR '.join(conditions)} GROUP BY model, of_outcome, bucket"
    )
    series_of = {key: {due.series for due in dues} for key, dues in asked.items()}
    for model, outcome, at, revisions, hashes in rows:
        for series in series_of[model, outcome]:
            for start in starts_of(series.window, at, bucket_s):
                if (due := Due(series, start)) in asked[model, outcome]:
                    contents[due].add(hashes, revisions)


def stretches(dues: Iterable[Due], most: int = _MOST_STRETCHES) -> Sequence[tuple[int, int]]:
    """At most so many stretches of time (begin, end) that cover all the windows, with the widest gaps between them."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted((due.start, due.end) for due in dues):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    gaps = sorted((after[0] - before[1] for before, after in pairwise(merged)), reverse=True)
    least = gaps[most - 1] if len(gaps) >= most else 0
    covering: list[tuple[int, int]] = []
    for begin, end in merged:
        if covering and begin - covering[-1][1] <= least:
            covering[-1] = (covering[-1][0], end)
        else:
            covering.append((begin, end))
    return covering
