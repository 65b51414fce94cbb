"""What detectors found and see still: of the tables `signals` and `monitors`."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ....infra.clickhouse import ClickHouse, quoted
from ....schemas.alerting import OfSignals, Rule
from ....schemas.alerts import Category, Details, Finding
from ....schemas.signals import Signal, SignalKind
from ....schemas.windows import Window
from ...lookups import instant
from ...monitor.signals import read_signals
from ...records import from_micros, micros_of
from .found import command, finding, is_about, minute

MOST = 5000
"""Signals that are looked at, the strongest."""

# A change of concept is found once, and holds from then on: for so long it is news.
_CONCEPT_IS_NEWS = timedelta(hours=1)
# Windows that may lie between the last one that shows it and what the detector has reached.
_WINDOWS = 2
# A signal is seen again within so long of the wall clock, or its model stands still.
_STALE = timedelta(days=1)

_MONITORS = {
    SignalKind.DATA_DRIFT: "drift",
    SignalKind.PREDICTION_DRIFT: "drift",
    SignalKind.CONCEPT_DRIFT: "losses",
    SignalKind.ANOMALY: "series",
}


def find_signals(clickhouse: ClickHouse, rules: Sequence[Rule], now: datetime) -> Iterator[Finding]:
    """What holds now, by event time: as far as the detector has come."""
    kinds = sorted({kind.value for rule in rules for kind in _condition(rule).kinds})
    reached = _reached(clickhouse)
    seen_since = f"_detected_at > {instant(micros_of(now - _STALE))} AND kind IN ({quoted(kinds)})"
    for signal in read_signals(clickhouse, seen_since, f"ORDER BY score DESC, signal_id LIMIT {MOST}"):
        is_concept = signal.kind is SignalKind.CONCEPT_DRIFT
        lasting = _CONCEPT_IS_NEWS if is_concept else _WINDOWS * timedelta(seconds=signal.window_s)
        at = reached.get((signal.model, _MONITORS[signal.kind], signal.window_s), signal.until)
        if at - signal.until <= lasting:
            yield from (_finding(rule, signal) for rule in rules if _is_asked(rule, signal))


def _condition(rule: Rule) -> OfSignals:
    assert isinstance(rule.condition, OfSignals)
    return rule.condition


def _is_asked(rule: Rule, signal: Signal) -> bool:
    condition = _condition(rule)
    return (
        is_about(rule, signal.model)
        and signal.kind in condition.kinds
        and (not condition.subjects or signal.subject in condition.subjects)
        and signal.score >= condition.min_score
        and (condition.slices or not signal.segment_key)
    )


def _reached(clickhouse: ClickHouse) -> dict[tuple[str, str, int], datetime]:
    """How far detectors have come, by model, kind of monitor and seconds of its steps (0 where it has none)."""
    reached: dict[tuple[str, str, int], datetime] = {}
    for model, monitor, reached_us in clickhouse.rows(
        f"SELECT model, monitor, reached_us FROM {clickhouse.database}.monitors FINAL WHERE reached_us > 0"
    ):
        of, _, rest = monitor.partition("/")
        steps = rest.partition("/")[0]
        seconds = 0 if of == "losses" else Window.parse(steps).size_s
        key = (model, of, seconds)
        at = from_micros(reached_us)
        reached[key] = max(reached.get(key, at), at)
    return reached


def _finding(rule: Rule, signal: Signal) -> Finding:
    """The message is made here: that of the signal may name values of features."""
    where = f" where {signal.segment_key} is {signal.segment}" if signal.segment_key else ""
    whose = f"{signal.subject} of {signal.model}{where}"
    is_known = signal.expected is not None and signal.seen is not None
    moved = f" from {signal.expected:.4g} to {signal.seen:.4g}" if is_known else ""
    match signal.kind:
        case SignalKind.CONCEPT_DRIFT:
            what = f"the mean loss of {signal.model} ({signal.outcome}){where} went{moved or ' elsewhere'}"
        case SignalKind.ANOMALY:
            what = f"{whose} is odd" + (f": {signal.seen:.4g} where {signal.expected:.4g} is usual" if is_known else "")
        case _:
            what = f"{whose} drifted{moved}"
    return finding(
        rule,
        Category.ANOMALY if signal.kind is SignalKind.ANOMALY else Category.DRIFT,
        Details(
            f"{what} since {minute(signal.since)}, strength {signal.score:.2f}, {signal.n:,} values",
            value=signal.seen, expected=signal.expected, n=signal.n, since=signal.since, until=signal.until,
            shifts=signal.evidence, examples=signal.examples, query=signal.query,
            command=command("signals", "--id", signal.signal_id[:12]), signal_id=signal.signal_id,
        ),
        model=signal.model, outcome=signal.outcome, subject=signal.subject, segment_key=signal.segment_key,
        segment=signal.segment,
    )  # fmt: skip
