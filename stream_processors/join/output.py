"""What the join says of a stretch of input: rows to store, feedback to publish, counts for the ledger."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from ...schemas.events import Action, Prediction
from ...schemas.feedback import FeedbackStatus
from ...schemas.ledger import ActionClass, IgnoreReason
from .state import Entry

HOUR_US = 3_600_000_000


class PredictionRows:
    """Predictions to store, column by column: event times, and the watermark at acceptance, in µs."""

    __slots__ = ("events", "offsets", "partitions", "ts_us", "watermarks_us")

    def __init__(self) -> None:
        self.events: list[Prediction] = []
        self.ts_us: list[int] = []
        self.partitions: list[int] = []
        self.offsets: list[int] = []
        self.watermarks_us: list[int] = []

    def __len__(self) -> int:
        return len(self.events)

    def add(
        self,
        partition: int,
        watermark_us: int,
        offsets: Sequence[int],
        ts_us: Sequence[int],
        events: Sequence[Prediction],
    ) -> None:
        """Add the accepted predictions of a batch."""
        self.events += events
        self.ts_us += ts_us
        self.partitions += [partition] * len(events)
        self.offsets += offsets
        self.watermarks_us += [watermark_us] * len(events)


class ActionRow(Struct, gc=False):
    """An action to store, with its class at arrival."""

    event: Action
    ts_us: int
    model: str
    action_class: ActionClass
    reason: IgnoreReason | None
    partition: int
    offset: int


class SettledAction(Struct, gc=False):
    """What became of an action that was held before."""

    partition: int
    prediction_id: str
    action_id: str
    model: str
    action_class: ActionClass
    reason: IgnoreReason | None


class OutcomeRow(Struct, gc=False):
    """A revision of one outcome of one prediction."""

    prediction_id: str
    entry: Entry
    outcome: str
    status: FeedbackStatus
    label: str | None
    label_value: float | None
    action_id: str | None
    action_ts_us: int | None
    n_actions: int
    revision: int
    partition: int
    from_action: bool
    """An action caused it, at `offset`. Otherwise no event did: a timeout, or a rule that changed."""
    offset: int


class Count(NamedTuple):
    """What a ledger row counts: events of one class, model and event-time hour."""

    of_actions: bool
    partition: int
    model: str
    hour: int
    event_class: str


def by_model_and_hour(events: Sequence[Prediction], ts_us: Sequence[int]) -> Counter[tuple[str, int]]:
    """How many predictions each model has in each hour of event time."""
    if not events:
        return Counter()
    hour = min(ts_us) // HOUR_US
    if max(ts_us) // HOUR_US == hour:
        # As good as always: a batch is younger than an hour.
        return Counter({(model, hour): n for model, n in Counter([event.model for event in events]).items()})
    return Counter([(event.model, at_us // HOUR_US) for event, at_us in zip(events, ts_us, strict=True)])


class Output:
    """Collects until a flush takes it; shared by the partitions of a worker."""

    def __init__(self) -> None:
        self.predictions = PredictionRows()
        self.actions: list[ActionRow] = []
        self.settled: list[SettledAction] = []
        self.outcomes: list[OutcomeRow] = []
        self.counts: Counter[Count] = Counter()

    def extend(self, other: "Output") -> None:
        """Add everything of another output."""
        rows = other.predictions
        self.predictions.events += rows.events
        self.predictions.ts_us += rows.ts_us
        self.predictions.partitions += rows.partitions
        self.predictions.offsets += rows.offsets
        self.predictions.watermarks_us += rows.watermarks_us
        self.actions += other.actions
        self.settled += other.settled
        self.outcomes += other.outcomes
        self.counts.update(other.counts)

    def __len__(self) -> int:
        return len(self.predictions) + len(self.actions) + len(self.settled) + len(self.outcomes)
