"""What the join says of a stretch of input: rows to store, feedback to publish, counts for the ledger."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from ...schemas.events import Action, Prediction
from ...schemas.feedback import FeedbackStatus
from ...schemas.ledger import ActionClass, IgnoreReason
from .state import Entry

HOUR_US = 3_600_000_000


class Accepted(NamedTuple):
    """Predictions of a batch that are neither duplicates nor anybody else's, to be stored. Event times are µs."""

    offsets: Sequence[int]
    ts_us: Sequence[int]
    events: Sequence[Prediction]

    def after(self, offset: int) -> "Accepted":
        """Those behind an offset."""
        return self.only([index for index, own in enumerate(self.offsets) if own > offset])

    def only(self, indexes: Iterable[int]) -> "Accepted":
        """Those at these positions."""
        kept = list(indexes)
        return Accepted(
            [self.offsets[index] for index in kept],
            [self.ts_us[index] for index in kept],
            [self.events[index] for index in kept],
        )


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
        self.actions: list[ActionRow] = []
        self.settled: list[SettledAction] = []
        self.outcomes: list[OutcomeRow] = []
        self.counts: Counter[Count] = Counter()

    def extend(self, other: "Output", after: int) -> None:
        """Add everything of another output, but actions only from behind the offset `after`."""
        self.actions += [row for row in other.actions if row.offset > after]
        self.settled += other.settled
        self.outcomes += other.outcomes
        self.counts.update(other.counts)

    def __len__(self) -> int:
        return len(self.actions) + len(self.settled) + len(self.outcomes)
