"""Pieces of JSON Schema that the vocabulary of ``loopwatch.yaml`` is put together from."""

from enum import StrEnum
from typing import Any

from .durations import format_duration
from .events import MAX_NAME_LENGTH

Schema = dict[str, Any]

DURATION_PATTERN = "^(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"


def settings(description: str, properties: dict[str, Schema]) -> Schema:
    """An object with keys of ours; nothing in it means the same as no object."""
    return {
        "description": description,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
    }


def mapping(description: str, of: Schema, longest_name: int) -> Schema:
    """An object whose keys are names that people choose."""
    return {
        "description": description,
        "type": ["object", "null"],
        "propertyNames": {"minLength": 1, "maxLength": longest_name},
        "additionalProperties": of,
    }


def name(description: str) -> Schema:
    """A name."""
    return {"description": description, "type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}


def names(description: str, most: int) -> Schema:
    """A list of names."""
    name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}
    return {
        "description": description,
        "type": ["array", "null"],
        "items": name,
        "maxItems": most,
        "uniqueItems": True,
    }


def duration(description: str, usual: Any) -> Schema:
    """A duration, such as 30m."""
    return {
        "description": description,
        "type": ["string", "null"],
        "pattern": DURATION_PATTERN,
        "default": format_duration(usual),
        "examples": ["10s", "30m", "1h30m", "7d"],
    }


def choice(description: str, usual: StrEnum) -> Schema:
    """One of the values of an enumeration."""
    members = list(type(usual))
    return {
        "description": description,
        "enum": [*(member.value for member in members), None],
        "default": usual.value,
    }
