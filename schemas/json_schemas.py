"""JSON Schema 2020-12 of what goes over the wire, from the types, and of ``loopwatch.yaml``, from its vocabulary."""

from typing import Any

import msgspec

from .config import MAX_ACTIONS, MAX_IGNORED, MAX_KPIS, MAX_OUTCOMES, MAX_WINDOWS
from .dead_letters import DeadLetter
from .durations import format_duration
from .events import MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_SEGMENTS, Action, Prediction
from .feedback import Feedback
from .kpis import Measure, Per
from .monitoring import DEFAULT, NONE
from .outcomes import DEFAULT_OUTCOME, DEFAULT_WINDOWS, Combine, Defaults, Kind, LabelRule, OnTimeout
from .signals import Signal

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DURATION_PATTERN = "^(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"


def wire_schemas() -> dict[str, Schema]:
    """The schema of each record value, by its file's stem."""
    types = {
        "prediction": Prediction, "action": Action, "feedback": Feedback, "signal": Signal, "dead-letter": DeadLetter,
    }  # fmt: skip
    return {name: _of_type(name, of) for name, of in types.items()}


def config_schema() -> Schema:
    """The schema of ``loopwatch.yaml``, for editors; `load_config` checks more."""
    outcome = _settings(
        "One answer to wait for.",
        {
            "actions": _names("Names of the actions that count; none: any action.", MAX_ACTIONS),
            "window": _duration("How long after the prediction an action counts.", DEFAULT_OUTCOME.window),
            "on_timeout": _choice("What a prediction gets when nothing counted.", DEFAULT_OUTCOME.on_timeout),
            "label": _choice("Where the label comes from.", DEFAULT_OUTCOME.label),
            "combine": _choice("Which of several actions decides.", DEFAULT_OUTCOME.combine),
            "positive": _name("Which labels are the positive class: `> 15`, `<= 3`, or one label; else true and 1."),
        },
    )
    kpi = _settings(
        "A business indicator: one measure of the actions of one name.",
        {
            "share": _name("Of the predictions, the share with such an action."),
            "count": _name("How many such actions there are."),
            "sum": _name("What the values of such actions add up to."),
            "mean": _name("The mean of the values of such actions."),
            "of": _name("For share: of the predictions with an action of this name; `prediction` is all of them."),
            "per": {"description": "For count and sum: divided by the predictions.", "enum": [*Per]},
            "value": _name("Only actions with this value: `>= 4`, or one value as text."),
        },
    ) | {"type": "object", "oneOf": [{"required": [measure]} for measure in Measure]}
    monitoring = _settings(
        "What detectors watch.",
        {
            "drift": {
                "description": "How features and outputs are compared with a reference; `none`: they are not.",
                "oneOf": [
                    {"enum": [DEFAULT, NONE, None]},
                    _settings(
                        "The comparison.",
                        {
                            "windows": _windows("Which stretches are compared, of whole hours."),
                            "reference": _name(
                                "With what: so much time before (`7d`), the window before it (`previous`), a period "
                                "(`2026-01-01/2026-02-01`), or what `loopwatch reference` stored (`training`)."
                            ),
                            "ignore": _names("Features that change anyway.", MAX_IGNORED),
                        },
                    )
                    | {"type": "object"},
                ],
            },
            "losses": _name("Detector of docs/detectors.md for concept drift; `none`: no one."),
            "series": _name("Detector of docs/detectors.md for anomalies; `none`: no one."),
        },
    )
    model = _settings(
        "One model.",
        {
            "kind": {"description": "What the model does.", "enum": [kind.value for kind in Kind]},
            "outcomes": _mapping(
                "Answers to wait for, by name; the first one leads the ledger.", outcome, MAX_NAME_LENGTH
            )
            | {"maxProperties": MAX_OUTCOMES},
            "segments": _names("Slices to watch, from `segments` or `features`.", MAX_SEGMENTS),
            "retention": _duration("For how long after a window's end a late action may revise.", Defaults().retention),
            "windows": _windows("In which windows table `metrics` says how good the model is."),
            "kpis": _mapping("Business indicators, by name.", kpi, MAX_NAME_LENGTH) | {"maxProperties": MAX_KPIS},
            "monitoring": monitoring,
        },
    )
    defaults = _settings(
        "What holds for every model.",
        {
            "disorder": _duration("How far event times may be out of order.", Defaults().disorder),
            "orphan_grace": _duration("How long an action waits for its prediction.", Defaults().orphan_grace),
            "retention": _duration("Retention of models that set none.", Defaults().retention),
            "windows": _windows("Windows of models that set none."),
            "monitoring": monitoring,
        },
    )
    models = _mapping("Models by name; those not named get the default outcome.", model, MAX_ID_LENGTH)
    root = _settings("Loopwatch's configuration.", {"models": models, "defaults": defaults})
    return {"$schema": DIALECT, "$id": _id("loopwatch-config"), "title": "loopwatch.yaml", **root}


def _id(name: str) -> str:
    return f"urn:loopwatch:schema:{name}:1"


def _of_type(name: str, of: type[msgspec.Struct]) -> Schema:
    schema = msgspec.json.schema(of)
    definitions: dict[str, Schema] = schema["$defs"]
    root = definitions.pop(of.__name__)
    head = {"$schema": DIALECT, "$id": _id(name)}
    return head | root | ({"$defs": definitions} if definitions else {})


def _settings(description: str, properties: dict[str, Schema]) -> Schema:
    return {
        "description": description,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
    }


def _mapping(description: str, of: Schema, longest_name: int) -> Schema:
    return {
        "description": description,
        "type": ["object", "null"],
        "propertyNames": {"minLength": 1, "maxLength": longest_name},
        "additionalProperties": of,
    }


def _name(description: str) -> Schema:
    return {"description": description, "type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}


def _names(description: str, most: int) -> Schema:
    name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}
    return {
        "description": description,
        "type": ["array", "null"],
        "items": name,
        "maxItems": most,
        "uniqueItems": True,
    }


def _windows(description: str) -> Schema:
    bare = _DURATION_PATTERN.removeprefix("^").removesuffix("$")
    return {
        "description": f"{description} A size, or size/step where they slide.",
        "type": ["array", "null"],
        "items": {"type": "string", "pattern": f"^{bare}(/{bare})?$"},
        "maxItems": MAX_WINDOWS,
        "uniqueItems": True,
        "default": [str(window) for window in DEFAULT_WINDOWS],
        "examples": [["1h", "7d/1d"]],
    }


def _duration(description: str, usual: Any) -> Schema:
    return {
        "description": description,
        "type": ["string", "null"],
        "pattern": _DURATION_PATTERN,
        "default": format_duration(usual),
        "examples": ["10s", "30m", "1h30m", "7d"],
    }


def _choice(description: str, usual: OnTimeout | LabelRule | Combine) -> Schema:
    members = list(type(usual))
    return {
        "description": description,
        "enum": [*(member.value for member in members), None],
        "default": usual.value,
    }
