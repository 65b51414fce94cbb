"""All rules, one turn: what they find, which of them could be evaluated, and why the others could not.

Rules of one kind share a query. One that fails is named, and its alerts stay as they are; ClickHouse being away is not
a rule's fault, and passes on.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from clickhouse_connect.driver.exceptions import ClickHouseError
from msgspec import Struct

from ....infra.clickhouse import ClickHouse
from ....infra.logs import logger
from ....infra.settings import Settings
from ....schemas.alerting import (
    NoData,
    OfBudget,
    OfDeadLetters,
    OfGap,
    OfLabelDelay,
    OfLedger,
    OfMetric,
    OfPipeline,
    OfQuery,
    OfSignals,
    Rule,
)
from ....schemas.alerts import Finding
from ....schemas.errors import LoopwatchError, ServiceUnavailable
from ....schemas.outcomes import LoopwatchConfig
from .budget import BudgetConditions
from .dead_letters import find_dead_letters
from .gap import find_gaps
from .label_delay import DelayConditions
from .ledger import LedgerCondition
from .metric import MetricConditions
from .no_data import SilenceConditions
from .pipeline import find_ills
from .query import find_rows
from .signal import find_signals

log = logger(__name__)

_LONGEST_ERROR = 300

Find = Callable[[Sequence[Rule], datetime], Iterable[Finding]]


class Evaluation(Struct, frozen=True):
    """What a turn came to."""

    findings: Sequence[Finding]
    evaluated: frozenset[str]
    """Names of rules that were evaluated."""
    errors: dict[str, str]
    """What went wrong, by rule."""


class Evaluator:
    """Evaluates the rules of a configuration. What it remembers is a cache."""

    def __init__(self, clickhouse: ClickHouse, config: LoopwatchConfig, settings: Settings) -> None:
        self._rules = config.alerting.rules
        topic, ledger = settings.topics.predictions, LedgerCondition(clickhouse, config, settings.ttl_days)
        self._kinds: dict[type, Find] = {
            OfMetric: MetricConditions(clickhouse).find,
            OfSignals: lambda rules, now: find_signals(clickhouse, rules, now),
            OfGap: lambda rules, now: find_gaps(clickhouse, rules, now),
            NoData: SilenceConditions(clickhouse).find,
            OfPipeline: lambda rules, _: find_ills(clickhouse, topic, rules),
            OfLedger: lambda rules, _: ledger.find(rules),
            OfDeadLetters: lambda rules, now: find_dead_letters(clickhouse, rules, now),
            OfLabelDelay: DelayConditions(clickhouse).find,
            OfBudget: BudgetConditions(clickhouse).find,
        }
        self._clickhouse = clickhouse

    def evaluate(self, now: datetime) -> Evaluation:
        """One turn.

        Raises:
            ServiceUnavailable: ClickHouse doesn't answer.
        """
        findings: list[Finding] = []
        errors: dict[str, str] = {}
        for kind, find in self._kinds.items():
            rules = [rule for rule in self._rules if type(rule.condition) is kind]
            if rules:
                self._one(rules, lambda find=find, rules=rules: find(rules, now), findings, errors)
        for rule in self._rules:
            if isinstance(rule.condition, OfQuery):
                self._one([rule], lambda rule=rule: find_rows(self._clickhouse, rule), findings, errors)
        evaluated = frozenset(rule.name for rule in self._rules if rule.name not in errors)
        return Evaluation(findings, evaluated, errors)

    @staticmethod
    def _one(
        rules: Sequence[Rule],
        find: Callable[[], Iterable[Finding]],
        findings: list[Finding],
        errors: dict[str, str],
    ) -> None:
        try:
            findings += list(find())
        except ServiceUnavailable:
            raise
        except (ClickHouseError, LoopwatchError) as exc:
            errors.update({rule.name: " ".join(str(exc).split())[:_LONGEST_ERROR] for rule in rules})
        except Exception as exc:
            log.exception("rules failed unexpectedly", exc, rules=[rule.name for rule in rules])
            errors.update({rule.name: f"{type(exc).__name__}: {exc}"[:_LONGEST_ERROR] for rule in rules})
