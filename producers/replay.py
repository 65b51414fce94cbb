"""Send a history: in its own order, at its own pace or a multiple of it, and close its windows at the end."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..schemas.events import Prediction
from ..schemas.headers import REPLAY, REPLAY_VALUE
from ..schemas.outcomes import LoopwatchConfig
from .client import Event, Loopwatch
from .pace import Pace

REPLAY_HEADERS = {REPLAY: REPLAY_VALUE}
# How many events go out between two looks at the progress and the failures.
_CHECK_EVERY = 512


class ReplaySource(Protocol):
    """A history: an iterator of its events in event-time order, and how far it is."""

    @property
    def name(self) -> str:
        """What the progress display calls it."""
        ...

    @property
    def size(self) -> int:
        """All there is, in units of its own (events, bytes); 0 where that isn't known."""
        ...

    @property
    def position(self) -> int:
        """How much of `size` has been read."""
        ...

    @property
    def invalid(self) -> int:
        """Records so far that are no events: the source reports each, and leaves it out."""
        ...

    def __iter__(self) -> Iterator[Event]:
        """The events, read as they are asked for."""
        ...


class ReplaySummary(Struct, frozen=True):
    """What a replay sent. `watermark` is None where none was asked for, or there was nothing to send."""

    predictions: int
    actions: int
    invalid: int
    first_ts: datetime | None
    last_ts: datetime | None
    watermark: datetime | None
    seconds: float


def replay_events(
    client: Loopwatch,
    source: ReplaySource,
    *,
    speed: float | None = None,
    config: LoopwatchConfig | None = None,
    close: bool = True,
    progress: Progress | None = None,
    flush_timeout_s: float = 60.0,
) -> ReplaySummary:
    """Send every event of `source`, in the order it gives them, and wait until all are delivered.

    Every record carries the header `REPLAY`, so that its watermark follows the events and not the wall clock.

    Args:
        client: make it with ``block=True``: a full buffer then slows the replay down instead of ending it.
        source: read once, and never held in memory.
        speed: 1.0 is real time, 60 an hour a minute; None or 0 as fast as it goes.
        config: whose windows have to close; when left out, every model has the default outcome.
        close: end with an explicit watermark behind every window (`closing_watermark`). Without it the last windows
            stay open, for a history that goes on in a later replay.
        progress: a started display (`replay_progress`), which gets one task.
        flush_timeout_s: how long to wait at the end for what is on its way.

    Raises:
        BufferFull: no room in the buffer (with ``block=True``: for too long).
        DeliveryError: an event did not arrive; no watermark was sent then.
        InvalidEvent: the source gave an event that the stream would refuse.
        ServiceUnavailable: the brokers don't know the topics.
    """
    started = time.monotonic()
    config = config or LoopwatchConfig()
    display = _Display(source, progress)

    def tick() -> None:
        display.show(last)
        client.raise_failures()

    pace = Pace(speed, tick) if speed else None
    windows: dict[str, timedelta] = {}
    first: datetime | None = None
    last: datetime | None = None
    predictions = actions = 0
    for event in source:
        ts = event.ts
        if pace is not None:
            pace.wait(ts)
        if isinstance(event, Prediction):
            if event.model not in windows:
                windows[event.model] = config.for_model(event.model).longest_window
            client.send_prediction(event, headers=REPLAY_HEADERS)
            predictions += 1
        else:
            client.send_action(event, headers=REPLAY_HEADERS)
            actions += 1
        first = ts if first is None else min(first, ts)
        last = ts if last is None else max(last, ts)
        if (predictions + actions) % _CHECK_EVERY == 0:
            tick()
    client.flush(flush_timeout_s)
    watermark = None
    if close and last is not None:
        # Windows that reach beyond the present stay open: what answers them may still come.
        watermark = max(last, min(closing_watermark(last, windows.values(), config), datetime.now(UTC)))
        client.watermark(watermark, headers=REPLAY_HEADERS, timeout_s=flush_timeout_s)
    display.show(last)
    return ReplaySummary(predictions, actions, source.invalid, first, last, watermark, time.monotonic() - started)


def closing_watermark(last: datetime, windows: Iterable[timedelta], config: LoopwatchConfig) -> datetime:
    """The watermark behind which nothing is open: every window has ended, and every held action is an orphan.

    >>> from datetime import UTC
    >>> noon = datetime(2024, 7, 15, 12, tzinfo=UTC)
    >>> closing_watermark(noon, [timedelta(days=3)], LoopwatchConfig()).isoformat()
    '2024-07-18T12:00:10+00:00'
    """
    return last + max([config.defaults.orphan_grace, *windows]) + config.defaults.disorder


def replay_progress(console: Console | None = None) -> Progress:
    """A display for `replay_events`, to be used as a context manager: how far, at which event time, how long still."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[at]}"),
        TimeRemainingColumn(),
        console=console,
    )


class _Display:
    """One task of a progress display, or none."""

    def __init__(self, source: ReplaySource, progress: Progress | None) -> None:
        self._source = source
        self._progress = progress
        self._task = progress.add_task(source.name, total=source.size or None, at="") if progress else None

    def show(self, at: datetime | None) -> None:
        if self._progress is not None and self._task is not None:
            shown = f"{at:%Y-%m-%d %H:%M}" if at else ""
            self._progress.update(self._task, completed=self._source.position, at=shown)
