"""Concept drift of one outcome of a model: online detectors over its losses, of all predictions and of segments."""

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ...detectors.root_cause import Part, contributions
from ...infra.clickhouse import ClickHouse, quote
from ...infra.logs import logger
from ...schemas.outcomes import Kind, Outcome
from ...schemas.signals import Shift, Signal, SignalKind
from ..evaluate.slices import MOST_VALUES
from ..lookups import instant
from ..records import from_micros
from .loss_stream import Found, LossStream
from .losses import Cursor, Loss, losses_as_rows, new_losses
from .reached import Reached
from .signals import signal_id_of
from .states import DAMAGED, as_json

log = logger(__name__)

SUBJECT = "loss"
_AT_ONCE_S = 2.0
_EXAMPLES = 5
_MOST_EVIDENCE = 5
_BEFORE = 4
_LEAST_BEFORE_US = 3_600_000_000

Slice = tuple[str, str]
WHOLE: Slice = ("", "")


class ConceptMonitor:
    """Reads the losses that became known, and says when they grow, or fall at once. One thread at a time."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        model: str,
        outcome: Outcome,
        kind: Kind,
        segments: Sequence[str],
        detector_name: str,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Goes on from a `state`, unless what is watched was another thing then."""
        self._clickhouse = clickhouse
        self._model = model
        self._outcome = outcome
        self._kind = kind
        self._segments = tuple(segments)
        self._detector = detector_name
        self._cursor = Cursor()
        self._streams: dict[Slice, LossStream] = {}
        self.is_behind = False
        """Whether the last turn ended before the losses did."""
        self.reached_us = 0
        self.rebuilt = "from its first loss"
        if state is not None:
            self._resume(state)

    @property
    def name(self) -> str:
        """What table `monitors` calls it."""
        return f"losses/{self._outcome.name}"

    def advance(self, reached: Reached) -> list[Signal]:
        """Take what became known, a bounded number of losses; returns what they show."""
        signals: list[Signal] = []
        self.is_behind = True
        began = time.monotonic()
        while time.monotonic() - began < _AT_ONCE_S:
            losses, cursor = new_losses(
                self._clickhouse, self._model, self._outcome, self._kind, self._segments, self._cursor, reached
            )
            if cursor == self._cursor:
                self.is_behind = False
                break
            self._cursor = cursor
            if losses:
                self.reached_us = max(self.reached_us, max(loss.at_us for loss in losses))
                signals += self._take(losses)
        return signals

    def state(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {
            "watched": self._watched,
            "known_us": self._cursor.known_us,
            "written_ms": {str(partition): ms for partition, ms in self._cursor.written_ms.items()},
            "streams": [
                {"slice": list(slice_), "losses": stream.snapshot()} for slice_, stream in self._streams.items()
            ],
            "reached_us": self.reached_us,
        }

    @property
    def _watched(self) -> list[Any]:
        return as_json([self._detector, self._kind, self._segments, self._outcome])

    def _resume(self, state: Mapping[str, Any]) -> None:
        try:
            if state["watched"] != self._watched:
                self.rebuilt = "from its first loss: its rule, its segments or its detector changed"
                return
            streams = {
                (str(each["slice"][0]), str(each["slice"][1])): LossStream.restore(each["losses"])
                for each in state["streams"]
            }
            written_ms = {int(partition): int(ms) for partition, ms in state["written_ms"].items()}
            cursor, reached_us = Cursor(int(state["known_us"]), written_ms), int(state["reached_us"])
            rebuilt = f"from its state of {from_micros(reached_us):%Y-%m-%d %H:%M:%S} and the losses since"
        except DAMAGED as exc:
            self.rebuilt = f"from its first loss: its state can't be read ({exc!r})"
            return
        self._streams, self._cursor, self.reached_us, self.rebuilt = streams, cursor, reached_us, rebuilt

    def _take(self, losses: Sequence[Loss]) -> list[Signal]:
        values: dict[Slice, tuple[list[float], list[int]]] = {}
        for loss in losses:
            for slice_ in (WHOLE, *zip(self._segments, loss.segments, strict=True)):
                if slice_ == WHOLE or slice_[1]:
                    of, at_us = values.setdefault(slice_, ([], []))
                    of.append(loss.loss)
                    at_us.append(loss.at_us)
        signals: list[Signal] = []
        for slice_, (of, at_us) in values.items():
            stream = self._streams.get(slice_)
            if stream is None:
                if sum(1 for key, _ in self._streams if key == slice_[0]) >= MOST_VALUES:
                    continue
                stream = self._streams[slice_] = LossStream(self._detector)
            signals += [self._signal(slice_, stream.detector.name, found) for found in stream.take(of, at_us)]
        return signals

    def _signal(self, slice_: Slice, detector_name: str, found: Found) -> Signal:
        key, value = slice_
        since_us, found_us = found.since_us, found.found_us
        begin_us = since_us - _before_us(since_us, found_us)
        where = f" where {key} is {value}" if key else ""
        moved = (
            "" if found.expected is None or found.seen is None else f" from {found.expected:.4g} to {found.seen:.4g}"
        )
        kind = SignalKind.IMPROVEMENT if found.is_improvement else SignalKind.CONCEPT_DRIFT
        return Signal(
            signal_id=signal_id_of(self._model, kind, self._outcome.name, *slice_, detector_name, found_us),
            model=self._model,
            kind=kind,
            subject=SUBJECT,
            detector=detector_name,
            since=from_micros(since_us),
            found_at=from_micros(found_us),
            until=from_micros(found_us),
            score=found.score,
            message=f"The mean loss of {self._model} ({self._outcome.name}){where} went{moved} "
            f"since {from_micros(since_us):%Y-%m-%d %H:%M}",
            expected=found.expected,
            seen=found.seen,
            n=found.n,
            outcome=self._outcome.name,
            segment_key=key,
            segment=value,
            evidence=self._evidence(slice_, begin_us, since_us, found_us),
            examples=self._examples(slice_, since_us, found_us),
            query=f"SELECT toStartOfHour(at) AS hour, count() AS n, avg(loss) AS mean_loss "
            f"FROM {self._rows(begin_us)} WHERE {_within(slice_, found_us)} GROUP BY hour ORDER BY hour",
        )

    def _rows(self, since_us: int) -> str:
        return losses_as_rows(self._clickhouse.database, self._model, self._outcome, self._kind, since_us)

    def _evidence(self, slice_: Slice, begin_us: int, since_us: int, found_us: int) -> tuple[Shift, ...]:
        """Slices that explain most of it, by version and by the segments; means before and since."""
        keys = {"version": "toString(version)"} | {key: f"segments[{quote(key)}]" for key in self._segments}
        found: list[tuple[float, Shift]] = []
        for key, column in keys.items():
            if key == slice_[0]:
                continue
            rows = self._clickhouse.rows(
                f"SELECT {column} AS value, at >= {instant(since_us)} AS is_new, count(), sum(loss) "
                f"FROM {self._rows(begin_us)} WHERE {_within(slice_, found_us)} GROUP BY value, is_new "
                f"ORDER BY count() DESC, value LIMIT {2 * MOST_VALUES}"
            )
            sides: tuple[dict[str, Part], dict[str, Part]] = ({}, {})
            for value, is_new, n, total in rows:
                sides[is_new][value] = Part(n, total)
            for each in contributions(*sides):
                if each.before.n and each.since.n and len(sides[1]) > 1:
                    shift = Shift(f"{key} = {each.name}", each.before.mean, each.since.mean)
                    found.append((-abs(each.total), shift))
        return tuple(
            shift for _, shift in islice(sorted(found, key=lambda each: (each[0], each[1].name)), _MOST_EVIDENCE)
        )

    def _examples(self, slice_: Slice, since_us: int, found_us: int) -> tuple[str, ...]:
        rows = self._clickhouse.rows(
            f"SELECT prediction_id FROM {self._rows(since_us)} WHERE {_within(slice_, found_us)} "
            f"ORDER BY loss DESC, prediction_id LIMIT {_EXAMPLES}"
        )
        return tuple(prediction_id for (prediction_id,) in rows)


def _before_us(since_us: int, found_us: int) -> int:
    """How much of the time before a change is compared with it."""
    return max(_BEFORE * (found_us - since_us), _LEAST_BEFORE_US)


def _within(slice_: Slice, end_us: int) -> str:
    key, value = slice_
    of_slice = f" AND segments[{quote(key)}] = {quote(value)}" if key else ""
    return f"at <= {instant(end_us)}{of_slice}"
