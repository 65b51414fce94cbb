"""How a failed command ends: one line on standard error and an exit status, never a traceback.

``LOOPWATCH_DEBUG=1`` shows the traceback after all.
"""

import os
import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ..infra.wrapped_errors import reason_in
from ..schemas.errors import ConfigError, LoopwatchError, ServiceUnavailable, SettingsError

# See sysexits.h; a worker uses more of them (stream_processors/app.py). 1 says that what was asked is not so.
EXIT_FAILED = 1
EXIT_UNAVAILABLE = 69
EXIT_SOFTWARE = 70
EXIT_CONFIG = 78

_CLICKHOUSE_ERROR = re.compile(r"Code: (\d+)\.\s*(?:DB::Exception:\s*)?(.*)", re.DOTALL)
_WHERE = {
    "Kafka": "LOOPWATCH_KAFKA_BOOTSTRAP says where it is",
    "ClickHouse": "LOOPWATCH_CLICKHOUSE_URL says where it is",
}
_CLICKHOUSE_TRAILER = re.compile(r"\s*\(version [^)]*\)+\s*|\s*\(for url [^)]*\)\s*")


class ReportingGroup(TyperGroup):
    """A group of commands whose errors become one line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Exception as exc:
            code = exit_code_of(exc)
            if code is None or os.environ.get("LOOPWATCH_DEBUG", "0") not in ("", "0"):
                raise
            sys.stdout.flush()
            print(f"loopwatch: {explain(exc)}", file=sys.stderr, flush=True)
            raise typer.Exit(code) from exc


def exit_code_of(exc: Exception) -> int | None:
    """The status that an error ends the process with; None for those that are the command line's own."""
    if isinstance(exc, ServiceUnavailable):
        return EXIT_UNAVAILABLE
    if isinstance(exc, ConfigError | SettingsError):
        return EXIT_CONFIG
    if isinstance(exc, LoopwatchError) or _is_of_clickhouse(exc):
        return EXIT_FAILED
    # Of the command line itself (a wrong option, --help), and a pipe that its reader closed.
    if isinstance(exc, typer.Exit | typer.Abort | BrokenPipeError) or hasattr(exc, "exit_code"):
        return None
    return EXIT_SOFTWARE


def explain(exc: Exception) -> str:
    """What went wrong, for a person.

    >>> explain(ServiceUnavailable("127.0.0.1:9092", "Kafka: no answer"))
    'Kafka at 127.0.0.1:9092: no answer (LOOPWATCH_KAFKA_BOOTSTRAP says where it is; `loopwatch dev` starts one)'
    >>> explain(KeyError("x"))
    "internal error, KeyError: 'x' (LOOPWATCH_DEBUG=1 shows where)"
    """
    if _is_of_clickhouse(exc):
        return explain_clickhouse(str(exc))
    if isinstance(exc, ServiceUnavailable):
        return explain_unavailable(exc)
    if isinstance(exc, LoopwatchError):
        return str(exc)
    return f"internal error, {type(exc).__name__}: {_one_line(str(exc))} (LOOPWATCH_DEBUG=1 shows where)"


def explain_unavailable(exc: ServiceUnavailable) -> str:
    """Which service, where, why, and what to look at."""
    service, _, detail = exc.detail.partition(": ")
    if service not in _WHERE:
        return str(exc)
    return f"{service} at {exc.address}: {reason_in(detail)} ({_WHERE[service]}; `loopwatch dev` starts one)"


def explain_clickhouse(text: str) -> str:
    """ClickHouse's own words without the client's wrapping.

    >>> explain_clickhouse("HTTPDriver for http://h:1 received ClickHouse error code 60\\n Code: 60. DB::Exception: "
    ...                    "Unknown table x. (UNKNOWN_TABLE) (version 26.9.1 (official build))")
    'ClickHouse: Unknown table x. (UNKNOWN_TABLE)'
    """
    found = _CLICKHOUSE_ERROR.search(text)
    said = _one_line(_CLICKHOUSE_TRAILER.sub("", found[2] if found else text))
    return f"ClickHouse: {said.partition(' Expected one of: ')[0][:800]}"


def _is_of_clickhouse(exc: Exception) -> bool:
    return type(exc).__module__.startswith("clickhouse_connect.")


def _one_line(text: str) -> str:
    return " ".join(text.split())
