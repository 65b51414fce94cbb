"""What is watched without configuration: rules for every model, and which alerts are the cause of others."""

from datetime import timedelta

from .alerting import (
    Alerting,
    Bound,
    Condition,
    Expected,
    Ill,
    Inhibition,
    Match,
    Matcher,
    NoData,
    OfDeadLetters,
    OfGap,
    OfLabelDelay,
    OfLedger,
    OfPipeline,
    OfSignals,
    Rule,
)
from .alerts import ALERTNAME, CATEGORY, MODEL, Category, Severity
from .comparison import Comparison
from .signals import SignalKind

_MINUTE = timedelta(minutes=1)


def _rule(name: str, condition: Condition, severity: Severity, summary: str, held: int = 0, kept: int = 5) -> Rule:
    """`held` and `kept` are minutes: of `for` and of `keep_firing_for`."""
    return Rule(
        name=name,
        condition=condition,
        held_for=held * _MINUTE,
        keep_firing_for=kept * _MINUTE,
        severity=severity,
        annotations={"summary": summary, "description": "{{ message }}. Look on with: {{ command }}"},
    )


def _of_signals(kind: SignalKind, min_score: float = 0.0) -> OfSignals:
    return OfSignals((kind,), min_score=min_score)


DEFAULT_RULES = (
    _rule(
        "IngestionLag", OfPipeline(Ill.LAG), Severity.CRITICAL,
        "events wait in Kafka for longer than two minutes: nothing here is up to date", held=1,
    ),
    _rule(
        "PartitionStuck", OfPipeline(Ill.STUCK, after=_MINUTE), Severity.CRITICAL,
        "partitions get no further: their part of all models is missing",
    ),
    _rule(
        "WorkerErrors", OfPipeline(Ill.ERRORS, after=15 * _MINUTE), Severity.WARNING,
        "evaluation or detectors fail", kept=15,
    ),
    _rule(
        "LedgerImbalance", OfLedger(), Severity.CRITICAL,
        "the ledger doesn't balance: events are lost or doubled", held=5,
    ),
    _rule(
        "DeadLetters", OfDeadLetters(), Severity.WARNING, "{{ value | percent }} of what came can't be read", kept=15
    ),
    _rule(
        "PredictionsStopped", NoData(Expected.PREDICTIONS), Severity.CRITICAL,
        "{{ model }} makes no predictions any more",
    ),
    _rule("LabelsStopped", NoData(Expected.LABELS), Severity.WARNING, "no labels come for {{ model }} any more"),
    _rule("LabelsLate", OfLabelDelay(), Severity.WARNING, "labels of {{ model }} come late", held=30, kept=60),
    _rule(
        "DataDrift", _of_signals(SignalKind.DATA_DRIFT, 0.4), Severity.INFO,
        "{{ labels.subject }} of {{ model }} drifted", kept=60,
    ),
    _rule(
        "PredictionDrift", _of_signals(SignalKind.PREDICTION_DRIFT, 0.4), Severity.WARNING,
        "{{ labels.subject }} of {{ model }} drifted: the model says something else than it used to", kept=60,
    ),
    _rule(
        "ConceptDrift", _of_signals(SignalKind.CONCEPT_DRIFT), Severity.WARNING,
        "{{ model }} errs otherwise than it used to", kept=60,
    ),
    _rule(
        "Anomaly", _of_signals(SignalKind.ANOMALY), Severity.WARNING,
        "{{ labels.subject }} of {{ model }} is odd", kept=30,
    ),
    _rule(
        "EstimateGap", OfGap("accuracy", Bound(Comparison.LESS, -0.05), min_n=1000), Severity.WARNING,
        "{{ model }} is worse than its scores promised: {{ value | percent }} in accuracy", kept=60,
    ),
)  # fmt: skip


def _is(label: str, value: str) -> Matcher:
    return Matcher(label, Match.IS, value)


def _like(label: str, value: str) -> Matcher:
    return Matcher(label, Match.LIKE, value)


_FOLLOWS = "|".join((Category.DRIFT, Category.ANOMALY, Category.QUALITY, Category.BUSINESS))
_HAS_MODEL = Matcher(MODEL, Match.IS_NOT, "")

DEFAULT_INHIBITIONS = (
    # What is behind, or missing in part, shows in everything that is counted.
    Inhibition(
        by=(_like(ALERTNAME, "IngestionLag|PartitionStuck"),),
        what=(_like(CATEGORY, f"{Category.DATA}|{Category.COST}|{_FOLLOWS}"),),
        equal=(MODEL,),
    ),
    # What a model is sent no longer, or can't be read.
    Inhibition(
        by=(_like(ALERTNAME, "PredictionsStopped|LabelsStopped|DeadLetters"), _HAS_MODEL),
        what=(_like(CATEGORY, _FOLLOWS),),
        equal=(MODEL,),
    ),
    # A producer that leaves a feature out.
    Inhibition(
        by=(_is(CATEGORY, Category.ANOMALY), _like("subject", "missing share of .*")),
        what=(_like(CATEGORY, f"{Category.DRIFT}|{Category.QUALITY}|{Category.BUSINESS}"),),
        equal=(MODEL,),
    ),
    # The whole says it for its slices, also for those in which it takes longer until nothing is seen of it.
    Inhibition(
        by=(_is("segment_key", ""), _HAS_MODEL),
        what=(Matcher("segment_key", Match.IS_NOT, ""),),
        equal=(ALERTNAME, MODEL, "outcome", "metric", "subject"),
        lasting=timedelta(days=1),
    ),
)

DEFAULT_ALERTING = Alerting(rules=DEFAULT_RULES, inhibitions=DEFAULT_INHIBITIONS)
