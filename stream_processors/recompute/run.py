"""Recomputing a model, portion by portion: read, derive, publish, store.

Each portion is published before its rows are stored: rows that are there say that it is done. A run that is killed is
started again, and does what is left. It claims no partition, and workers go on meanwhile: what it inserts has the key
and the revision that a worker's row of the same actions has, so the two are one row, and a worker that knows of more
actions has a higher revision.
"""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
from msgspec import Struct, field

from ...infra.clickhouse import ClickHouse
from ...infra.kafka_admin import TopicInfo, input_topics
from ...infra.settings import Settings
from ...schemas.errors import LoopwatchError
from ...schemas.outcomes import LoopwatchConfig
from ..join.rules import Rules
from ..lookups import Lookups
from ..rule_epochs import registered_rules
from ..sink import columns
from ..sink.fence import Fence
from ..sink.inserts import Inserter, token_of
from ..sink.publisher import Publisher
from ..sink.source import Source
from .derive import Derived, derive
from .reads import Reads, Selection, settled_watermarks_us

_ROWS_AT_ONCE = 20_000
_NO_TOPIC = TopicInfo("", "", 0, 0)

Progress = Callable[[int, int], None]
"""Told how many predictions are done, of how many."""


class Recomputed(Struct):
    """What a run did. `changed` counts rows that say something else than before, by outcome and status."""

    predictions: int = 0
    rows: int = 0
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    actions: int = 0
    """Actions whose class is another one now."""

    def add(self, predictions: int, derived: Derived) -> None:
        """Count a portion."""
        self.predictions += predictions
        self.rows += len(derived.rows)
        self.changed.update((row.outcome, str(row.status)) for row in derived.changed)
        self.actions += len(derived.settled)


def recompute(
    settings: Settings,
    config: LoopwatchConfig,
    selection: Selection,
    outcome: str | None = None,
    progress: Progress = lambda done, of: None,
) -> Recomputed:
    """Derive the feedback of the selected predictions again, for all outcomes of their model or one.

    Raises:
        ConfigError: workers run other rules of the model than `config` has.
        LoopwatchError: the model has no such outcome, or no prediction in that time.
        ServiceUnavailable: Kafka or ClickHouse doesn't answer; what was done until then stays.
    """
    names = [each.name for each in config.for_model(selection.model).outcomes]
    if outcome is not None and outcome not in names:
        raise LoopwatchError(f"outcome {outcome}: model {selection.model} has {', '.join(names)}")
    clickhouse = ClickHouse(settings)
    run = _Run(settings, config, selection, outcome, clickhouse)
    days = run.reads.days()
    total = sum(day.predictions for day in days)
    if not total:
        raise LoopwatchError(f"model {selection.model} has no prediction in that time")
    done = Recomputed()
    for day in days:
        for ids in run.reads.portions(day, max(1, _ROWS_AT_ONCE // len(names))):
            stored = run.lookups.find(ids, [])
            derived = derive(run.rules, run.watermarks_us, stored, run.reads.written(day, ids), outcome)
            run.write(derived)
            done.add(len(ids), derived)
            progress(done.predictions, total)
    clickhouse.close()
    return done


class _Run:
    """What a run works with: the same parts as a worker, without a partition of its own."""

    def __init__(
        self,
        settings: Settings,
        config: LoopwatchConfig,
        selection: Selection,
        outcome: str | None,
        clickhouse: ClickHouse,
    ) -> None:
        epochs = registered_rules(clickhouse, config, selection.model).epochs
        self.rules = Rules(config, epochs)
        self.lookups = Lookups(clickhouse, epochs)
        self.reads = Reads(clickhouse, selection)
        topics = input_topics(settings)
        self.watermarks_us = settled_watermarks_us(clickhouse, topics)
        self._name = f"recompute:{uuid.uuid4().hex}"
        self._inserter = Inserter(
            clickhouse,
            Fence(clickhouse, topics[0].name, self._name),
            give_up_after_s=settings.stuck_after_s,
            stop=threading.Event(),
        )
        self._publisher = Publisher(settings, give_up_after_s=settings.stuck_after_s)
        self._inserts = 0

    def write(self, derived: Derived) -> None:
        """Publish what changed, then store everything."""
        self._publisher.feedback(self._publisher.messages(derived.changed))
        self._publisher.flush()
        # Without a topic: no event caused these rows, and a worker that starts need not publish them again.
        source = Source(_NO_TOPIC, _NO_TOPIC, int(datetime.now(UTC).timestamp() * 1000))
        if derived.settled:
            self._insert("action_status", columns.action_status(derived.settled, source))
        if derived.rows:
            self._insert("feedback", columns.feedback(derived.rows, source))

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._inserts += 1
        self._inserter.insert(table, rows, token_of([self._name, str(self._inserts)]), ())
