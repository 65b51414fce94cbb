"""What counts as an answer to a prediction: outcomes of models, and what a model without configuration gets."""

from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from .alerting import Alerting
from .comparison import Comparison
from .default_alerting import DEFAULT_ALERTING
from .kpis import Kpi
from .monitoring import Monitoring
from .windows import Window


class Kind(StrEnum):
    """What a model does, which decides the metrics that fit it."""

    CLASSIFICATION = "classification"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    RANKING = "ranking"
    GENERATION = "generation"


class OnTimeout(StrEnum):
    """What a prediction gets when its window ends and nothing counted."""

    NEGATIVE = "negative"
    """A negative label: silence is an answer (no click)."""
    UNLABELLED = "unlabelled"
    """No label: silence says nothing."""


class LabelRule(StrEnum):
    """Where the label comes from."""

    POSITIVE = "positive"
    """That it happened is the label."""
    VALUE = "value"
    """The action's value is the label; an action without a value counts as true."""


class Combine(StrEnum):
    """Which of several counting actions decides."""

    FIRST = "first"
    LAST = "last"
    MAX = "max"
    SUM = "sum"


class Positive(Struct, frozen=True):
    """Which labels are the positive class: numbers on one side of a bound, or one text."""

    text: str = ""
    comparison: Comparison | None = None
    bound: float = 0.0


class Outcome(Struct, frozen=True):
    """One answer to wait for.

    An action counts when `actions` names it (an empty tuple: any action) and its event time is at most `window` after
    the prediction's (and not before it by more than the disorder allowed).
    """

    name: str
    actions: tuple[str, ...] = ()
    window: timedelta = timedelta(hours=24)
    on_timeout: OnTimeout = OnTimeout.UNLABELLED
    label: LabelRule = LabelRule.VALUE
    combine: Combine = Combine.LAST
    positive: Positive | None = None
    """For the metrics of a classifier; None means the label that is true or 1."""

    def names(self, action: str) -> bool:
        """Whether an action of this name belongs to the outcome.

        >>> Outcome("click", actions=("click", "tap")).names("tap"), Outcome("default").names("anything")
        (True, True)
        """
        return not self.actions or action in self.actions


DEFAULT_OUTCOME = Outcome("default")
DEFAULT_WINDOWS = (Window.tumbling(timedelta(hours=1)), Window.tumbling(timedelta(days=1)))


class Defaults(Struct, frozen=True):
    """What holds for every model unless it says otherwise."""

    disorder: timedelta = timedelta(seconds=10)
    """How far event times may be out of order, in the watermark and before a prediction's own time."""
    orphan_grace: timedelta = timedelta(hours=1)
    """How long an action waits for its prediction before it is an orphan."""
    retention: timedelta = timedelta(days=365)
    """How long after the end of the model's longest window a late action may still revise an outcome."""
    windows: tuple[Window, ...] = DEFAULT_WINDOWS
    """In which windows table `metrics` says how good a model is."""
    monitoring: Monitoring = Monitoring()


class ModelConfig(Struct, frozen=True):
    """One model: its outcomes, slices, windows of its metrics, indicators, what watches it, and how long it revises."""

    name: str
    kind: Kind | None = None
    outcomes: tuple[Outcome, ...] = (DEFAULT_OUTCOME,)
    segments: tuple[str, ...] = ()
    retention: timedelta = Defaults().retention
    windows: tuple[Window, ...] = DEFAULT_WINDOWS
    kpis: tuple[Kpi, ...] = ()
    monitoring: Monitoring = Monitoring()

    @property
    def longest_window(self) -> timedelta:
        """The window of the outcome that waits longest."""
        return max(outcome.window for outcome in self.outcomes)


class LoopwatchConfig(Struct, frozen=True):
    """All of ``loopwatch.yaml``. Models that it doesn't name get the default outcome."""

    models: dict[str, ModelConfig] = {}
    defaults: Defaults = Defaults()
    alerting: Alerting = DEFAULT_ALERTING

    def for_model(self, name: str) -> ModelConfig:
        """The configuration of a model; the same object each time, also for a model that is not configured.

        >>> LoopwatchConfig().for_model("never-heard-of").outcomes[0].window
        datetime.timedelta(days=1)
        """
        return self.models.get(name) or _unregistered(name, self.defaults)


# Bounded: names of unknown models come from events.
@lru_cache(maxsize=10_000)
def _unregistered(name: str, defaults: Defaults) -> ModelConfig:
    return ModelConfig(name, retention=defaults.retention, windows=defaults.windows, monitoring=defaults.monitoring)
