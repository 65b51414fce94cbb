"""`OfSignals`: a detector found something, and sees it still."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ....schemas.alerting import OfSignals, Rule
from ....schemas.alerts import Category, Details, Finding
from ....schemas.signals import Signal, SignalKind
from ...monitor.look_on import command_of
from .wording import finding, is_meant, number

# The window after the last one has to be over before it is known that it goes on, and a single one that shows nothing
# ends nothing.
_WINDOWS = 2
_SLACK = timedelta(minutes=10)
# Losses are told once: so many times as long as it took to find out.
_LEAST, _MOST = timedelta(hours=1), timedelta(days=1)


def findings(rule: Rule, condition: OfSignals, signals: Sequence[tuple[Signal, datetime]]) -> Iterator[Finding]:
    """A finding a signal that goes on, the strongest first: several of the same labels are the first one."""
    for signal, watched_until in sorted(signals, key=lambda each: (-each[0].score, each[0].signal_id)):
        if (
            signal.kind in condition.kinds
            and is_meant(rule, signal.model)
            and (not condition.subjects or signal.subject in condition.subjects)
            and signal.score >= condition.min_score
            and (condition.slices or not signal.segment_key)
            and watched_until < goes_on_until(signal)
        ):
            yield _finding(rule, signal)


def goes_on_until(signal: Signal) -> datetime:
    """Event time up to which it counts as going on, unless it is seen again by then."""
    window = timedelta(seconds=signal.window_s) or min(max(signal.found_at - signal.since, _LEAST), _MOST)
    return signal.until + _WINDOWS * window + _SLACK


def longest_s(window_s: str) -> str:
    """SQL of seconds behind `until` by which each signal is over."""
    most = int(_MOST.total_seconds())
    return f"{_WINDOWS} * if({window_s} = 0, {most}, {window_s}) + {int(_SLACK.total_seconds())}"


def _without_values(signal: Signal) -> str:
    """What it says, but for a category that it names: who may see values sees the evidence."""
    for shift in signal.evidence[:1]:
        return signal.message.replace(f": {shift.name} most of all", "")
    return signal.message


def _is_odd(signal: Signal) -> bool:
    return signal.kind is SignalKind.ANOMALY


def _finding(rule: Rule, signal: Signal) -> Finding:
    # What an anomaly is made of are steps of a series; what drifts are predictions or labels.
    steps = f"{signal.n:,} × {number(signal.window_s / 60)} min"
    of = steps if _is_odd(signal) and signal.window_s else f"n = {signal.n:,}"
    details = Details(
        message=f"{_without_values(signal)} ({of}, strength {signal.score:.2f} of 1)",
        value=signal.seen,
        expected=signal.expected,
        n=signal.n,
        since=signal.since,
        until=signal.until,
        shifts=signal.evidence,
        examples=signal.examples,
        query=signal.query,
        command=command_of(signal),
        signal_id=signal.signal_id,
    )
    category = Category.ANOMALY if _is_odd(signal) else Category.DRIFT
    return finding(
        rule, category, details, model=signal.model, kind=signal.kind.value, subject=signal.subject,
        outcome=signal.outcome, segment_key=signal.segment_key, segment=signal.segment,
    )  # fmt: skip
