"""The two events that services emit: a prediction, and what somebody then did (DESIGN §3, the wire format).

Both are JSON objects with UTF-8 text, keyed by ``prediction_id``. Fields that are not listed here are skipped, never
an error. Constraints sit in the types, so that one decode validates everything and the JSON Schema says the same.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

MAX_ID_LENGTH = 128
MAX_NAME_LENGTH = 256
MAX_FEATURES = 1000
MAX_SCORES = 1000
MAX_SEGMENTS = 20
MAX_VARIANTS = 100
MAX_RETRIEVED = 1000
MAX_EMBEDDING = 16_384
MAX_TEXT_LENGTH = 1_000_000
MAX_LABEL_LENGTH = 1024

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Label = Annotated[str, Meta(max_length=MAX_LABEL_LENGTH)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_LENGTH)]
# The pattern is for readers of the JSON Schema: many validators don't check formats.
Instant = Annotated[
    datetime,
    Meta(
        tz=True,
        extra_json_schema={
            "pattern": r"^(19[7-9][0-9]|2[01][0-9]{2}|2200)-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}"
            r"([.][0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
        },
    ),
]
# Beyond 64 bits no column or float holds the exact number: such an identifier belongs in a string.
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Score = Annotated[float, Meta(ge=0, le=1)]
# Names of a map are bounded in the JSON Schema and by the decoder's look over a whole batch (`decode.py`), not in the
# type of the key: msgspec shares equal keys among events only where they are plain `str`, 500 bytes an event less.
_NAMES = {"propertyNames": {"minLength": 1, "maxLength": MAX_NAME_LENGTH}}
# One `float` and no `int`: a feature that is 3 in one event and 3.5 in the next is one number, and decodes faster.
FeatureValue = float | str | bool | None
Scalar = Integer | float | str | bool | None


class Retrieved(Struct, gc=False, omit_defaults=True):
    """One document that a retriever handed to a generating model."""

    doc_id: Annotated[Name, Meta(description="The document's id in the store it came from.")]
    score: Annotated[float | None, Meta(description="The retriever's score; higher is nearer.")] = None


class Generation(Struct, gc=False, omit_defaults=True):
    """What a generating model was asked and answered. `prompt` and `response` may be left out, or be redacted."""

    provider: Annotated[str, Meta(description="Who served the model: `anthropic`, `vllm`, …", max_length=256)] = ""
    prompt: Annotated[Text | None, Meta(description="The prompt as sent; leave out or redact what must not leave.")] = (
        None
    )
    response: Annotated[Text | None, Meta(description="The answer; leave out or redact what must not leave.")] = None
    input_tokens: Annotated[Count | None, Meta(description="Tokens of the prompt.")] = None
    output_tokens: Annotated[Count | None, Meta(description="Tokens of the answer.")] = None
    finish_reason: Annotated[str, Meta(description="Why it ended: `stop`, `length`, `tool_use`, …", max_length=256)] = (
        ""
    )
    retrieved: Annotated[
        Annotated[list[Retrieved], Meta(max_length=MAX_RETRIEVED)] | None,
        Meta(description="Documents given to the model, best first."),
    ] = None
    embedding: Annotated[
        Annotated[list[float], Meta(max_length=MAX_EMBEDDING)] | None,
        Meta(description="Embedding of the prompt or the answer, always by the same model."),
    ] = None


class Prediction(Struct, gc=False, omit_defaults=True):
    """One prediction of one model, at the instant it was made."""

    prediction_id: Annotated[
        Id, Meta(description="Join key and record key. Time-ordered ids (UUIDv7) keep lookups local.")
    ]
    model: Annotated[Id, Meta(description="The model's name; it needs no registration.")]
    ts: Annotated[
        Instant, Meta(description="Event time: when the prediction was made. RFC 3339 with an offset, 1971–2199.")
    ]
    version: Annotated[str, Meta(description="The model's version.", max_length=256)] = ""
    entity_id: Annotated[
        str, Meta(description="User, session or account: the unit of experiments.", max_length=MAX_NAME_LENGTH)
    ] = ""
    prediction: Annotated[Scalar, Meta(description="The predicted value or class. Whole numbers must fit 64 bits.")] = (
        None
    )
    score: Annotated[
        Score | None, Meta(description="Probability or confidence, 0–1, of the positive (or the predicted) class.")
    ] = None
    scores: Annotated[
        Annotated[dict[str, float], Meta(max_length=MAX_SCORES, extra_json_schema=_NAMES)] | None,
        Meta(description="Probability of each class."),
    ] = None
    features: Annotated[
        Annotated[dict[str, FeatureValue], Meta(max_length=MAX_FEATURES, extra_json_schema=_NAMES)] | None,
        Meta(description="What the model saw: numbers, categories, booleans, nulls; at most 1,000."),
    ] = None
    segments: Annotated[
        Annotated[dict[str, Label], Meta(max_length=MAX_SEGMENTS, extra_json_schema=_NAMES)] | None,
        Meta(description="Slices to watch one by one, such as `country`; at most 20."),
    ] = None
    variants: Annotated[
        Annotated[dict[str, Label], Meta(max_length=MAX_VARIANTS, extra_json_schema=_NAMES)] | None,
        Meta(description="Arm assigned by each experiment."),
    ] = None
    latency_ms: Annotated[float | None, Meta(description="How long the prediction took, in milliseconds.")] = None
    cost_usd: Annotated[float | None, Meta(description="What it cost, in US dollars.")] = None
    generation: Annotated[Generation | None, Meta(description="Set by generating models.")] = None
    trace_id: Annotated[str, Meta(description="Trace that the prediction belongs to.", max_length=256)] = ""
    attributes: Annotated[
        Annotated[dict[str, FeatureValue], Meta(max_length=MAX_FEATURES, extra_json_schema=_NAMES)] | None,
        Meta(description="Anything else worth keeping; rankings: `request_id`, and `position` (1 is shown first)."),
    ] = None


class Action(Struct, gc=False, omit_defaults=True):
    """What somebody or something did after a prediction: a click, a purchase, a label, a rating, a judgement."""

    action_id: Annotated[Id, Meta(description="Deduplication key: the same id twice counts once.")]
    prediction_id: Annotated[Id, Meta(description="The prediction acted on. Also the record key.")]
    name: Annotated[Name, Meta(description="What was done: `click`, `purchase`, `label`, `thumb`, `rating`, …")]
    ts: Annotated[Instant, Meta(description="Event time: when it happened. RFC 3339 with an offset, 1971–2199.")]
    value: Annotated[Scalar, Meta(description="Label, amount or rating. Whole numbers must fit 64 bits.")] = None
    actor: Annotated[str, Meta(description="Who did it: `user`, `reviewer`, `judge`, `system`.", max_length=256)] = (
        "user"
    )
    attributes: Annotated[
        Annotated[dict[str, FeatureValue], Meta(max_length=MAX_FEATURES, extra_json_schema=_NAMES)] | None,
        Meta(description="Anything else worth keeping."),
    ] = None
