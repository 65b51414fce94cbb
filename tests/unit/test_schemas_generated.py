"""The committed schema files are those of the types, and refuse what the decoder refuses."""

import json
import re
from pathlib import Path

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from loopwatch.schemas import examples, headers
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.decode import prediction_decoder
from loopwatch.schemas.errors import ConfigError, InvalidEvent
from loopwatch.schemas.generate import DIRECTORY, main, stale_files
from loopwatch.schemas.topics import Topics
from referencing import Registry, Resource

MINIMAL = {"prediction_id": "p-1", "model": "m", "ts": "2024-07-15T12:00:00Z"}
EXAMPLES = {
    "prediction": [examples.PREDICTION, examples.GENERATION],
    "action": [examples.ACTION],
    "feedback": [examples.FEEDBACK],
    "dead-letter": [examples.DEAD_LETTER],
}


def schema(name: str) -> dict:
    return json.loads((DIRECTORY / f"{name}.schema.json").read_text(encoding="utf-8"))


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def fields_of(schema: dict) -> dict[str, dict]:
    fields = dict(schema["properties"])
    for definition in schema.get("$defs", {}).values():
        fields |= definition.get("properties", {})
    return fields


def test_the_committed_files_are_up_to_date() -> None:
    assert stale_files() == [], "run python -m loopwatch.schemas.generate"


def test_check_fails_until_the_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "generated"
    assert main(["--check"], directory) == 1
    assert "prediction.schema.json differs" in capsys.readouterr().err
    assert main([], directory) == 0
    (directory / "old.schema.json").write_text("{}")
    assert main(["--check"], directory) == 1
    assert main([], directory) == 0
    assert main(["--check"], directory) == 0


@pytest.mark.parametrize("name", [*EXAMPLES, "loopwatch-config"])
def test_each_schema_is_valid_and_describes_every_field(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert all(field.get("description") for field in fields_of(schema(name)).values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_satisfy_their_schema(name: str) -> None:
    for example in EXAMPLES[name]:
        validator(name).validate(json.loads(msgspec.json.encode(example)))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"unknown": {"x": [1]}},
        {"ts": "2024-07-15 12:00:00.5+05:30"},
        {"ts": "2199-12-31T23:59:59z"},
        {"prediction": None, "score": None, "features": {"a": 1, "b": "x", "c": True, "d": None}},
        {"prediction": 2**63 - 1},
        {"score": 1},
        {"generation": {"embedding": [1, 0.5], "retrieved": [{"doc_id": "d"}]}},
    ],
)
def test_what_the_decoder_takes_the_schema_takes(fields: dict) -> None:
    event = {**MINIMAL, **fields}
    prediction_decoder().decode(json.dumps(event).encode())
    validator("prediction").validate(event)


@pytest.mark.parametrize(
    "fields",
    [
        {"prediction_id": ""},
        {"prediction_id": "x" * 129},
        {"prediction_id": 7},
        {"model": None},
        {"ts": "2024-07-15T12:00:00"},
        {"ts": "2024-07-15"},
        {"ts": "1969-12-31T00:00:00Z"},
        {"ts": "2300-01-01T00:00:00Z"},
        {"ts": 1721044800},
        {"score": 1.5},
        {"score": "0.5"},
        {"prediction": [1]},
        {"features": {"f": {}}},
        {"features": {"": 1}},
        {"features": {"x" * 257: 1}},
        {"features": {str(i): i for i in range(1001)}},
        {"segments": {"country": 3}},
        {"segments": {str(i): "x" for i in range(21)}},
        {"scores": {"a": None}},
        {"attributes": {"request_id": ["r"]}},
        {"generation": {"input_tokens": -1}},
        {"generation": {"embedding": ["x"]}},
        {"generation": {"retrieved": [{}]}},
    ],
)
def test_what_the_decoder_refuses_the_schema_refuses(fields: dict) -> None:
    event = {**MINIMAL, **fields}
    with pytest.raises(InvalidEvent):
        prediction_decoder().decode(json.dumps(event).encode())
    with pytest.raises(ValidationError):
        validator("prediction").validate(event)


GOOD_CONFIG = {
    "models": {
        "ctr": {
            "kind": "ranking",
            "outcomes": {"click": {"actions": ["click"], "window": "1h30m", "label": "positive"}, "any": None},
            "segments": ["country"],
            "retention": "90d",
            "kpis": {"ctr": {"share": "click"}, "revenue": {"sum": "purchase", "per": "prediction", "value": "> 1"}},
        },
        "other": None,
    },
    "defaults": {"disorder": "500ms", "orphan_grace": "2w"},
}


def test_the_config_schema_takes_a_good_configuration() -> None:
    parse_config(GOOD_CONFIG)
    validator("loopwatch-config").validate(GOOD_CONFIG)


@pytest.mark.parametrize(
    "config",
    [
        {"model": {}},
        {"models": []},
        {"models": {"": {}}},
        {"models": {"m": {"kind": "regresion"}}},
        {"models": {"m": {"outcomes": {"o": {"window": 30}}}}},
        {"models": {"m": {"outcomes": {"o": {"window": "30"}}}}},
        {"models": {"m": {"outcomes": {"o": {"window": ""}}}}},
        {"models": {"m": {"outcomes": {"o": {"actions": "click"}}}}},
        {"models": {"m": {"outcomes": {"o": {"combine": "mean"}}}}},
        {"models": {"m": {"segments": ["a", "a"]}}},
        {"models": {"m": {"kpis": {"ctr": None}}}},
        {"models": {"m": {"kpis": {"ctr": {"of": "click"}}}}},
        {"models": {"m": {"kpis": {"ctr": {"share": "click", "mean": "click"}}}}},
        {"models": {"m": {"kpis": {"ctr": {"count": "click", "per": "click"}}}}},
        {"models": {"m": {"windows": ["soon"]}}},
        {"models": {"m": {"windows": ["/1d"]}}},
        {"defaults": {"retain": "1d"}},
        {"models": {"m": {"monitoring": {"drift": {"windows": ["soon"]}}}}},
        {"models": {"m": {"monitoring": {"losses": 3}}}},
        {"models": {"m": {"monitoring": {"events": "trees"}}}},
    ],
)
def test_the_config_schema_refuses_what_loading_refuses(config: dict) -> None:
    with pytest.raises(ConfigError):
        parse_config(config)
    with pytest.raises(ValidationError):
        validator("loopwatch-config").validate(config)


@pytest.mark.parametrize(
    ("path", "config"),
    [
        ((), {"?": 1}),
        (("defaults",), {"defaults": {"?": 1}}),
        (("models", "m"), {"models": {"m": {"?": 1}}}),
        (("models", "m", "outcomes", "o"), {"models": {"m": {"outcomes": {"o": {"?": 1}}}}}),
        (("models", "m", "kpis", "k"), {"models": {"m": {"kpis": {"k": {"?": 1, "share": "a"}}}}}),
        (("models", "m", "monitoring"), {"models": {"m": {"monitoring": {"?": 1}}}}),
    ],
)
def test_the_config_schema_has_every_key_that_loading_takes(path: tuple[str, ...], config: dict) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(config)
    taken = set(re.search(r"\(allowed: (.*?)\)", str(refused.value))[1].split(", "))  # pyright: ignore
    schema = json.loads((DIRECTORY / "loopwatch-config.schema.json").read_text(encoding="utf-8"))
    for key in path:
        named = schema.get("properties", {})
        schema = named[key] if key in named else schema["additionalProperties"]
    assert schema["properties"].keys() == taken


def asyncapi() -> dict:
    return yaml.safe_load((DIRECTORY / "asyncapi.yaml").read_text(encoding="utf-8"))


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if "$ref" in node else []
        return here + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    found = references(document)
    assert found
    for reference in found:
        if reference.startswith("./"):
            assert (DIRECTORY / reference).is_file(), reference
            continue
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_asyncapi_document_names_our_topics_and_headers() -> None:
    document, topics = asyncapi(), Topics()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == set(topics.all)
    named = {
        name
        for message in document["components"]["messages"].values()
        for name in message.get("headers", {}).get("properties", {})
    }
    assert named == {headers.FORWARDED, headers.REPLAY, headers.WATERMARK}


def test_the_examples_of_the_asyncapi_document_satisfy_their_payloads() -> None:
    files = {
        f"./{path.name}": Resource.from_contents(json.loads(path.read_text())) for path in DIRECTORY.glob("*.json")
    }
    registry = Registry().with_resources(files.items())
    checked = 0
    for message in asyncapi()["components"]["messages"].values():
        for example in message.get("examples", []):
            Draft202012Validator(message["payload"], registry=registry).validate(example["payload"])
            checked += 1
    assert checked == 6
