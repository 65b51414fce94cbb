"""Stretches of time that cover windows, and the SQL that asks for them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from itertools import pairwise

from ...infra.clickhouse import quoted
from .series import Due

_MOST_STRETCHES = 20
Stretches = tuple[tuple[int, int], ...]
"""Of seconds since 1970, each from the first one to before the second."""


def in_windows(asked: Iterable[tuple[str, str, Collection[Due]]], between: Callable[[int, int], str]) -> str:
    """SQL condition of rows, from (model, what else has to hold, its windows); `between` says it of a stretch.

    Models that ask for the same share a condition: planning many takes longer than reading their rows.
    """
    models: dict[tuple[str, Stretches], list[str]] = defaultdict(list)
    for model, also, dues in asked:
        models[also, stretches(dues)].append(model)
    conditions = [
        f"(model IN ({quoted(sorted(of))}) AND {also} AND ({' OR '.join(f'({between(*each)})' for each in spans)}))"
        for (also, spans), of in models.items()
    ]
    return f"({' OR '.join(conditions)})"


def stretches(dues: Iterable[Due], most: int = _MOST_STRETCHES) -> Stretches:
    """At most so many stretches of time (begin, end) that cover all the windows, with the widest gaps between them."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted((due.start, due.end) for due in dues):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    gaps = sorted((after[0] - before[1] for before, after in pairwise(merged)), reverse=True)
    least = gaps[most - 1] if len(gaps) >= most else 0
    covering: list[tuple[int, int]] = []
    for begin, end in merged:
        if covering and begin - covering[-1][1] <= least:
            covering[-1] = (covering[-1][0], end)
        else:
            covering.append((begin, end))
    return tuple(covering)
