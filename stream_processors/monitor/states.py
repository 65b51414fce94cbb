"""Table `monitors`: how far each monitor has come, its detectors then, and signals that are still to be published."""

import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from ...infra.clickhouse import ClickHouse, quoted
from ...infra.logs import logger
from ...schemas.signals import Signal
from ..sink.inserts import Inserter, token_of

log = logger(__name__)

LARGEST = 16 << 20
"""Bytes of one state: what is larger is not kept, and built anew by the next owner."""

DAMAGED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
"""What reading a state raises that is not what its monitor wrote."""

_SCHEMA = pa.schema(
    [
        ("model", pa.string()), ("monitor", pa.string()), ("reached_us", pa.int64()), ("state", pa.string()),
        ("rebuilt", pa.string()), ("_written_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


def as_json(value: object) -> Any:
    """The value as it will be read again: a tuple is a list by then.

    >>> as_json(("glr", ("click",)))
    ['glr', ['click']]
    """
    return msgspec.json.decode(msgspec.json.encode(value))


def next_step(value: Any, step_s: int) -> int | None:
    """Where a state goes on: the second since 1970 at which a step begins, None for the beginning.

    Raises one of `DAMAGED` if no step of so many seconds begins there.
    """
    if value is None:
        return None
    second = int(value)
    if second < 0 or second % step_s:
        raise ValueError(f"no step of {step_s} s begins at second {second}")
    return second


class Saved(Struct, frozen=True):
    """One monitor of one model. `state` is plain data; `unpublished` are signals that are not known to be out."""

    model: str
    monitor: str
    reached_us: int
    state: dict[str, Any]
    unpublished: tuple[Signal, ...] = ()
    rebuilt: str = ""


class _Document(Struct):
    state: dict[str, Any]
    unpublished: tuple[Signal, ...] = ()


def read_states(clickhouse: ClickHouse, models: Collection[str]) -> dict[tuple[str, str], Saved]:
    """By model and monitor. One that can't be read is empty, and said: its monitor begins anew."""
    if not models:
        return {}
    found: dict[tuple[str, str], Saved] = {}
    rows: Sequence[Any] = clickhouse.rows(
        f"SELECT model, monitor, reached_us, state FROM {clickhouse.database}.monitors FINAL "
        f"WHERE model IN ({quoted(sorted(models))})"
    )
    for model, monitor, reached_us, text in rows:
        try:
            document = msgspec.json.decode(text, type=_Document)
        except msgspec.DecodeError as exc:
            log.warning("state of a monitor can't be read", model=model, monitor=monitor, error=str(exc)[:300])
            document = _Document({})
        found[model, monitor] = Saved(model, monitor, int(reached_us), document.state, document.unpublished)
    return found


def write_states(inserter: Inserter, saved: Iterable[tuple[Saved, int]], now: datetime) -> list[int]:
    """Store states, each fenced by the home partition of its model; returns how large they are.

    Raises:
        FencedError: another worker owns one of the models now.
        ServiceUnavailable: ClickHouse doesn't answer.
    """
    rows: list[tuple[Any, ...]] = []
    homes: set[int] = set()
    sizes: list[int] = []
    waiting = 0
    for each, home in saved:
        text = msgspec.json.encode(_Document(each.state, each.unpublished)).decode()
        sizes.append(len(text))
        if len(text) > LARGEST:
            log.warning("state of a monitor is too large to keep", model=each.model, monitor=each.monitor)
            continue
        if waiting + len(text) > LARGEST:
            _insert(inserter, rows, homes)
            rows, homes, waiting = [], set(), 0
        rows.append((each.model, each.monitor, each.reached_us, text, each.rebuilt, now))
        homes.add(home)
        waiting += len(text)
    if rows:
        _insert(inserter, rows, homes)
    return sizes


def _insert(inserter: Inserter, rows: Sequence[tuple[Any, ...]], homes: Collection[int]) -> None:
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)]
    token = token_of([f"monitors:{row[0]}:{row[1]}:{row[5]}:{time.monotonic_ns()}" for row in rows])
    inserter.insert("monitors", pa.table(columns, _SCHEMA), token, homes)
