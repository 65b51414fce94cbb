"""What the join says of one prediction and one outcome: the value of topic ``loopwatch.feedback`` (key = model)."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from .events import Id, Instant, Name, Scalar, Score


class FeedbackStatus(StrEnum):
    """How the outcome of a prediction stands."""

    MATCHED = "matched"
    """An action that counts came before the watermark passed the end of the window."""
    EXPIRED = "expired"
    """The window ended without one. Provisional: a late action may still revise it."""
    REVISED = "revised"
    """An action that counts came after the row had expired."""
    PENDING = "pending"
    """The rule changed and takes an earlier answer back: nothing counts, and the window has not ended."""


class Feedback(Struct, gc=False):
    """One revision of one prediction's outcome. The highest `revision` of a key holds; earlier ones are history."""

    model: Annotated[Id, Meta(description="The model. Also the record key.")]
    outcome: Annotated[Name, Meta(description="The outcome's name in loopwatch.yaml, or `default`.")]
    prediction_id: Annotated[Id, Meta(description="The prediction.")]
    status: Annotated[
        FeedbackStatus,
        Meta(description="`matched`, `expired` (provisional), `revised`; `pending`: an earlier answer is taken back."),
    ]
    prediction_ts: Annotated[Instant, Meta(description="When the prediction was made (event time).")]
    label: Annotated[str | None, Meta(description="The label as text; null where there is none.")] = None
    label_value: Annotated[float | None, Meta(description="The label as a number, where it is one.")] = None
    action_id: Annotated[str, Meta(description="The action that decides; empty where none counted.")] = ""
    action_ts: Annotated[Instant | None, Meta(description="When that action happened (event time).")] = None
    delay_ms: Annotated[
        float | None, Meta(description="From the prediction to that action, in milliseconds of event time.")
    ] = None
    prediction: Annotated[Scalar, Meta(description="What the model predicted.")] = None
    score: Annotated[Score | None, Meta(description="The model's score.")] = None
    version: Annotated[str, Meta(description="The model's version.")] = ""
    segments: Annotated[dict[str, str] | None, Meta(description="The prediction's slices.")] = None
    variants: Annotated[dict[str, str] | None, Meta(description="The prediction's experiment arms.")] = None
    revision: Annotated[int, Meta(ge=0, description="Counts up with each change of this outcome, and of its rule.")] = 0
