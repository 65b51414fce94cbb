"""Options that several commands have, and the settings they change."""

import getpass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ..infra.settings import Settings
from ..schemas.config import load_config
from ..schemas.outcomes import LoopwatchConfig

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Your models: a loopwatch.yaml. By default what LOOPWATCH_CONFIG names."),
]


Author = Annotated[
    str, typer.Option(envvar="LOOPWATCH_AUTHOR", help="Who you are; the name you are logged in by, unless you say.")
]


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"


def settings_with(config: Path | None = None) -> Settings:
    """The settings of the environment, with the configuration file of the command line."""
    settings = Settings.load()
    return settings if config is None else msgspec.structs.replace(settings, config=str(config))


def config_of(settings: Settings) -> LoopwatchConfig:
    """The models' configuration that the settings name; without one every model has the default outcome."""
    return load_config(Path(settings.config) if settings.config else None)


def named(author: str) -> str:
    """Who it is: what was said, or the name of the user."""
    return author or getpass.getuser()
