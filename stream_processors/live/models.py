"""The models that a worker evaluates: what their metrics are, and how far their evaluation has come."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from ...infra.clickhouse import ClickHouse, quoted
from ...infra.logs import logger
from ...schemas.errors import LoopwatchError
from ...schemas.outcomes import Kind, LoopwatchConfig, ModelConfig, Outcome
from ...schemas.partitioner import partition_of
from ..evaluate.kinds import Evidence, Outcomes, evidence_of, kind_by
from ..lookups import instant
from ..records import micros_of
from .news import EVER, News
from .series import KPIS, definition_of
from .stored import Progress, read_progress, write_progress

log = logger(__name__)

_WRITTEN_EVERY = timedelta(minutes=1)


class Model(Struct):
    """What is known of one: `latest` is when its last row was written, `newest_s` the latest second of event time.

    `progress` is what another worker may go on from. Windows in which rows written before `read_until` changed are
    evaluated or noted.
    """

    config: ModelConfig
    progress: Progress | None = None
    read_until: datetime | None = None
    latest: datetime = EVER
    newest_s: float = 0.0
    written: datetime = EVER
    evidence: dict[str, Evidence] = {}
    is_met: bool = False
    """Whether `evidence` is of all of its labels."""
    definitions: dict[str, tuple[Kind | None, int]] = {}
    """By outcome that can be evaluated: its kind, and a fingerprint of its metrics."""

    @property
    def together(self) -> int:
        """A fingerprint of all of its metrics."""
        return sum(definition for _, definition in self.definitions.values()) % (1 << 64)

    def outcome(self, name: str) -> Outcome:
        """The outcome of a series; that of indicators has nothing but its name."""
        return next((each for each in self.config.outcomes if each.name == name), Outcome(KPIS))


class Models:
    """By name, those of the partitions that the worker owns."""

    def __init__(self, clickhouse: ClickHouse, config: LoopwatchConfig, partitions: int) -> None:
        self._clickhouse = clickhouse
        self._config = config
        self._partitions = partitions
        self._owned: frozenset[int] = frozenset()
        self._ambiguous: set[Outcomes] = set()
        self._models: dict[str, Model] = {}

    def __getitem__(self, name: str) -> Model:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        # Detectors ask from a thread of their own.
        return iter(tuple(self._models))

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def home(self, model: str) -> int:
        """The partition whose owner evaluates the model."""
        return partition_of(model, self._partitions)

    def own(self, partitions: frozenset[int]) -> list[str]:
        """Take those of these partitions that were evaluated before; returns the names of those that are lost."""
        lost = [name for name in self._models if self.home(name) not in partitions]
        for name in lost:
            del self._models[name]
        if partitions != self._owned:
            self._owned = partitions
            for name, progress in read_progress(self._clickhouse).items():
                if self.home(name) in partitions and name not in self._models:
                    self._models[name] = Model(self._config.for_model(name), progress, progress.until)
        return lost

    def read_until(self, now: datetime) -> datetime:
        """Of rows that were written before, all windows are evaluated or noted."""
        known = [model.read_until for model in self._models.values() if model.read_until is not None]
        return min(known, default=now)

    def meet(self, news: Mapping[str, News]) -> tuple[set[str], set[str]]:
        """Take note of what came; returns the models to be evaluated from the beginning, and those nothing came for."""
        for name in news.keys() - self._models.keys():
            self._models[name] = Model(self._config.for_model(name))
        self._learn_kinds(news)
        anew = {name for name, model in self._models.items() if self._is_new(model, changed=name in news)}
        quiet = {name for name, model in self._models.items() if name not in news or news[name].latest <= model.latest}
        for name, each in news.items():
            self._models[name].latest = max(self._models[name].latest, each.latest)
        return anew, quiet

    def note_progress(self, unread: Mapping[str, float], now: datetime) -> None:
        """Everything up to now is evaluated, but for models in `unread`: of those up to that instant."""
        changed: dict[str, Progress] = {}
        for name, model in self._models.items():
            until = datetime.fromtimestamp(unread[name], UTC) if name in unread else now
            before, model.progress, model.read_until = model.progress, Progress(model.together, until), now
            is_new = before is None or before.definition != model.progress.definition
            if is_new or now - model.written >= _WRITTEN_EVERY:
                changed[name], model.written = model.progress, now
        write_progress(self._clickhouse, changed, now)

    def _learn_kinds(self, news: Mapping[str, News]) -> None:
        """See what the labels of models look like whose kind nobody says: all of a new model, else what changed."""
        unsaid = {name: model for name, model in self._models.items() if model.config.kind is None}
        met = sorted(name for name in unsaid.keys() & news.keys() if unsaid[name].is_met)
        new = sorted(name for name, model in unsaid.items() if not model.is_met)
        found: dict[Outcomes, Evidence] = {}
        if met:
            since = min(news[name].since for name in met)
            written = f"_ingested_at >= {instant(micros_of(since))} AND model IN ({quoted(met)})"
            found |= evidence_of(self._clickhouse, written, "feedback")
        if new:
            found |= evidence_of(self._clickhouse, f"model IN ({quoted(new)})")
        for (name, outcome), evidence in found.items():
            seen = unsaid[name].evidence
            seen[outcome] = seen.get(outcome, Evidence()) | evidence
        for model in unsaid.values():
            model.is_met = True

    def _is_new(self, model: Model, *, changed: bool) -> bool:
        """Settle what the model's metrics are; whether they were never evaluated as such."""
        if not changed and model.definitions:
            return False
        for outcome in model.config.outcomes:
            kind = self._kind(model, outcome, model.evidence.get(outcome.name, Evidence()))
            if kind is not None:
                model.definitions[outcome.name] = kind, definition_of(model.config, outcome, kind)
        if model.config.kpis:
            model.definitions[KPIS] = None, definition_of(model.config, model.config.kpis)
        return model.progress is None or model.progress.definition != model.together

    def _kind(self, model: Model, outcome: Outcome, evidence: Evidence) -> Kind | None:
        if model.config.kind is not None:
            return model.config.kind
        try:
            return kind_by(evidence, model.config.name, outcome)
        except LoopwatchError as exc:
            if (key := (model.config.name, outcome.name)) not in self._ambiguous:
                log.warning("outcome is not evaluated", error=str(exc))
                self._ambiguous.add(key)
            model.definitions.pop(outcome.name, None)
            return None
