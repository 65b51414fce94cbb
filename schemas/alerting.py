"""What `alerting:` of ``loopwatch.yaml`` means: rules, receivers, routes, inhibitions."""

from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from msgspec import Struct

from .alerts import Category, Severity
from .comparison import Comparison
from .signals import SignalKind
from .windows import TimeOf, Window


class Bound(Struct, frozen=True):
    """On which side of a number something is wrong: `comparison` is what is wrong, such as ``<`` 0.6."""

    comparison: Comparison
    value: float


class OfMetric(Struct, frozen=True, tag="metric"):
    """The newest window of each series of table `metrics` that has enough in it is on the wrong side of a bound."""

    metric: str
    """A name of docs/metrics.md, or a business indicator's."""
    bound: Bound
    window: Window | None = None
    """None: any that is kept."""
    time_of: TimeOf = TimeOf.PREDICTION
    outcome: str = ""
    """Empty: any."""
    slices: bool = False
    """Whether slices count as well as the whole."""
    min_n: int = 100
    min_completeness: float = 0.9
    surely: bool = True
    """Whether the whole 95 % interval has to be on the wrong side."""


class OfSignals(Struct, frozen=True, tag="signal"):
    """A detector found something and sees it still."""

    kinds: tuple[SignalKind, ...]
    subjects: tuple[str, ...] = ()
    """Features, outputs or series; empty: any."""
    min_score: float = 0.0
    slices: bool = True


class OfGap(Struct, frozen=True, tag="gap"):
    """Estimated before labels, realised after: the gap between the two is beyond a bound."""

    metric: str
    bound: Bound
    min_n: int = 100


class Expected(StrEnum):
    """What should come."""

    PREDICTIONS = "predictions"
    LABELS = "labels"


class NoData(Struct, frozen=True, tag="no_data"):
    """Nothing came for longer than it ever takes."""

    of: Expected
    after: timedelta | None = None
    """None: learned from how it came before."""


class Ill(StrEnum):
    """What can be wrong with the pipeline."""

    LAG = "lag"
    """Events wait in Kafka for longer than `after`."""
    STUCK = "stuck"
    """A partition gets no further, or no worker has it."""
    ERRORS = "errors"
    """Evaluation or detectors of a worker fail."""


class OfPipeline(Struct, frozen=True, tag="pipeline"):
    """Workers report that something is wrong, or don't report."""

    of: Ill
    after: timedelta = timedelta(minutes=2)


class OfLedger(Struct, frozen=True, tag="ledger"):
    """The ledger does not balance."""


class OfDeadLetters(Struct, frozen=True, tag="dead_letters"):
    """So large a share of what came `within` a time can't be read."""

    share: float = 0.01
    within: timedelta = timedelta(minutes=15)
    min_n: int = 10
    """Dead letters."""


class OfLabelDelay(Struct, frozen=True, tag="label_delay"):
    """Labels of late come later than a bound; in terms of the quantile `of` their delays."""

    above: timedelta | None = None
    """None: twice what it was in the weeks before."""
    of: float = 0.9
    within: timedelta = timedelta(hours=6)
    min_n: int = 100


class OfBudget(Struct, frozen=True, tag="budget"):
    """At the rate of `within`, `cost_usd` comes to more than `usd` in a period: `burn` times as fast as it may."""

    usd: float
    per: timedelta = timedelta(days=30)
    burn: float = 1.0
    within: timedelta = timedelta(hours=1)


class OfQuery(Struct, frozen=True, tag="sql"):
    """A query returned rows: text columns are labels, the number `value` is held against the bound, if there is one."""

    query: str
    bound: Bound | None = None
    category: Category = Category.BUSINESS


class OfAlerting(Struct, frozen=True, tag="alerting"):
    """Alerting itself can't do its work: it notices by itself, and nobody configures it."""


Condition = (
    OfMetric
    | OfSignals
    | OfGap
    | NoData
    | OfPipeline
    | OfLedger
    | OfDeadLetters
    | OfLabelDelay
    | OfBudget
    | OfQuery
    | OfAlerting
)


class Rule(Struct, frozen=True, kw_only=True):
    """When to alert, and what to say. `annotations` are templates, see docs/alerts.md."""

    name: str
    condition: Condition
    models: tuple[str, ...] = ()
    """Empty: all. What is not about a model takes no notice of it."""
    held_for: timedelta = timedelta()
    """``for``: so long the condition holds before it fires."""
    keep_firing_for: timedelta = timedelta(minutes=5)
    severity: Severity = Severity.WARNING
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner: str = ""
    runbook: str = ""


class Match(StrEnum):
    """How a matcher compares."""

    IS = "="
    IS_NOT = "!="
    LIKE = "=~"
    UNLIKE = "!~"


class Matcher(Struct, frozen=True):
    """A condition on one label; regular expressions match all of its value, and a label that is missing is empty."""

    label: str
    match: Match
    value: str


class Inhibition(Struct, frozen=True):
    """While an alert `by` fires, those of `what` that have the same `equal` labels are not told.

    Those of them that began by its end are not told for as long as it is `lasting` either.
    """

    by: tuple[Matcher, ...]
    what: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    lasting: timedelta = timedelta()


class Format(StrEnum):
    """What is sent."""

    WEBHOOK = "webhook"
    """Alertmanager's webhook payload, version 4, signed as Standard Webhooks say."""
    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    """Events API v2."""


class Secret(Struct, frozen=True):
    """Where a secret is: in an environment variable or a file. It is read when it is used, and never shown."""

    env: str = ""
    file: str = ""


class Receiver(Struct, frozen=True, kw_only=True):
    """Who is told, and how."""

    name: str
    format: Format = Format.WEBHOOK
    url: str = ""
    url_secret: Secret | None = None
    """In place of `url`, where the address itself is a secret, as Slack's is."""
    secrets: tuple[Secret, ...] = ()
    """Signing keys (``whsec_…``), the newest first: each signs, so that a receiver may know either. PagerDuty's
    routing key."""
    timeout: timedelta = timedelta(seconds=15)
    give_up_after: timedelta = timedelta(days=3)
    concurrency: int = 4
    per_minute: int = 300
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that are not global and may be called all the same."""
    send_resolved: bool = True
    send_values: bool = False
    """Whether evidence may name categories and values of features; else ids and numbers only."""


class Route(Struct, frozen=True, kw_only=True):
    """Which alerts go to whom, and which of them together. What no child takes is its own."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = ("model",)
    group_wait: timedelta = timedelta(seconds=5)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta = timedelta(hours=4)
    goes_on: bool = False
    """``continue``: the routes behind it are asked as well."""
    routes: "tuple[Route, ...]" = ()


class Alerting(Struct, frozen=True, kw_only=True):
    """All of it. Without a route alerts are kept, and shown, and nobody is told."""

    rules: tuple[Rule, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    route: Route | None = None
    inhibitions: tuple[Inhibition, ...] = ()
    heartbeat_to: str = ""
    """Receiver that hears every `heartbeat_every` that alerting is alive."""
    heartbeat_every: timedelta = timedelta(minutes=1)
