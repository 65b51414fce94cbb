"""The command line as somebody meets it: help that reads well, and errors that are one line and a status."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopwatch.console import failures
from loopwatch.console.cli import app
from loopwatch.infra.child_process import free_port
from loopwatch.schemas.errors import LoopwatchError
from typer.testing import CliRunner, Result

COMMANDS = ["dev", "worker", "recompute", "replay", "watermark", "metrics", "ledger", "sql", "doctor", "topics"]
COMMANDS += ["tables", "config", "signals", "drift", "reference", "explain", "report"]
SUBCOMMANDS = [["topics", "list"], ["topics", "apply"], ["tables", "list"], ["tables", "apply"], ["config", "check"]]
EXAMPLE = Path(__file__).parents[2] / "examples" / "loopwatch.yaml"
HEAVY = ["faust", "pyarrow", "pandas", "sklearn", "numpy", "chdb", "confluent_kafka", "clickhouse_connect"]


@pytest.fixture(autouse=True)
def nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses at which nothing listens, and no configuration."""
    monkeypatch.setenv("LOOPWATCH_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("LOOPWATCH_CLICKHOUSE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("LOOPWATCH_CONFIG", raising=False)
    monkeypatch.delenv("LOOPWATCH_DEBUG", raising=False)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """`worker` sends logs to the standard error of its test, which is gone in the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100", "NO_COLOR": "1"})


def one_line(result: Result) -> str:
    """The one line that the command said on standard error."""
    assert result.exit_code != 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("loopwatch: ")
    assert "Traceback" not in result.output
    return line


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f" {command} " in result.stdout


@pytest.mark.parametrize("command", [*([each] for each in COMMANDS), *SUBCOMMANDS], ids=" ".join)
def test_every_command_says_what_it_does(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"Usage: loopwatch {' '.join(command)}" in result.stdout
    assert len(result.stdout.splitlines()) > 5


def test_version() -> None:
    assert run("--version").stdout.startswith("loopwatch 0.")


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom loopwatch.console.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("command", [["topics", "list"], ["topics", "apply"]], ids=" ".join)
def test_kafka_that_does_not_answer_is_one_line(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loopwatch.infra.kafka_admin._TIMEOUT_S", 1.0)
    result = run(*command)
    assert "Kafka at 127.0.0.1:" in one_line(result)
    assert "LOOPWATCH_KAFKA_BOOTSTRAP" in result.stderr
    assert result.exit_code == failures.EXIT_UNAVAILABLE


@pytest.mark.parametrize("command", [["sql", "SELECT 1"], ["ledger"], ["tables", "list"], ["tables", "apply"]], ids=str)
def test_clickhouse_that_does_not_answer_is_one_line(command: list[str]) -> None:
    result = run(*command)
    assert "ClickHouse at http://127.0.0.1:" in one_line(result)
    assert "Connection refused" in result.stderr
    assert result.exit_code == failures.EXIT_UNAVAILABLE


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPWATCH_PARTITIONS", "many")
    result = run("topics", "list")
    assert "LOOPWATCH_PARTITIONS='many'" in one_line(result)
    assert result.exit_code == failures.EXIT_CONFIG


def test_a_mistake_in_the_configuration_is_named_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "loopwatch.yaml"
    file.write_text("models: {ctr: {outcomes: {click: {widow: 30m}}}}")
    for command in (["dev", "--data", str(tmp_path / "data")], ["worker"], ["replay", "flights"], ["ledger"]):
        result = run(*command, "--config", str(file))
        assert "models.ctr.outcomes.click.widow" in one_line(result)
        assert result.exit_code == failures.EXIT_CONFIG
    assert not (tmp_path / "data").exists()


def test_a_configuration_is_checked(tmp_path: Path) -> None:
    result = run("config", "check", str(EXAMPLE))
    assert result.exit_code == 0
    assert "flights-late" in result.stdout
    assert "is right: 2 models;" in result.stdout
    assert "no.yaml" in one_line(run("config", "check", str(tmp_path / "no.yaml")))


@pytest.mark.parametrize("text", ["noon", "2024-07-15T12:00:00", ""])
def test_a_watermark_is_an_instant_with_an_offset(text: str) -> None:
    assert "2024-07-15T12:00:00Z" in one_line(run("watermark", text))


def test_a_file_that_cannot_be_replayed_is_named(tmp_path: Path) -> None:
    assert "no.jsonl" in one_line(run("replay", str(tmp_path / "no.jsonl")))
    assert "events.txt" in one_line(run("replay", "events.txt"))


def test_a_record_that_is_no_event_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"prediction_id": "p", "model": "m"}\n')
    line = one_line(run("replay", str(file)))
    assert f"{file}:1: schema" in line
    assert "--skip-invalid" in line


def test_an_empty_query_is_one_line() -> None:
    assert "no query" in one_line(run("sql", " ; "))


def test_an_unknown_option_is_a_usage_error() -> None:
    result = run("ledger", "--colour")
    assert result.exit_code == 2
    assert "--colour" in result.stderr


def test_the_doctor_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loopwatch.infra.kafka_admin._TIMEOUT_S", 1.0)
    result = run("doctor")
    assert result.exit_code == 1
    assert "ok     settings: set: LOOPWATCH_CLICKHOUSE_URL, LOOPWATCH_KAFKA_BOOTSTRAP" in result.stdout or (
        "ok     settings: set: LOOPWATCH_KAFKA_BOOTSTRAP, LOOPWATCH_CLICKHOUSE_URL" in result.stdout
    )
    assert "failed Kafka: " in result.stdout
    assert "failed ClickHouse: " in result.stdout
    assert "Java and Maven" in result.stdout
    assert result.stdout.count("-> start it (`loopwatch dev` starts one here)") == 2


def test_the_doctor_tells_of_settings_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPWATCH_PARTITIONS", "many")
    result = run("doctor", "--format", "json")
    assert result.exit_code == 1
    assert '"healthy": false' in result.stdout
    assert "LOOPWATCH_PARTITIONS" in result.stdout


def test_an_unexpected_error_is_one_line_unless_it_is_debugged(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(path: object) -> None:
        raise RuntimeError("no such\nthing")

    monkeypatch.setattr("loopwatch.console.commands.config.load_config", break_down)
    result = run("config", "check", "x.yaml")
    assert one_line(result).startswith("loopwatch: internal error, RuntimeError: no such thing")
    assert result.exit_code == failures.EXIT_SOFTWARE
    monkeypatch.setenv("LOOPWATCH_DEBUG", "1")
    assert isinstance(run("config", "check", "x.yaml").exception, RuntimeError)


def test_an_error_of_ours_is_shown_whole_when_debugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPWATCH_DEBUG", "1")
    assert isinstance(run("sql", ";").exception, LoopwatchError)
