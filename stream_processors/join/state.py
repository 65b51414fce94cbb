"""What the join remembers of a prediction and of its actions. Small: a million pending predictions must fit."""

from typing import TYPE_CHECKING

from msgspec import Struct

from ...schemas.events import Scalar

if TYPE_CHECKING:
    from .commons import Common
    from .rules import ModelRules

# Measured with a million entries (benchmarks/memory.py): the entry, its id, its slot in the dict and its timer.
ENTRY_BYTES = 300
ACTED_BYTES = 260


class Acted(Struct, gc=False):
    """An accepted action of a prediction, as far as the join needs it. `ts_us` is µs since 1970."""

    action_id: str
    name: str
    ts_us: int
    value: Scalar
    offset: int
    retired: bool = False
    """It came after the retention, and counts for nothing."""


class Entry(Struct, gc=False):
    """A prediction in hot state, with what is known of its outcomes. Bit i of a mask stands for outcome i."""

    ts_us: int
    common: "Common"
    prediction: Scalar
    score: float | None
    acted: dict[str, Acted] | None = None
    """Every accepted action by its id, whether it counts or not."""
    closed: int = 0
    """Outcomes whose window has passed and whose timeout was handled."""
    expired: int = 0
    """Outcomes that had a provisional row written when their window closed."""
    flush: int = 0
    """The flush that carries its latest change: it may leave memory once that one is stored."""

    @property
    def rules(self) -> "ModelRules":
        """Rules of its model."""
        return self.common.rules


class StoredPrediction(Struct):
    """A prediction as found in ClickHouse; `accepted_us` is the watermark when it came, 0 while there was none."""

    ts_us: int
    accepted_us: int
    model: str
    version: str
    prediction: Scalar
    score: float | None
    segments: dict[str, str] | None
    variants: dict[str, str] | None
    expired: frozenset[str] = frozenset()
    """Names of the outcomes that had a provisional row under their present rule."""
    outdated: frozenset[str] = frozenset()
    """Names of the outcomes whose rows all answer a former rule."""


class Stored(Struct):
    """Everything ClickHouse knows of one prediction id: the prediction, if it came, and its accepted actions."""

    prediction: StoredPrediction | None = None
    actions: list[Acted] = []


class HeldActions(Struct, gc=False):
    """Actions that came before their prediction."""

    acted: dict[str, Acted]
    complete: bool
    """Nothing more of this id is in ClickHouse, so its prediction needs no lookup."""
    until_us: int
    """Watermark at which they become orphans."""
    flush: int
    """The flush that carries their latest change."""
    orphaned: bool = False
    """Given up, and leaving memory once that is stored."""
