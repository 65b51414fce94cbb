"""The AsyncAPI 3.0 document: topics, keys, headers, and who sends what. Payloads are the schema files beside it."""

from typing import Any

import msgspec

from . import examples, headers
from .topics import Topics

VERSION = "1.0.0"
"""Version of the wire format: a new optional field is a minor change."""


def asyncapi_document() -> dict[str, Any]:
    """The document, in the order it is written."""
    topics = Topics()
    channels = {
        "predictions": _channel(topics.predictions, "prediction", "What models predicted.", watermarks=True),
        "actions": _channel(topics.actions, "action", "What was done after a prediction.", watermarks=True),
        "feedback": _channel(topics.feedback, "feedback", "How each outcome of each prediction stands."),
        "signals": _channel(topics.signals, "signal", "What detectors found."),
        "alerts": _channel(topics.alerts, "alert", "What is said of alerts; compacted."),
        "deadLetters": _channel(topics.dead_letters, "deadLetter", "Records that were refused, redacted."),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Loopwatch",
            "version": VERSION,
            "description": "Predictions and the actions that answer them, joined in the stream. "
            "Topic names carry a prefix that can be set; `loopwatch.` is the default. "
            "`predictions` and `actions` have the same number of partitions; keys are partitioned by murmur2.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "127.0.0.1:9092", "protocol": "kafka"}},
        "channels": channels,
        "operations": {
            "receivePredictions": _operation("receive", "predictions", "Services send, Loopwatch joins."),
            "receiveActions": _operation("receive", "actions", "Services send, Loopwatch joins."),
            "sendFeedback": _operation("send", "feedback", "At least once; the highest revision of a key holds."),
            "sendSignals": _operation("send", "signals", "At least once; the last one of a `signal_id` holds."),
            "sendAlerts": _operation("send", "alerts", "At least once; the highest revision of a key holds."),
            "sendDeadLetters": _operation("send", "deadLetters", "At least once."),
        },
        "components": {"messages": _messages()},
    }


def _channel(address: str, message: str, description: str, watermarks: bool = False) -> dict[str, Any]:
    names = [message, "watermark"] if watermarks else [message]
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _messages() -> dict[str, Any]:
    event_headers = {
        headers.FORWARDED: _header(
            "Set by a worker that moved the record: `topic id:partition:offset` it came from.", "AaH8:3:1045"
        ),
        headers.REPLAY: _header("`1` on replayed history: its watermark does not follow the wall clock.", "1"),
    }
    watermark = {
        headers.WATERMARK: _header("Everything up to here has been sent on this partition.", "2024-07-15T12:00:00Z")
    }
    prediction_id, model = "The prediction's id.", "The model."
    replay = {headers.REPLAY: event_headers[headers.REPLAY]}
    return {
        "prediction": _message("A prediction", "prediction", prediction_id, event_headers, examples.PREDICTION),
        "action": _message("An action", "action", prediction_id, event_headers, examples.ACTION),
        "feedback": _message("An outcome of a prediction", "feedback", model, {}, examples.FEEDBACK),
        "signal": _message("What a detector found", "signal", model, {}, examples.SIGNAL),
        "alert": _message("An alert", "alert", "The fingerprint.", {}, examples.ALERT),
        "deadLetter": _message(
            "A record that was refused", "dead-letter", "As in the source.", {}, examples.DEAD_LETTER
        ),
        "watermark": {
            "title": "A watermark",
            "summary": "A record without a value, sent to every partition at the end of a replay.",
            "headers": {"type": "object", "properties": watermark | replay, "required": [headers.WATERMARK]},
            "payload": {"type": "null"},
        },
    }


def _message(
    title: str, schema: str, key: str, header_properties: dict[str, Any], example: msgspec.Struct
) -> dict[str, Any]:
    message: dict[str, Any] = {"title": title, "contentType": "application/json"}
    if header_properties:
        message["headers"] = {"type": "object", "properties": header_properties}
    message["payload"] = {"$ref": f"./{schema}.schema.json"}
    message["bindings"] = {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}}
    message["examples"] = [{"payload": msgspec.to_builtins(example)}]
    return message


def _header(description: str, example: str) -> dict[str, Any]:
    return {"type": "string", "description": description, "examples": [example]}
