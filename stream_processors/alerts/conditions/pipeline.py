"""Workers that say that something is wrong, or say nothing: of table `worker_reports`."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from ....infra.clickhouse import ClickHouse, quote
from ....schemas.alerting import Ill, OfPipeline, Rule
from ....schemas.alerts import Category, Details, Finding
from .found import command, finding, span

# A partition that nobody has had for so long is no partition any more.
_FORGOTTEN = timedelta(days=7)
SILENT = timedelta(seconds=60)
"""A worker reports every few seconds: after so long without, its partitions are nobody's."""


def find_ills(clickhouse: ClickHouse, topic: str, rules: Sequence[Rule]) -> Iterator[Finding]:
    """One finding a rule, whichever and however many partitions it is about. `topic` is that of the predictions."""
    rows = clickhouse.rows(
        "SELECT partition, owner, lag, waiting_s, stuck_s, dateDiff('second', failed_at, now64(3)), failure, "
        "dateDiff('millisecond', reported_at, now64(3)) / 1000 AS silent_s "
        f"FROM {clickhouse.database}.worker_reports FINAL WHERE _topic = {quote(topic)} "
        f"AND silent_s < {_FORGOTTEN.total_seconds()} ORDER BY partition"
    )
    for rule in rules:
        condition = rule.condition
        assert isinstance(condition, OfPipeline)
        after_s = condition.after.total_seconds()
        match condition.of:
            case Ill.LAG:
                found = [(row[0], row[3] + row[7]) for row in rows if row[2] and row[3] + row[7] > after_s]
                lag = sum(row[2] for row in rows)
                what = f"{lag:,} events wait in Kafka, the first of them for {{}}"
            case Ill.STUCK:
                silent_s = max(after_s, SILENT.total_seconds())
                found = [(row[0], max(row[4], row[7])) for row in rows if row[4] > after_s or row[7] > silent_s]
                dead = sorted({row[1] for row in rows if row[7] > silent_s})
                who = f"; not heard of since: {', '.join(dead[:5])}" if dead else ""
                what = f"no events get stored of these partitions for {{}}{who}"
            case Ill.ERRORS:
                found = [(row[0], row[5]) for row in rows if row[5] is not None and row[5] <= after_s]
                said = next((row[6] for row in rows if row[5] is not None and row[5] <= after_s), "")
                what = f"evaluation or detectors failed {{}} ago: {said}"
        if found:
            longest = max(seconds for _, seconds in found)
            shown = ", ".join(str(partition) for partition, _ in found[:10]) + (" …" if len(found) > 10 else "")
            yield finding(
                rule,
                Category.PIPELINE,
                Details(
                    f"{what.format(span(timedelta(seconds=longest)))} (partitions {shown} of {len(rows)})",
                    value=longest if condition.of is Ill.LAG else float(len(found)), threshold=after_s, n=len(found),
                    query="SELECT * FROM worker_reports FINAL ORDER BY partition", command=command("doctor"),
                ),
            )  # fmt: skip
