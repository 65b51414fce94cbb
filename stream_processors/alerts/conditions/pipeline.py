"""`OfPipeline`: workers report that something is wrong, or don't report."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from ....schemas.alerting import Ill, OfPipeline, Rule
from ....schemas.alerts import Category, Details, Finding
from .wording import command, finding, long, minute

_MOST_NAMED = 8
_QUERY = "SELECT * FROM worker_reports FINAL ORDER BY _topic, partition"


class Report(Struct, frozen=True):
    """How a partition is, as its worker said last."""

    topic: str
    partition: int
    owner: str
    lag: int
    waiting_s: float
    stuck_s: float
    failed_at: datetime | None
    failure: str
    reported_at: datetime

    @property
    def place(self) -> str:
        """Topic and partition."""
        return f"{self.topic}[{self.partition}]"


class Pipeline(Struct, frozen=True):
    """The last report of each partition; `unreported` have none, though somebody has watched since an instant."""

    reports: Sequence[Report]
    unreported: Sequence[str] = ()
    since: datetime | None = None


def findings(rule: Rule, condition: OfPipeline, pipeline: Pipeline, now: datetime) -> Iterator[Finding]:
    """One finding for all partitions together: they rarely have different causes."""
    match condition.of:
        case Ill.LAG:
            found = _lag(condition, pipeline, now)
        case Ill.STUCK:
            found = _stuck(condition, pipeline, now)
        case Ill.ERRORS:
            found = _errors(condition, pipeline, now)
    if found is not None:
        yield finding(rule, Category.PIPELINE, found, subject=condition.of.value)


def _lag(condition: OfPipeline, pipeline: Pipeline, now: datetime) -> Details | None:
    late = [each for each in _fresh(condition, pipeline, now) if each.waiting_s > condition.after.total_seconds()]
    if not late:
        return None
    worst = max(late, key=lambda each: each.waiting_s)
    since = min(each.reported_at.timestamp() - each.waiting_s for each in late)
    began = datetime.fromtimestamp(since, now.tzinfo)
    return Details(
        message=f"Events wait in Kafka for {long(now - began)} before they are stored, longer than "
        f"{long(condition.after)}, since {minute(began)}, {worst.place} most of all "
        f"({sum(each.lag for each in late):,} records wait in {_places(late)})",
        value=worst.waiting_s,
        threshold=condition.after.total_seconds(),
        n=sum(each.lag for each in late),
        since=began,
        query=_QUERY,
        command=command("doctor"),
    )


def _stuck(condition: OfPipeline, pipeline: Pipeline, now: datetime) -> Details | None:
    after_s = condition.after.total_seconds()
    silent = [each for each in pipeline.reports if now - each.reported_at > condition.after]
    still = [each for each in _fresh(condition, pipeline, now) if each.stuck_s > after_s]
    said: list[str] = []
    since: list[datetime] = []
    if silent:
        since.append(min(each.reported_at for each in silent))
        said.append(f"no worker reports on {_places(silent)} since {minute(since[-1])}")
    if pipeline.unreported and pipeline.since is not None and now - pipeline.since > condition.after:
        since.append(pipeline.since)
        said.append(f"no worker has ever reported on {_named(pipeline.unreported)}")
    if still:
        since.append(datetime.fromtimestamp(min(e.reported_at.timestamp() - e.stuck_s for e in still), now.tzinfo))
        said.append(f"{_places(still)} got no further since {minute(since[-1])}, though there is something to read")
    if not said:
        return None
    text = "; ".join(said)
    return Details(
        message=f"{text[0].upper()}{text[1:]}: nothing of these partitions is stored, counted or watched meanwhile",
        value=(now - min(since)).total_seconds(),
        threshold=after_s,
        n=len(silent) + len(still) + len(pipeline.unreported),
        since=min(since),
        query=_QUERY,
        command=command("doctor"),
    )


def _errors(condition: OfPipeline, pipeline: Pipeline, now: datetime) -> Details | None:
    # A partition of the worker each, all of which say the same.
    failed = {
        each.owner: each
        for each in pipeline.reports
        if each.failed_at is not None and now - each.failed_at < condition.after
    }
    if not failed:
        return None
    last, why = max((each.failed_at, each.failure) for each in failed.values() if each.failed_at is not None)
    owners = ", ".join(sorted(owner.rpartition(":")[0] or owner for owner in failed))
    return Details(
        message=f"Worker {owners} failed at {minute(last)} last ({why}): metrics and signals of its models may be old",
        value=float(len(failed)),
        n=len(failed),
        since=last,
        query=_QUERY,
        command=command("doctor"),
    )


def _fresh(condition: OfPipeline, pipeline: Pipeline, now: datetime) -> list[Report]:
    return [each for each in pipeline.reports if now - each.reported_at <= condition.after]


def _places(reports: Sequence[Report]) -> str:
    return _named(sorted(each.place for each in reports))


def _named(places: Sequence[str]) -> str:
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    return ", ".join(places[:_MOST_NAMED]) + more
