"""What explains that a mean changed, to print."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..detectors.root_cause import Part
from ..stream_processors.monitor.explained import Explained
from .tabular import Report

SHOWN = 10
"""Slices of a key that have a row; the others share one."""
_COLUMNS = ("key", "slice", "n_before", "n_since", "mean_before", "mean_since", "mix", "within", "total", "share")


def explanation(before: Part, since: Part, found: Sequence[Explained]) -> Report:
    """A row a slice; the keys of which one slice explains more than its size would come first; last the whole."""
    change = since.mean - before.mean
    rows: list[list[Any]] = []
    for each in sorted(found, key=lambda each: (-each.concentration, each.key)):
        shown = [_Line(of.name or "(none)", of.before, of.since, of.mix, of.within) for of in each.slices[:SHOWN]]
        rest = each.slices[SHOWN:]
        if rest:
            before_all, since_all = (
                _together(side) for side in zip(*((of.before, of.since) for of in rest), strict=True)
            )
            mix, within = sum(of.mix for of in rest), sum(of.within for of in rest)
            shown.append(_Line(f"({len(rest):,} others)", before_all, since_all, mix, within))
        rows += [[each.key, *line.cells(change)] for line in shown]
    rows.append(["", "(all)", before.n, since.n, before.mean, since.mean, None, None, change, 1.0 if change else None])
    return Report(_COLUMNS, rows)


class _Line(NamedTuple):
    name: str
    before: Part
    since: Part
    mix: float
    within: float

    def cells(self, change: float) -> list[Any]:
        total = self.mix + self.within
        means = (each.mean if each.n else None for each in (self.before, self.since))
        share = total / change if change else None
        return [self.name, self.before.n, self.since.n, *means, self.mix, self.within, total, share]


def _together(parts: Sequence[Part]) -> Part:
    return Part(sum(each.n for each in parts), sum(each.total for each in parts))
