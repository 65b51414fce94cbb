"""The ledger, reconciled: what the workers counted, held against the rows that ClickHouse has.

Table `ledger` says what was received, and how much of it was invalid, a duplicate or accepted. Everything else is
counted from the rows, without it: `predictions`, `actions_current`, `feedback_current`, `dead_letters`.

It may be read while workers write. A flush writes its rows first and its ledger block last, so only rows on offsets
that the ledger covers are counted. What is so old that its rows may have been dropped is left out on both sides.
"""

from collections import defaultdict
from collections.abc import Iterator

from ..schemas.ledger import ActionClass, ActionLine, LedgerReport, ModelPredictions, OutcomeCounts, PredictionClass
from ..schemas.outcomes import DEFAULT_OUTCOME, LoopwatchConfig
from .clickhouse import ClickHouse, quote
from .ledger_entries import Entries, read_entries

_TRIES = 3
# Sorting and joining spill to disk instead of failing where memory is short.
_SPILL = "SETTINGS join_algorithm = 'grace_hash', optimize_aggregation_in_order = 1"


def read_ledger(clickhouse: ClickHouse, config: LoopwatchConfig | None, *, ttl_days: int = 400) -> LedgerReport:
    """Count every class of every model, and compare.

    Args:
        config: the models' outcomes as the workers have them; None takes the outcomes that feedback names.
        ttl_days: after so many days rows may be gone (`Settings.ttl_days`).

    Raises:
        ServiceUnavailable: ClickHouse doesn't answer.
        DatabaseError: it refuses a query, because a table is missing for example.
    """
    report = _Reading(clickhouse, config, ttl_days).report()
    for _ in range(_TRIES - 1):
        # Two queries can disagree about a worker that writes meanwhile; what is found twice alike is no such thing.
        if report.balanced:
            break
        before, report = report.imbalances, _Reading(clickhouse, config, ttl_days).report()
        if report.imbalances == before:
            break
    return report


class _Reading:
    """One reading: the ledger's entries first, then the rows on the offsets that they cover."""

    def __init__(self, clickhouse: ClickHouse, config: LoopwatchConfig | None, ttl_days: int) -> None:
        self._clickhouse = clickhouse
        self._database = clickhouse.database
        self._config = config
        self._entries: Entries = read_entries(clickhouse, ttl_days)

    def report(self) -> LedgerReport:
        predictions, actions = self._entries.predictions, self._entries.actions
        rows = self._prediction_rows()
        outcomes = self._outcomes({*predictions.models_in(*PredictionClass), *rows} - {""})
        states = self._outcome_states(outcomes)
        classes = self._action_classes()
        prediction_counts = {
            model: ModelPredictions(
                received=predictions.of(model, "received"),
                invalid=predictions.of(model, PredictionClass.INVALID),
                duplicate=predictions.of(model, PredictionClass.DUPLICATE),
                accepted=predictions.of(model, PredictionClass.ACCEPTED),
                forwarded=predictions.of(model, PredictionClass.FORWARDED),
                outcomes={
                    outcome: states.get((model, outcome), OutcomeCounts()) for outcome in outcomes.get(model, ())
                },
            )
            for model in sorted({*predictions.models_in("received", *PredictionClass), *rows})
        }
        action_counts = {
            model: self._action_counts(model, classes)
            for model in sorted({*actions.models_in(*ActionClass), *(key[0] for key in classes)})
        }
        further = [
            *self._row_imbalances(rows),
            *self._action_imbalance(action_counts),
            *self._entries.imbalances,
            *self._doubled("predictions", "prediction_id"),
            *self._doubled("actions", "prediction_id, action_id"),
            *self._unattached(),
        ]
        report = LedgerReport.from_counts(
            prediction_counts, action_counts, further=further, notes=self._notes(outcomes)
        )
        report.actions.received = actions.total("received")
        return report

    def _prediction_rows(self) -> dict[str, int]:
        return {
            model: int(n)
            for model, n in self._rows(
                f"SELECT model, count() FROM {self._covered('predictions', 'model', actions=False)} GROUP BY model"
            )
        }

    def _outcomes(self, models: set[str]) -> dict[str, tuple[str, ...]]:
        """Names of the outcomes of each model, in their order."""
        if self._config is not None:
            config = self._config
            return {model: tuple(o.name for o in config.for_model(model).outcomes) for model in models}
        named = self._feedback_outcomes()
        return {model: tuple(sorted(named.get(model, {DEFAULT_OUTCOME.name}))) for model in models}

    def _feedback_outcomes(self) -> dict[str, set[str]]:
        named: dict[str, set[str]] = defaultdict(set)
        for model, outcome in self._rows(f"SELECT DISTINCT model, outcome FROM {self._database}.feedback"):
            named[model].add(outcome)
        return named

    def _outcome_states(self, outcomes: dict[str, tuple[str, ...]]) -> dict[tuple[str, str], OutcomeCounts]:
        """Covered predictions by what feedback says of each of their outcomes; said twice, it counts twice."""
        pairs = ", ".join(f"({quote(m)}, {quote(o)})" for m, names in outcomes.items() for o in names)
        if not pairs:
            return {}
        rows = self._rows(
            "SELECT p.model, p.outcome, countIf(f.status = ''), countIf(f.status IN ('matched', 'revised')), "
            "countIf(f.status = 'expired') "
            "FROM (SELECT r.model AS model, o.outcome AS outcome, r.prediction_id AS prediction_id "
            f"FROM {self._covered('predictions', 'model, prediction_id', actions=False)} AS r "
            f"INNER JOIN values('model String, outcome String', {pairs}) AS o ON r.model = o.model) AS p "
            f"LEFT JOIN (SELECT model, outcome, prediction_id, status FROM {self._database}.feedback_current) AS f "
            "ON p.prediction_id = f.prediction_id AND p.outcome = f.outcome AND p.model = f.model "
            f"GROUP BY p.model, p.outcome {_SPILL}"
        )
        return {(model, outcome): OutcomeCounts(*map(int, counts)) for model, outcome, *counts in rows}

    def _action_classes(self) -> dict[tuple[str, str, str], int]:
        """Covered actions by model, class and reason, as they are now."""
        columns = "model, class, reason"
        rows = self._rows(
            f"SELECT {columns}, count() FROM {self._covered('actions_current', columns, actions=True)} "
            f"GROUP BY {columns} {_SPILL}"
        )
        return {(model, action_class, reason): int(n) for model, action_class, reason, n in rows}

    def _action_counts(self, model: str, classes: dict[tuple[str, str, str], int]) -> ActionLine:
        """Actions name no model: received for one is what was counted for it. The total is the ledger's own."""
        ledger = self._entries.actions
        of_class: dict[str, int] = defaultdict(int)
        ignored: dict[str, int] = {}
        for (of_model, action_class, reason), n in classes.items():
            if of_model != model:
                continue
            if action_class == ActionClass.IGNORED:
                ignored[reason] = n
            else:
                of_class[action_class] += n
        invalid, duplicate = ledger.of(model, ActionClass.INVALID), ledger.of(model, ActionClass.DUPLICATE)
        return ActionLine(
            received=invalid + duplicate + sum(of_class.values()) + sum(ignored.values()),
            invalid=invalid,
            duplicate=duplicate,
            matched=of_class[ActionClass.MATCHED],
            late_revised=of_class[ActionClass.LATE_REVISED],
            ignored_reasons=ignored,
            held=of_class[ActionClass.HELD],
            orphan=of_class[ActionClass.ORPHAN],
            forwarded=ledger.of(model, ActionClass.FORWARDED),
        )

    def _row_imbalances(self, prediction_rows: dict[str, int]) -> Iterator[str]:
        ledger = self._entries.predictions
        for model in sorted({*ledger.models_in(*PredictionClass), *prediction_rows}):
            accepted, stored = ledger.of(model, PredictionClass.ACCEPTED), prediction_rows.get(model, 0)
            if accepted != stored:
                who = f"predictions of {model or 'unknown models'}"
                yield f"{who}: accepted {accepted}, but table predictions has {stored}"
        for counts, of_actions in ((self._entries.predictions, False), (self._entries.actions, True)):
            ((letters,),) = self._rows(f"SELECT count() FROM {self._covered('dead_letters', '1', actions=of_actions)}")
            if (invalid := counts.total("invalid")) != letters:
                who = "actions" if of_actions else "predictions"
                yield f"{who}: invalid {invalid}, but table dead_letters has {letters}"

    def _action_imbalance(self, counts: dict[str, ActionLine]) -> Iterator[str]:
        received, classed = self._entries.actions.total("received"), sum(each.received for each in counts.values())
        if received != classed:
            yield f"actions: received {received}, but all their classes together are {classed}"

    def _doubled(self, table: str, key: str) -> Iterator[str]:
        ((n,),) = self._rows(
            f"SELECT count() FROM (SELECT {key} FROM {self._database}.{table} GROUP BY {key} HAVING count() > 1) "
            f"{_SPILL}"
        )
        if n:
            yield f"table {table}: {n} keys ({key}) have more than one row"

    def _unattached(self) -> Iterator[str]:
        """Rows that answer something that isn't there. Not asked once rows may have been dropped for their age."""
        if self._entries.some_are_too_old:
            return
        ((n,),) = self._rows(
            f"SELECT count() FROM {self._database}.feedback_current AS f "
            f"LEFT ANTI JOIN {self._database}.predictions AS p "
            f"ON f.prediction_id = p.prediction_id AND f.model = p.model {_SPILL}"
        )
        if n:
            yield f"table feedback: {n} rows whose prediction is not in predictions"
        ((n,),) = self._rows(
            f"SELECT count() FROM {self._database}.action_status AS s "
            f"LEFT ANTI JOIN {self._database}.actions AS a "
            f"ON s.prediction_id = a.prediction_id AND s.action_id = a.action_id {_SPILL}"
        )
        if n:
            yield f"table action_status: {n} rows whose action is not in actions"

    def _notes(self, outcomes: dict[str, tuple[str, ...]]) -> Iterator[str]:
        if self._entries.some_are_too_old:
            yield "what is older than the tables' time to live is not counted"
        if self._config is not None:
            for model, named in sorted(self._feedback_outcomes().items()):
                if retired := sorted(named - set(outcomes.get(model, ()))):
                    yield f"{model}: feedback has outcomes that the configuration does not name: {', '.join(retired)}"

    def _covered(self, table: str, columns: str, *, actions: bool) -> str:
        """A subquery of the rows on the offsets that the ledger covers."""
        stretches = self._entries.actions.stretches if actions else self._entries.predictions.stretches
        if not stretches:
            return f"(SELECT {columns} FROM {self._database}.{table} WHERE 0)"
        places = ", ".join(
            f"({quote(s.topic)}, {quote(s.topic_id)}, {s.partition}, {s.first}, {s.last})" for s in stretches
        )
        structure = "topic String, life String, partition UInt32, first UInt64, last UInt64"
        return (
            f"(SELECT {columns} FROM {self._database}.{table} AS t INNER JOIN values('{structure}', {places}) AS c "
            "ON t._topic = c.topic AND t._topic_id = c.life AND t._partition = c.partition "
            "WHERE t._offset >= c.first AND t._offset <= c.last)"
        )

    def _rows(self, sql: str) -> list[tuple]:
        return [tuple(row) for row in self._clickhouse.rows(sql)]
