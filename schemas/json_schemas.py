"""JSON Schema 2020-12 of what goes over the wire, from the types, and of ``loopwatch.yaml``, from its vocabulary."""

import msgspec

from .alerting_schema import alerting_schema
from .alerts import Alert
from .config import MAX_ACTIONS, MAX_IGNORED, MAX_KPIS, MAX_OUTCOMES, MAX_WINDOWS
from .dead_letters import DeadLetter
from .events import MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_SEGMENTS, Action, Prediction
from .feedback import Feedback
from .kpis import Measure, Per
from .monitoring import DEFAULT, NONE
from .outcomes import DEFAULT_OUTCOME, DEFAULT_WINDOWS, Defaults, Kind
from .schema_parts import DURATION_PATTERN, Schema, choice, duration, mapping, name, names, settings
from .signals import Signal

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def wire_schemas() -> dict[str, Schema]:
    """The schema of each record value, by its file's stem."""
    types = {
        "prediction": Prediction, "action": Action, "feedback": Feedback, "signal": Signal, "alert": Alert,
        "dead-letter": DeadLetter,
    }  # fmt: skip
    return {name: _of_type(name, of) for name, of in types.items()}


def config_schema() -> Schema:
    """The schema of ``loopwatch.yaml``, for editors; `load_config` checks more."""
    outcome = settings(
        "One answer to wait for.",
        {
            "actions": names("Names of the actions that count; none: any action.", MAX_ACTIONS),
            "window": duration("How long after the prediction an action counts.", DEFAULT_OUTCOME.window),
            "on_timeout": choice("What a prediction gets when nothing counted.", DEFAULT_OUTCOME.on_timeout),
            "label": choice("Where the label comes from.", DEFAULT_OUTCOME.label),
            "combine": choice("Which of several actions decides.", DEFAULT_OUTCOME.combine),
            "positive": name("Which labels are the positive class: `> 15`, `<= 3`, or one label; else true and 1."),
        },
    )
    kpi = settings(
        "A business indicator: one measure of the actions of one name.",
        {
            "share": name("Of the predictions, the share with such an action."),
            "count": name("How many such actions there are."),
            "sum": name("What the values of such actions add up to."),
            "mean": name("The mean of the values of such actions."),
            "of": name("For share: of the predictions with an action of this name; `prediction` is all of them."),
            "per": {"description": "For count and sum: divided by the predictions.", "enum": [*Per]},
            "value": name("Only actions with this value: `>= 4`, or one value as text."),
        },
    ) | {"type": "object", "oneOf": [{"required": [measure]} for measure in Measure]}
    monitoring = settings(
        "What detectors watch.",
        {
            "drift": {
                "description": "How features and outputs are compared with a reference; `none`: they are not.",
                "oneOf": [
                    {"enum": [DEFAULT, NONE, None]},
                    settings(
                        "The comparison.",
                        {
                            "windows": _windows("Which stretches are compared, of whole hours."),
                            "reference": name(
                                "With what: so much time before (`7d`), the window before it (`previous`), a period "
                                "(`2026-01-01/2026-02-01`), or what `loopwatch reference` stored (`training`)."
                            ),
                            "ignore": names(
                                "Features that change anyway; `rows`, `prompt`, `response` and `embedding` are what is "
                                "compared by rows.",
                                MAX_IGNORED,
                            ),
                        },
                    )
                    | {"type": "object"},
                ],
            },
            "losses": name("Detector of docs/detectors.md for concept drift; `none`: no one."),
            "series": name("Detector of docs/detectors.md for anomalies; `none`: no one."),
            "events": {
                "description": "Whether single predictions are looked at; `none`: they are not.",
                "enum": [DEFAULT, NONE, None],
            },
        },
    )
    model = settings(
        "One model.",
        {
            "kind": {"description": "What the model does.", "enum": [kind.value for kind in Kind]},
            "outcomes": mapping(
                "Answers to wait for, by name; the first one leads the ledger.", outcome, MAX_NAME_LENGTH
            )
            | {"maxProperties": MAX_OUTCOMES},
            "segments": names("Slices to watch, from `segments` or `features`.", MAX_SEGMENTS),
            "retention": duration("For how long after a window's end a late action may revise.", Defaults().retention),
            "windows": _windows("In which windows table `metrics` says how good the model is."),
            "kpis": mapping("Business indicators, by name.", kpi, MAX_NAME_LENGTH) | {"maxProperties": MAX_KPIS},
            "monitoring": monitoring,
        },
    )
    defaults = settings(
        "What holds for every model.",
        {
            "disorder": duration("How far event times may be out of order.", Defaults().disorder),
            "orphan_grace": duration("How long an action waits for its prediction.", Defaults().orphan_grace),
            "retention": duration("Retention of models that set none.", Defaults().retention),
            "windows": _windows("Windows of models that set none."),
            "monitoring": monitoring,
        },
    )
    models = mapping("Models by name; those not named get the default outcome.", model, MAX_ID_LENGTH)
    root = settings(
        "Loopwatch's configuration.", {"models": models, "defaults": defaults, "alerting": alerting_schema()}
    )
    return {"$schema": DIALECT, "$id": _id("loopwatch-config"), "title": "loopwatch.yaml", **root}


def _id(name: str) -> str:
    return f"urn:loopwatch:schema:{name}:1"


def _of_type(name: str, of: type[msgspec.Struct]) -> Schema:
    schema = msgspec.json.schema(of)
    definitions: dict[str, Schema] = schema["$defs"]
    root = definitions.pop(of.__name__)
    head = {"$schema": DIALECT, "$id": _id(name)}
    return head | root | ({"$defs": definitions} if definitions else {})


def _windows(description: str) -> Schema:
    bare = DURATION_PATTERN.removeprefix("^").removesuffix("$")
    return {
        "description": f"{description} A size, or size/step where they slide.",
        "type": ["array", "null"],
        "items": {"type": "string", "pattern": f"^{bare}(/{bare})?$"},
        "maxItems": MAX_WINDOWS,
        "uniqueItems": True,
        "default": [str(window) for window in DEFAULT_WINDOWS],
        "examples": [["1h", "7d/1d"]],
    }
