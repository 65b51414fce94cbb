"""What detectors find: the value of topic ``loopwatch.signals`` (key = model), and the rows of table `signals`."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from .events import Id, Instant, Name


class SignalKind(StrEnum):
    """What kind of change it is."""

    DATA_DRIFT = "data_drift"
    """A feature is distributed otherwise than in the reference; so are rows of them, prompts or embeddings."""
    PREDICTION_DRIFT = "prediction_drift"
    """So is an output of the model: its prediction, score, latency, cost or responses."""
    CONCEPT_DRIFT = "concept_drift"
    """The losses of the model have changed: what it learned holds no longer."""
    IMPROVEMENT = "improvement"
    """The losses of the model fell at once: it became better, its task easier, or its labels tell less."""
    ANOMALY = "anomaly"
    """A series of the model, such as its volume, does what it never did."""


class Shift(Struct, frozen=True):
    """One piece of evidence: a bin, a category or a slice, and its share or mean."""

    name: str
    expected: float
    seen: float


class Signal(Struct, frozen=True):
    """A change that a detector found. It comes again, with the same `signal_id`, while what it says goes on."""

    signal_id: Annotated[Id, Meta(description="Of what changed, where and since when: the same when found again.")]
    model: Annotated[Id, Meta(description="The model. Also the record key.")]
    kind: Annotated[SignalKind, Meta(description="What kind of change.")]
    subject: Annotated[
        Name,
        Meta(
            description="The feature, output, or series that changed; `rows`, `embedding`, `response.words`; or `loss`."
        ),
    ]
    detector: Annotated[Name, Meta(description="What found it.")]
    since: Annotated[Instant, Meta(description="When the change began, as far as can be told (event time).")]
    found_at: Annotated[Instant, Meta(description="Event time at which it was found.")]
    until: Annotated[Instant, Meta(description="Event time up to which it was seen.")]
    score: Annotated[float, Meta(ge=0, le=1, description="How strong, from 0 to 1.")]
    message: Annotated[str, Meta(description="All of it in one sentence.")]
    expected: Annotated[float | None, Meta(description="What was typical before, in units of the subject.")] = None
    seen: Annotated[float | None, Meta(description="What is typical since.")] = None
    n: Annotated[int, Meta(ge=0, description="Values that say so.")] = 0
    outcome: Annotated[str, Meta(description="The outcome whose labels say so, of `loss`.")] = ""
    segment_key: Annotated[str, Meta(description="What the slice is by; empty for all predictions.")] = ""
    segment: Annotated[str, Meta(description="Value of the slice.")] = ""
    evidence: Annotated[tuple[Shift, ...], Meta(description="What shifted most, first.")] = ()
    examples: Annotated[tuple[str, ...], Meta(description="Ids of some of the predictions.")] = ()
    query: Annotated[str, Meta(description="SQL that shows it.")] = ""
    window_s: Annotated[int, Meta(ge=0, description="Seconds of the windows or steps that show it; 0 of `loss`.")] = 0
