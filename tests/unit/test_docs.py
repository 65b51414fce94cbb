"""The documentation says what the code says: settings, metrics, commands, make targets, links and example events."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml
from loopwatch.console.cli import app
from loopwatch.infra import metrics
from loopwatch.infra.settings import Settings, variable_of
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.decode import action_decoder, prediction_decoder
from prometheus_client.metrics import MetricWrapperBase

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NOTHING = "–"

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| `(?P<name>[A-Za-z_]+)` \| (?P<second>[^|]+) \|", re.MULTILINE)


def fences(page: Path, *languages: str) -> Iterator[str]:
    for found in _FENCE.finditer(page.read_text(encoding="utf-8")):
        if found["language"] in languages:
            yield found["text"]


def command_lines(page: Path) -> Iterator[list[str]]:
    """Words of each simple command in the page's shell fences; in a console only lines with a prompt are commands."""
    for text in [*fences(page, "sh"), *fences(page, "console")]:
        is_console = any(line.startswith("$ ") for line in text.splitlines())
        for line in text.splitlines():
            if is_console and not line.startswith("$ "):
                continue
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            yield from simple_commands(list(lexer))


def simple_commands(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line, between pipes and semicolons, without variables set before them."""
    command: list[str] = []
    for word in [*words, ";"]:
        if word in (";", "&", "&&", "|", "||"):
            if command:
                yield command
            command = []
        elif command or not re.match(r"[A-Z_]+=", word):
            command.append(word)


COMMANDS = [(page.name, words) for page in PAGES for words in command_lines(page)]
LOOPWATCH = [
    pytest.param(words[1:], id=f"{page}: {shlex.join(words)}") for page, words in COMMANDS if words[0] == "loopwatch"
]
MAKE = sorted({target for _, words in COMMANDS if words[0] == "make" for target in words[1:]})
INLINE = sorted(
    {found for page in PAGES for found in re.findall(r"`loopwatch ([a-z][^`\n]*)`", page.read_text(encoding="utf-8"))}
)


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and its arguments."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"{command.name} needs a command"
        assert words[0] in command.commands, f"there is no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_every_setting_is_in_the_table_with_its_default_and_none_besides() -> None:
    section = OPERATIONS.partition("## Settings")[2].partition("\n## ")[0]
    table = {found["name"]: found["second"].strip().strip("`") for found in _ROW.finditer(section)}
    fields = msgspec.structs.fields(Settings)
    assert table == {variable_of(field.name): str(field.default) or NOTHING for field in fields}


def test_every_metric_is_in_the_table_with_its_labels_and_none_besides() -> None:
    section = OPERATIONS.partition("## Health and metrics")[2].partition("\n## ")[0]
    table = {found["name"]: found["second"].strip() for found in _ROW.finditer(section)}
    declared = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    labels = {metric.describe()[0].name: ", ".join(metric._labelnames) or NOTHING for metric in declared}
    exposed = {
        family.name + ("_total" if family.type == "counter" else ""): labels[family.name]
        for family in metrics.REGISTRY.collect()
    }
    assert table == exposed


def test_there_are_commands_to_look_at() -> None:
    assert len(LOOPWATCH) > 10
    assert "demo" in MAKE
    assert "test" in MAKE


@pytest.mark.parametrize("words", LOOPWATCH)
def test_a_command_that_is_shown_is_one_that_the_command_line_takes(words: list[str]) -> None:
    command, arguments = resolve(words)
    # Parses and checks every option and argument, and runs nothing.
    with command.make_context(command.name, arguments):
        pass


@pytest.mark.parametrize("text", INLINE)
def test_a_command_that_is_mentioned_exists_with_its_options(text: str) -> None:
    for alternative in re.sub(r"(\w+)/(\w+)", r"\1", text).split("; loopwatch "):
        command, arguments = resolve([word for word in alternative.split() if word.strip("…")])
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("-")} <= known


@pytest.mark.parametrize("target", MAKE)
def test_a_make_target_that_is_shown_is_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for found in _LINK.finditer(page.read_text(encoding="utf-8")):
        target, _, anchor = found["target"].partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name} links to {found['target']}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {found['target']}"


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as code hosts make them."""
    texts = [found["text"].strip().lower() for found in _HEADING.finditer(page.read_text(encoding="utf-8"))]
    return {re.sub(r"[^\w -]", "", text).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "wire-format.md"], ids=lambda page: page.name)
def test_example_events_are_events(page: Path) -> None:
    events = re.findall(r"^\{.+?\}$", "".join(fences(page, "json")), re.MULTILINE | re.DOTALL)
    prediction, action = (event.encode() for event in events)
    assert prediction_decoder().decode(prediction).prediction_id == action_decoder().decode(action).prediction_id


def test_the_example_configuration_is_right() -> None:
    (document,) = fences(ROOT / "README.md", "yaml")
    assert [outcome.name for outcome in parse_config(yaml.safe_load(document)).models["ctr-ranker"].outcomes] == [
        "click",
        "revenue",
    ]
