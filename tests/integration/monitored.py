"""Rows as workers store them, without workers: feedback by flushes of several partitions, and what the ledger says."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.stream_processors.monitor.reached import Reached
from loopwatch.stream_processors.records import micros_of
from msgspec import Struct

from tests.databases import insert_rows

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
ACTIONS, PREDICTIONS = "t.actions", "t.predictions"
_TYPES = {
    "segments": pa.map_(pa.string(), pa.string()), "label": pa.string(), "action_id": pa.string(),
    "prediction": pa.string(), "prediction_value": pa.float64(), "score": pa.float64(), "label_value": pa.float64(),
    "ts": pa.timestamp("us", "UTC"), "prediction_ts": pa.timestamp("us", "UTC"), "revision": pa.uint32(),
    "action_ts": pa.timestamp("us", "UTC"), "watermark": pa.timestamp("us", "UTC"),
    "n_actions": pa.uint32(), "_partition": pa.uint32(), "_ingested_at": pa.timestamp("ms", "UTC"),
}  # fmt: skip


class Answer(Struct, frozen=True):
    """One row of feedback; times in seconds since `BEGIN`, `acted` None of a timeout."""

    prediction_id: str
    made: float
    acted: float | None
    label: float | None
    predicted: float = 1.0
    n_actions: int = 1
    was_expired: bool = False
    partition: int = 0
    segments: tuple[tuple[str, str], ...] = ()
    action_id: str = "a"
    recomputed: bool = False

    def late(self) -> "Answer":
        """The same, when its window had been closed without one."""
        return msgspec.structs.replace(self, was_expired=True)

    @property
    def revision(self) -> int:
        return 2 * self.n_actions + (self.was_expired or self.acted is None)

    def row(self, model: str, outcome: str, ingested: datetime) -> dict[str, Any]:
        expired = self.acted is None
        topic = PREDICTIONS if expired else ACTIONS
        return {
            "model": model, "outcome": outcome, "prediction_id": self.prediction_id,
            "status": "expired" if expired else "revised" if self.was_expired else "matched",
            "label": None if self.label is None else f"{self.label:g}", "label_value": self.label,
            "action_id": None if expired else self.action_id, "n_actions": self.n_actions,
            "prediction": f"{self.predicted:g}", "prediction_value": self.predicted, "score": None, "version": "v1",
            "segments": self.segments, "prediction_ts": at(self.made),
            "action_ts": None if self.acted is None else at(self.acted), "revision": self.revision,
            "_topic": "" if self.recomputed else topic, "_partition": self.partition, "_ingested_at": ingested,
        }  # fmt: skip


def at(seconds: float) -> datetime:
    """So many seconds after the beginning."""
    return BEGIN + timedelta(seconds=seconds)


class Workers:
    """Writes flushes of one model's partitions, a millisecond apart or more."""

    def __init__(
        self, clickhouse: ClickHouse, model: str, outcome: str = "answer", *, predictions: bool = True
    ) -> None:
        self._clickhouse = clickhouse
        self._model = model
        self._outcome = outcome
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._predictions = predictions
        self._stored = set[str]()
        self._acted = set[tuple[str, str]]()
        self._written_ms: dict[int, int] = {}
        self._settled_us: dict[int, int] = {}

    def store(self, answers: Sequence[Answer]) -> datetime:
        """The rows of a flush; returns the instant that they bear. Without `commit` it was torn."""
        self._now += timedelta(milliseconds=7)
        if answers:
            new = {answer.prediction_id: answer for answer in answers if answer.prediction_id not in self._stored}
            self._stored |= new.keys()
            if new and self._predictions:
                columns = {
                    "model": [self._model] * len(new), "prediction_id": list(new),
                    "ts": [at(each.made) for each in new.values()],
                    "_partition": [each.partition for each in new.values()], "_ingested_at": [self._now] * len(new),
                }  # fmt: skip
                self._insert("predictions", columns)
            self._act([answer for answer in answers if answer.acted is not None])
            rows = [answer.row(self._model, self._outcome, self._now) for answer in answers]
            self._insert("feedback", {name: [row[name] for row in rows] for name in rows[0]})
        return self._now

    def _act(self, answers: Sequence[Answer]) -> None:
        """The deciding action of each, as far as it is not there."""
        new = {(each.prediction_id, each.action_id): each for each in answers}
        new = {key: each for key, each in new.items() if key not in self._acted}
        self._acted |= new.keys()
        if new:
            columns = {
                "prediction_id": [id_ for id_, _ in new], "action_id": [id_ for _, id_ in new],
                "name": ["label"] * len(new), "ts": [at(each.acted or 0.0) for each in new.values()],
                "model": [self._model] * len(new), "class": ["matched"] * len(new),
                "_partition": [each.partition for each in new.values()], "_ingested_at": [self._now] * len(new),
            }  # fmt: skip
            self._insert("actions", columns)

    def commit(self, partition: int, watermark: float, written: datetime | None = None) -> None:
        """The ledger row that ends a flush: timeouts due by the watermark (seconds since `BEGIN`) are stored."""
        written = written or self.store(())
        self._written_ms[partition] = int(written.timestamp() * 1000)
        self._settled_us[partition] = micros_of(at(watermark))
        columns = {
            "_topic": [ACTIONS], "_topic_id": ["life"], "_partition": [partition], "watermark": [at(watermark)],
            "class": ["checkpoint"], "_ingested_at": [written],
        }  # fmt: skip
        self._insert("ledger", columns)

    def rest(self, seconds: float) -> None:
        """Let so much time go by."""
        self._now += timedelta(seconds=seconds)

    def reached(self) -> Reached:
        """What the ledger would say if it were of this model alone."""
        return Reached(dict(self._written_ms), dict(self._settled_us))

    def _insert(self, table: str, columns: dict[str, list[Any]]) -> None:
        arrays = {name: pa.array(values, _TYPES.get(name)) for name, values in columns.items()}
        insert_rows(self._clickhouse, table, pa.table(arrays))
