"""Every setting, in one frozen object, from the environment and an optional settings file.

A setting's environment variable is its name in capitals behind ``LOOPWATCH_``. A settings file (YAML, named by
``LOOPWATCH_SETTINGS``) gives the same names in lower case; the environment wins.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from ..schemas.errors import SettingsError
from ..schemas.topics import DEFAULT_PREFIX, Topics

PREFIX = "LOOPWATCH_"

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses, names, limits. Durations are seconds and sizes bytes where the name says so."""

    # Where the services are.
    kafka_bootstrap: str = "127.0.0.1:9092"
    clickhouse_url: str = "http://127.0.0.1:8123"
    clickhouse_user: str = ""
    clickhouse_password: str = ""
    clickhouse_password_file: str = ""
    clickhouse_database: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")] = "loopwatch"
    config: str = ""

    # How topics and tables are made.
    topic_prefix: str = DEFAULT_PREFIX
    partitions: Annotated[int, Meta(ge=1, le=10_000)] = 4
    replication_factor: Annotated[int, Meta(ge=1, le=16)] = 1
    replicated_tables: bool = False
    ttl_days: Annotated[int, Meta(ge=1, le=36_500)] = 400

    # How a worker runs.
    consumer_group: Annotated[str, Meta(min_length=1)] = "loopwatch"
    worker_id: str = ""
    session_timeout_s: Seconds = 10.0
    fetch_max_records: Positive = 4000
    stream_buffer_batches: Positive = 8
    flush_rows: Positive = 50_000
    flush_bytes: Positive = 64 << 20
    flush_linger_s: Seconds = 0.5
    hot_state_bytes: Annotated[int, Meta(ge=1 << 20)] = 1 << 30
    held_actions: Positive = 500_000
    known_ids: Positive = 50_000_000
    max_event_bytes: Positive = 1 << 20
    idle_after_s: Seconds = 5.0
    live_within_s: Seconds = 86_400.0
    evaluate_every_s: Annotated[float, Meta(ge=0)] = 2.0
    alert_every_s: Annotated[float, Meta(ge=0)] = 2.0
    alert_lease_s: Seconds = 20.0
    external_url: str = ""
    egress_proxy: str = ""
    poison_window: Positive = 1000
    poison_ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5
    stuck_after_s: Seconds = 300.0
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0
    log_level: str = "INFO"
    log_format: str = "json"

    @property
    def topics(self) -> Topics:
        """Names of the topics under the prefix."""
        return Topics(self.topic_prefix)

    @classmethod
    def load(cls, env: Mapping[str, str] = os.environ, file: Path | None = None) -> "Settings":
        """Read the settings file, if any, then the environment over it.

        Raises:
            SettingsError: names the variable, what it says, and what it takes.
        """
        path = file or (Path(env[PREFIX + "SETTINGS"]) if env.get(PREFIX + "SETTINGS") else None)
        values: dict[str, Any] = dict(_read_file(path)) if path else {}
        known = {field.name: field for field in msgspec.structs.fields(cls)}
        for name in values:
            if name not in known:
                raise SettingsError(f"{path}: {name} is no setting; known are {', '.join(sorted(known))}")
        values |= {name: env[variable_of(name)] for name in known if variable_of(name) in env}
        converted: dict[str, Any] = {}
        for name, value in values.items():
            try:
                converted[name] = msgspec.convert(value, known[name].type, strict=False)
            except msgspec.ValidationError as exc:
                shown = "(hidden)" if "password" in name else repr(value)
                raise SettingsError(f"{variable_of(name)}={shown}: {exc}") from exc
        return cls(**converted)

    def __repr__(self) -> str:
        shown = ((field.name, getattr(self, field.name)) for field in msgspec.structs.fields(type(self)))
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in shown if 'password' not in k and k != 'clickhouse_url')})"

    def environment(self) -> dict[str, str]:
        """The variables that make a child process load these same settings."""
        plain = msgspec.to_builtins(self)
        return {variable_of(name): str(value) for name, value in plain.items() if value != ""}


def variable_of(name: str) -> str:
    """The environment variable of a setting.

    >>> variable_of("kafka_bootstrap")
    'LOOPWATCH_KAFKA_BOOTSTRAP'
    """
    return PREFIX + name.upper()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise SettingsError(f"{path}: cannot be read as a settings file: {exc}") from exc
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise SettingsError(f"{path}: a settings file is a mapping of setting names to values")
    return document
