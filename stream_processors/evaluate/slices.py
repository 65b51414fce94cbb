"""Into which slices a row goes: all, its version, its segments, the arms of its experiments."""

from msgspec import Struct

from ...infra.clickhouse import quote

MOST_VALUES = 20
"""Of one key in one window; what is rarer goes into `OTHER`."""
OTHER = "other"
VERSION = "version"
OF_VARIANTS = "variants."

_ALL = "('', '')"


class Slicing(Struct, frozen=True):
    """Keys to slice by. Version and variants have columns of their own; a segment that is called as they are is theirs.

    >>> Slicing().of_row, Slicing(keys=("country",)).of_row
    ("('', '')", "('country', segments['country'])")
    """

    keys: tuple[str, ...] = ()
    """``version``, ``variants.<experiment>`` or a segment: a slice for each value, "" being none."""
    every: bool = False
    """The whole window, and all that each row has: version, segments, variants. `keys`, if any, choose segments."""

    @property
    def is_sliced(self) -> bool:
        """Whether there is more than the whole window."""
        return self.every or bool(self.keys)

    @property
    def of_row(self) -> str:
        """SQL of the (key, value) of a row that has `version`, `segments` and `variants`; a row for each of several."""
        if not self.every:
            slices = [f"({quote(key)}, {_column(key)})" for key in self.keys] or [_ALL]
            return slices[0] if len(slices) == 1 else f"arrayJoin([{', '.join(slices)}])"
        whole = [_ALL, f"({quote(VERSION)}, toString(version))"]
        segments = "arrayZip(CAST(mapKeys(segments), 'Array(String)'), mapValues(segments))"
        if self.keys:
            names = ", ".join(map(quote, self.keys))
            segments = f"arrayFilter(each -> each.1 IN ({names}), {segments})"
        variants = (
            f"arrayMap((name, arm) -> ({quote(OF_VARIANTS)} || name, arm), mapKeys(variants), mapValues(variants))"
        )
        return f"arrayJoin(arrayConcat([{', '.join(whole)}], {segments}, {variants}))"


def _column(key: str) -> str:
    if key == VERSION:
        return "toString(version)"
    if key.startswith(OF_VARIANTS):
        return f"variants[{quote(key.removeprefix(OF_VARIANTS))}]"
    return f"segments[{quote(key)}]"
