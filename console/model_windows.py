"""From what was typed to the windows of one outcome of a model."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..schemas.errors import LoopwatchError
from ..schemas.outcomes import LoopwatchConfig, Outcome
from ..schemas.windows import Window

if TYPE_CHECKING:
    from ..infra.clickhouse import ClickHouse

# From 1970 on, longer than event times go.
EVER = Window.tumbling(timedelta(days=200_000))


def window_of(text: str) -> Window:
    """The window that was typed.

    Raises:
        LoopwatchError: it is none.
    """
    try:
        return Window.parse(text)
    except ValueError as exc:
        raise LoopwatchError(f"--window: {exc}") from exc


def outcome_of(clickhouse: "ClickHouse", models: LoopwatchConfig, model: str, name: str | None) -> Outcome:
    """The outcome of this name, or the first one; without a configuration those that feedback has.

    Raises:
        LoopwatchError: there is none, or none of that name.
    """
    from ..stream_processors.evaluate.quality import known_outcomes

    outcomes = models.models[model].outcomes if model in models.models else known_outcomes(clickhouse, model)
    if not outcomes:
        raise LoopwatchError(f"model {model} has no feedback, and --config doesn't name it")
    chosen = next((each for each in outcomes if name in (None, each.name)), None)
    if chosen is None:
        raise LoopwatchError(f"--outcome {name}: model {model} has {', '.join(each.name for each in outcomes)}")
    return chosen


def utc(instant: datetime | None) -> datetime | None:
    """What was typed without a zone is UTC."""
    return None if instant is None else instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
