"""JSON Schema of `alerting:` of ``loopwatch.yaml``, for editors; loading checks more."""

from datetime import timedelta

from .alerting import Alerting, Expected, Format, Ill, OfBudget, OfDeadLetters, OfLabelDelay, Receiver, Route
from .alerting_config import MAX_MATCHERS, MAX_RECEIVERS, MAX_ROUTES
from .alerts import Category, Severity
from .events import MAX_ID_LENGTH, MAX_NAME_LENGTH
from .rule_config import CONDITIONS, MAX_QUERY, MAX_RULES, OFF
from .schema_parts import Schema, choice, duration, mapping, name, names, settings
from .signals import SignalKind
from .windows import TimeOf

_NUMBER: Schema = {"type": "number"}


def alerting_schema() -> Schema:
    """All of it."""
    return settings(
        "What people are alerted of, and who.",
        {
            "rules": mapping("Rules by name; `off` turns one of the default rules off.", _rule(), MAX_ID_LENGTH)
            | {"maxProperties": MAX_RULES},
            "receivers": mapping("Who is told, by name.", _receiver(), MAX_ID_LENGTH)
            | {"maxProperties": MAX_RECEIVERS},
            "route": _route(),
            "inhibit": {
                "description": "Which alerts are not told while others fire.",
                "type": ["array", "null"],
                "items": settings(
                    "One.",
                    {
                        "by": _matchers("The cause: while such an alert fires …"),
                        "what": _matchers("… such alerts are not told …"),
                        "equal": names("… that have the same of these labels.", 20),
                        "lasting": duration(
                            "For so long after, those that began by its end are not told either.", timedelta()
                        ),
                    },
                ),
            },
            "default_inhibitions": _flag("Whether those that come without configuration hold too.", usual=True),
            "heartbeat": settings(
                "Says again and again that alerting is alive.",
                {
                    "to": name("The receiver."),
                    "every": duration("How often.", Alerting().heartbeat_every),
                },
            ),
        },
    )


def _rule() -> Schema:
    properties: dict[str, Schema] = {
        "metric": name("A metric of docs/metrics.md, or `kpi.` and the name of an indicator."),
        "signal": {
            "description": "Kinds of signals.",
            "oneOf": [{"enum": [*SignalKind]}, {"type": "array", "items": {"enum": [*SignalKind]}}],
        },
        "gap": name("A metric that is estimated before labels come: how far it was off."),
        "no_data": {"description": "What does not come any more.", "enum": [*Expected]},
        "pipeline": {"description": "What is wrong with the pipeline.", "enum": [*Ill]},
        "ledger": {"description": "The ledger doesn't balance.", "enum": [True, "balanced"]},
        "dead_letters": _number("Share of what comes that can't be read.", 0, 1, OfDeadLetters().share),
        "label_delay": {"description": "Labels come late.", "enum": [True]},
        "budget": _number("USD in a period.", 0),
        "sql": {
            "description": "A query whose rows are alerts: texts are labels, `value` is the number.",
            "type": "string",
            "maxLength": MAX_QUERY,
        },
        "below": _NUMBER | {"description": "Values below it are wrong."},
        "above": {"description": "Values above it are wrong: a number, or a duration of label delays.",
                  "type": ["number", "string"]},
        "outcome": name("Outcome of the model; any unless you say."),
        "window": {"description": "Which windows, such as 1h or 7d/1d; any unless you say.", "type": "string"},
        "time_of": choice("Whose time puts predictions into windows.", TimeOf.PREDICTION),
        "slices": _flag("Whether slices count as well as the whole."),
        "min_n": {"description": "Of how many values at least.", "type": "integer", "minimum": 0},
        "min_completeness": _number("Share of labels that has to be known.", 0, 1),
        "surely": _flag("Whether all of the 95 % interval has to be wrong.", usual=True),
        "subjects": names("Features, outputs or series; any unless you say.", 1000),
        "min_score": _number("Strength from which on.", 0, 1),
        "after": _bare_duration("After how long; of data that stopped learned from before unless you say."),
        "within": duration("Over which time.", OfBudget(0).within),
        "quantile": _number("Of the delays.", 0.01, 0.999, OfLabelDelay().of),
        "per": duration("Period of the budget.", OfBudget(0).per),
        "burn": _number("How many times as fast as the budget allows.", 0.01, 1000, 1),
        "category": choice("What the alert is about.", Category.BUSINESS),
        "models": names("Which models; all unless you say.", MAX_RULES),
        "for": duration("How long it has to hold before it fires.", timedelta()),
        "keep_firing_for": duration("How long it has to be gone before it is resolved.", timedelta(minutes=5)),
        "severity": choice("How soon somebody should look.", Severity.WARNING),
        "labels": _texts("Labels of its alerts."),
        "annotations": _texts("What people are told: templates, see docs/alerts.md."),
        "owner": name("Whose it is."),
        "runbook": {"description": "Where it says what to do.", "type": "string", "maxLength": 1000},
        OFF: _flag("Turns a default rule off."),
    }  # fmt: skip
    assert {key for keys in CONDITIONS.values() for key in keys} | CONDITIONS.keys() <= properties.keys()
    rule = settings("When to alert, and what to say.", properties)
    return {"description": rule["description"], "oneOf": [rule | {"type": "object"}, {"enum": [OFF, False]}]}


def _receiver() -> Schema:
    usual = Receiver(name="")
    return settings(
        "Who is told, and how. Secrets are named, never written here.",
        {
            "format": choice("What is sent.", Format.WEBHOOK),
            "url": {"description": "Where to.", "type": "string", "maxLength": 2000},
            "url_env": name("Environment variable that holds it, where it is a secret."),
            "url_file": _path("File that holds it."),
            "secret_env": name("Environment variable that holds the signing secret, whsec_…"),
            "secret_file": _path("File that holds it."),
            "secrets": {
                "description": "Several signing secrets, the newest first: each signs.",
                "type": ["array", "null"],
                "items": settings("One.", {"env": name("Environment variable."), "file": _path("File.")}),
            },
            "routing_key_env": name("Environment variable that holds PagerDuty's routing key."),
            "routing_key_file": _path("File that holds it."),
            "timeout": duration("Of one try.", usual.timeout),
            "give_up_after": duration("How long it is tried again.", usual.give_up_after),
            "concurrency": _integer("Tries at once.", 1, 100, usual.concurrency),
            "per_minute": _integer("Tries a minute.", 1, 100_000, usual.per_minute),
            "networks": names("Networks that are not global and may be called all the same.", 100),
            "send_resolved": _flag("Whether it is told what is over.", usual=True),
            "send_values": _flag("Whether evidence names categories and bins of features."),
        },
    )


def _route() -> Schema:
    usual = Route(receiver="")
    return settings(
        "Which alerts go to whom, and which of them together.",
        {
            "receiver": name("Who is told."),
            "match": _matchers("Which alerts: all of these hold."),
            "group_by": names("Labels that alerts told together share; `...`: each alone.", 20),
            "group_wait": duration("How long a group that begins waits for more.", usual.group_wait),
            "group_interval": duration("How long until changes are told.", usual.group_interval),
            "repeat_interval": duration("How long until what goes on is told again.", usual.repeat_interval),
            "continue": _flag("Whether the routes behind it are asked as well."),
            "routes": {
                "description": "Routes that come before it, where their conditions hold.",
                "type": ["array", "null"],
                "items": {"$ref": "#/properties/alerting/properties/route"},
                "maxItems": MAX_ROUTES,
            },
        },
    )


def _matchers(description: str) -> Schema:
    return {
        "description": description,
        "type": ["array", "string", "null"],
        "items": {"type": "string"},
        "maxItems": MAX_MATCHERS,
        "examples": [['model="fraud"', 'alertname=~"Drift.*"']],
    }


def _texts(description: str) -> Schema:
    text = {"type": "string", "maxLength": 2000}
    return mapping(description, text, MAX_NAME_LENGTH)


def _path(description: str) -> Schema:
    return {"description": description, "type": "string", "maxLength": 1000}


def _bare_duration(description: str) -> Schema:
    return {name: value for name, value in duration(description, timedelta()).items() if name != "default"}


def _number(description: str, least: float, most: float | None = None, usual: float | None = None) -> Schema:
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return {"description": description, "type": "number", **bounds} | ({} if usual is None else {"default": usual})


def _integer(description: str, least: int, most: int, usual: int) -> Schema:
    return {"description": description, "type": "integer", "minimum": least, "maximum": most, "default": usual}


def _flag(description: str, *, usual: bool = False) -> Schema:
    return {"description": description, "type": "boolean", "default": usual}
