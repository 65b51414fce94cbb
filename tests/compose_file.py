"""docker-compose.yml as Compose reads it: variables put in, defaults taken, every mapping plain."""

import re
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
PASSWORDS = {"CLICKHOUSE_WRITER_PASSWORD": "writer's", "CLICKHOUSE_READER_PASSWORD": "reader's"}

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?P<rule>:-|:\?)(?P<rest>[^}]*)\}")


def variables() -> dict[str, str | None]:
    """Return each variable the file asks for and its default (None: it has to be given)."""
    found = _VARIABLE.finditer(COMPOSE_FILE.read_text(encoding="utf-8"))
    return {match["name"]: match["rest"] if match["rule"] == ":-" else None for match in found}


def compose(**environment: str) -> dict[str, Any]:
    """Return the file's content with `environment` (and two passwords) put in for its variables."""
    values = PASSWORDS | environment

    def value_of(match: re.Match[str]) -> str:
        if match["name"] in values:
            return values[match["name"]]
        assert match["rule"] == ":-", f"{match['name']} must be given"
        return match["rest"]

    return yaml.safe_load(_VARIABLE.sub(value_of, COMPOSE_FILE.read_text(encoding="utf-8")))
