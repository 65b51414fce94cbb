"""Signals as rows to print, and one of them whole."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from ..infra.clickhouse import ClickHouse, quote
from ..schemas.errors import LoopwatchError
from ..schemas.signals import Signal, SignalKind
from ..stream_processors.lookups import instant
from ..stream_processors.monitor.look_on import command_of
from ..stream_processors.monitor.signals import read_signals
from ..stream_processors.records import micros_of
from .tabular import Report, print_table

_FIELDS = Signal.__struct_fields__
_SHORT = 8


class Wanted(Struct, frozen=True):
    """Which signals: those found from `since` to before `until`."""

    model: str | None = None
    kind: SignalKind | None = None
    since: datetime | None = None
    until: datetime | None = None
    id_begins: str = ""

    @property
    def condition(self) -> str:
        """Of rows of `signals_current`."""
        said = [f"startsWith(signal_id, {quote(self.id_begins)})"]
        if self.model is not None:
            said.append(f"model = {quote(self.model)}")
        if self.kind is not None:
            said.append(f"kind = {quote(self.kind.value)}")
        if self.since is not None:
            said.append(f"found_at >= {instant(micros_of(self.since))}")
        if self.until is not None:
            said.append(f"found_at < {instant(micros_of(self.until))}")
        return " AND ".join(said)


def signals_of(clickhouse: ClickHouse, wanted: Wanted, limit: int) -> list[Signal]:
    """The latest first."""
    return read_signals(clickhouse, wanted.condition, f"ORDER BY found_at DESC, signal_id LIMIT {limit}")


def one_signal(clickhouse: ClickHouse, wanted: Wanted) -> Signal:
    """The one whose id begins so.

    Raises:
        LoopwatchError: there is none, or more than one.
    """
    found = signals_of(clickhouse, wanted, 2)
    if not found:
        raise LoopwatchError(f"--id {wanted.id_begins}: there is no such signal")
    if len(found) > 1:
        raise LoopwatchError(f"--id {wanted.id_begins}: more than one signal begins so; write more of it")
    return found[0]


def watched_until(clickhouse: ClickHouse, model: str | None) -> datetime | None:
    """How far the detectors have come, the slowest of them; None where there are none."""
    of_model = "1" if model is None else f"model = {quote(model)}"
    ((reached_us, n),) = clickhouse.rows(
        f"SELECT min(reached_us), count() FROM {clickhouse.database}.monitors FINAL WHERE reached_us > 0 AND {of_model}"
    )
    return datetime.fromtimestamp(reached_us // 1_000_000, UTC) if n else None


def overview(found: Sequence[Signal], *, of_one_model: bool, with_messages: bool) -> Report:
    """A row a signal. Without messages it fits a small terminal: they say in words what the other columns say."""
    columns = ("id", "found", "since", "model", "kind", "subject", "slice", "change", "strength", "message")
    rows = [
        [
            each.signal_id[:_SHORT], _minute(each.found_at), _minute(each.since), each.model, each.kind.value,
            each.subject, _slice(each), _change(each), round(each.score, 2), each.message,
        ]
        for each in found
    ]  # fmt: skip
    dropped = {"model"} if of_one_model else set[str]()
    dropped |= set() if with_messages else {"message"}
    kept = [at for at, name in enumerate(columns) if name not in dropped]
    return Report([columns[at] for at in kept], [[row[at] for at in kept] for row in rows])


def flat(found: Sequence[Signal]) -> Report:
    """All that has one value."""
    names = [name for name in _FIELDS if name not in ("evidence", "examples")]
    return Report(names, [[_plain(getattr(each, name)) for name in names] for each in found])


def whole(found: Sequence[Signal]) -> Report:
    """All of it; evidence is a list of objects."""
    rows = [[_plain(getattr(each, name)) for name in _FIELDS] for each in found]
    return Report(_FIELDS, rows)


def print_signal(signal: Signal) -> None:
    """One signal on a page: what it says, what it rests on, and where to look on."""
    print(f"{signal.message}\n")
    lines = {
        "id": signal.signal_id,
        "kind": signal.kind.value,
        "model": signal.model,
        "outcome": signal.outcome,
        "subject": signal.subject,
        "slice": _slice(signal),
        "change": _change(signal),
        "began": _minute(signal.since),
        "found": f"{_minute(signal.found_at)}, by {signal.detector}, from {signal.n:,} values",
        "seen until": _minute(signal.until),
        "strength": f"{signal.score:.2f} (0 to 1)",
    }
    for name, text in lines.items():
        if text:
            print(f"{name:<11} {text}")
    if signal.evidence:
        print()
        rows = [[each.name, each.expected, each.seen, each.seen - each.expected] for each in signal.evidence]
        print_table(("evidence", "expected", "seen", "difference"), rows)
    if signal.examples:
        print("Predictions, for example: " + ", ".join(signal.examples))
    print(f"\nLook on with\n  {command_of(signal)}")
    if signal.query:
        print(f"or, by `loopwatch sql -`:\n{signal.query}")


def _plain(value: Any) -> Any:
    if isinstance(value, SignalKind):
        return value.value
    return [msgspec.to_builtins(each) for each in value] if isinstance(value, tuple) else value


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _slice(signal: Signal) -> str:
    return f"{signal.segment_key}={signal.segment}" if signal.segment_key else ""


def _change(signal: Signal) -> str:
    if signal.expected is None and signal.seen is None:
        return ""
    return " -> ".join("?" if each is None else f"{each:.4g}" for each in (signal.expected, signal.seen))
