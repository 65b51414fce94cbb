"""Every input ends in exactly one class, and the sums must reconcile (DESIGN §5). Pure: counts in, report out."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum

from msgspec import Struct, field


class PredictionClass(StrEnum):
    """Where a prediction that was received ended."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    ACCEPTED = "accepted"
    FORWARDED = "forwarded"
    """Moved to the partition of its id: received there, so not counted here as received."""


class OutcomeState(StrEnum):
    """How one outcome of an accepted prediction stands."""

    PENDING = "pending"
    MATCHED = "matched"
    EXPIRED = "expired"


class ActionClass(StrEnum):
    """Where an action that was received ended."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    MATCHED = "matched"
    LATE_REVISED = "late_revised"
    """Counts, but came after the timeout: it revised."""
    IGNORED = "ignored"
    """Counts for nothing, for an `IgnoreReason`."""
    HELD = "held"
    """Waits for its prediction."""
    ORPHAN = "orphan"
    """Its prediction has not come within the grace."""
    FORWARDED = "forwarded"
    """Moved to the partition of its id: received there, so not counted here as received."""


class IgnoreReason(StrEnum):
    """Why an action counts for no outcome."""

    OUTSIDE_WINDOW = "outside_window"
    NO_OUTCOME = "no_outcome"
    """No outcome of the model names it."""
    AFTER_RETENTION = "after_retention"
    """It would count, but came when the outcome could no longer be revised."""


class OutcomeCounts(Struct, frozen=True):
    """Accepted predictions by the state of one outcome."""

    pending: int = 0
    matched: int = 0
    expired: int = 0


class PredictionLine(Struct, kw_only=True):
    """`pending`, `matched` and `expired` count each accepted prediction once: by the first outcome of its model."""

    received: int = 0
    invalid: int = 0
    duplicate: int = 0
    accepted: int = 0
    pending: int = 0
    matched: int = 0
    expired: int = 0
    forwarded: int = 0


class ModelPredictions(PredictionLine, kw_only=True):
    """The predictions of one model, with each of its outcomes in the order of the configuration."""

    outcomes: dict[str, OutcomeCounts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = next(iter(self.outcomes.values()), OutcomeCounts())
        self.pending, self.matched, self.expired = first.pending, first.matched, first.expired


class Predictions(PredictionLine, kw_only=True):
    """All predictions, and those of each model; "" stands for records too broken to name their model."""

    models: dict[str, ModelPredictions] = field(default_factory=dict)


class ActionLine(Struct, kw_only=True):
    """Actions by class; `ignored` is the sum of `ignored_reasons`."""

    received: int = 0
    invalid: int = 0
    duplicate: int = 0
    matched: int = 0
    late_revised: int = 0
    ignored: int = 0
    held: int = 0
    orphan: int = 0
    forwarded: int = 0
    ignored_reasons: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ignored = sum(self.ignored_reasons.values())


class Actions(ActionLine, kw_only=True):
    """All actions, and those of each model; "" stands for actions whose prediction, so whose model, is not known."""

    models: dict[str, ActionLine] = field(default_factory=dict)


class LedgerReport(Struct):
    """The ledger as ``loopwatch ledger --format json`` prints it (encode with ``msgspec.json.encode``).

    >>> counts = ModelPredictions(received=3, accepted=2, outcomes={"click": OutcomeCounts(matched=2)})
    >>> LedgerReport.from_counts({"ctr": counts}, {}).imbalances
    ['predictions of ctr: received 3, but invalid 0 + duplicate 0 + accepted 2 = 2']
    """

    balanced: bool
    imbalances: list[str]
    predictions: Predictions
    actions: Actions
    notes: list[str] = []
    """What a reader should know, and no imbalance."""

    @classmethod
    def from_counts(
        cls,
        predictions: Mapping[str, ModelPredictions],
        actions: Mapping[str, ActionLine],
        *,
        further: Iterable[str] = (),
        notes: Iterable[str] = (),
    ) -> "LedgerReport":
        """The report of the counts of every model; `further` are imbalances that the counts don't show."""
        failed = [*_prediction_imbalances(predictions), *_action_imbalances(actions), *further]
        return cls(not failed, failed, _predictions(predictions), _actions(actions), list(notes))


def _prediction_imbalances(by_model: Mapping[str, ModelPredictions]) -> Iterator[str]:
    for model, counts in by_model.items():
        who = f"predictions of {model}" if model else "predictions of unknown models"
        yield from _mismatch(who, "received", counts, ("invalid", "duplicate", "accepted"), {})
        if counts.accepted and not counts.outcomes:
            yield f"{who}: accepted {counts.accepted}, but no outcome of theirs is counted"
        for outcome, states in counts.outcomes.items():
            parts = {state.value: getattr(states, state) for state in OutcomeState}
            yield from _mismatch(f"{who}, outcome {outcome}", "accepted", counts, (), parts)


def _action_imbalances(by_model: Mapping[str, ActionLine]) -> Iterator[str]:
    classes = ("invalid", "duplicate", "matched", "late_revised", "held", "orphan")
    for model, counts in by_model.items():
        who = f"actions of {model}" if model else "actions of unknown models"
        ignored = {f"ignored ({reason})": count for reason, count in counts.ignored_reasons.items()}
        yield from _mismatch(who, "received", counts, classes, ignored)


def _mismatch(who: str, whole: str, counts: Struct, classes: tuple[str, ...], more: Mapping[str, int]) -> Iterator[str]:
    expected: int = getattr(counts, whole)
    parts: dict[str, int] = {name: getattr(counts, name) for name in classes} | dict(more)
    for name, count in {whole: expected, **parts}.items():
        if count < 0:
            yield f"{who}: {name} is {count}, below zero"
    if expected != sum(parts.values()):
        addends = " + ".join(f"{name} {count}" for name, count in parts.items())
        yield f"{who}: {whole} {expected}, but {addends} = {sum(parts.values())}"


def _predictions(by_model: Mapping[str, ModelPredictions]) -> Predictions:
    return Predictions(models=dict(by_model), **_sums(by_model.values(), PredictionLine.__struct_fields__))


def _actions(by_model: Mapping[str, ActionLine]) -> Actions:
    reasons: Counter[str] = Counter()
    for line in by_model.values():
        reasons.update(line.ignored_reasons)
    fields = tuple(name for name in ActionLine.__struct_fields__ if name != "ignored_reasons")
    return Actions(models=dict(by_model), ignored_reasons=dict(reasons), **_sums(by_model.values(), fields))


def _sums(lines: Collection[Struct], fields: tuple[str, ...]) -> dict[str, int]:
    return {name: sum(getattr(line, name) for line in lines) for name in fields}
