"""What the present rules say of stored predictions, beside what is written of them. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from ...schemas.feedback import FeedbackStatus
from ...schemas.ledger import ActionClass
from ...schemas.partitioner import partition_of
from ..join.join import PartitionJoin
from ..join.output import OutcomeRow, Output, SettledAction
from ..join.rules import Rules
from ..join.state import Stored

_WAITING = (ActionClass.HELD, ActionClass.ORPHAN)
_FLUSH = 1


class Answer(NamedTuple):
    """The last row of an outcome of a prediction, pending ones included."""

    revision: int
    status: str
    label: str | None
    label_value: float | None
    action_id: str | None
    n_actions: int


class Written(NamedTuple):
    """What is written of some predictions, read after their events."""

    answers: Mapping[tuple[str, str], Answer]
    """By prediction id and outcome."""
    classes: Mapping[tuple[str, str], tuple[str, str]]
    """Class and reason by prediction id and action id."""


class Derived(NamedTuple):
    """What is to be written."""

    rows: list[OutcomeRow]
    """Every row whose revision is above the one that is there."""
    changed: list[OutcomeRow]
    """Those of them that say something else than before."""
    settled: list[SettledAction]
    """Actions whose class is another one now."""


def derive(
    rules: Rules, watermarks_us: list[int], stored: Mapping[str, Stored], written: Written, outcome: str | None = None
) -> Derived:
    """Derive the outcomes of stored predictions, all of them or only one, and the classes of their actions.

    `watermarks_us` has that of each partition: it says which windows have ended. A worker that writes at the same time
    is no harm: whoever knows of more actions has the higher revision, and who knows of as many says the same.
    """
    out = Output()
    joins = [_join_at(partition, watermark_us, rules) for partition, watermark_us in enumerate(watermarks_us)]
    for prediction_id, found in stored.items():
        if found.prediction is not None:
            joins[partition_of(prediction_id, len(joins))].derive_again(prediction_id, found, out, _FLUSH)
    for join in joins:
        join.settle(join.watermark.us, out, _FLUSH)
    rows = [row for row in out.outcomes if outcome in (None, row.outcome) and _is_new(row, written)]
    changed = [row for row in rows if _said(row) != _said_before(row, written)]
    settled = [row for row in out.settled if _is_otherwise(row, written)]
    return Derived(rows, changed, settled)


def _join_at(partition: int, watermark_us: int, rules: Rules) -> PartitionJoin:
    join = PartitionJoin(partition, rules)
    join.watermark.us = watermark_us
    return join


def _is_new(row: OutcomeRow, written: Written) -> bool:
    before = written.answers.get((row.prediction_id, row.outcome))
    if before is None:
        return row.status is not FeedbackStatus.PENDING
    return row.revision > before.revision


def _is_otherwise(row: SettledAction, written: Written) -> bool:
    """One that is held or an orphan is left to the worker: it will meet its prediction, or has just done so."""
    before = written.classes.get((row.prediction_id, row.action_id))
    return before is not None and before[0] not in _WAITING and before != (row.action_class, row.reason or "")


def _said(row: OutcomeRow) -> tuple[object, ...]:
    return (str(row.status), row.label, row.label_value, row.action_id, row.n_actions)


def _said_before(row: OutcomeRow, written: Written) -> tuple[object, ...]:
    before = written.answers.get((row.prediction_id, row.outcome))
    return () if before is None else before[1:]
