"""The oracle: what must be in ClickHouse once every window has closed, by the most obvious join there is."""

from collections import defaultdict
from typing import NamedTuple

from .stream import ActionTruth, Truth

DISORDER_US = 10_000_000
HOUR_US = 3_600_000_000


class OutcomeOf(NamedTuple):
    """An outcome of `loopwatch.yaml` beside this file, told once more. `name` "" takes any action."""

    outcome: str
    name: str
    window_us: int


OUTCOMES = {
    "shop": (OutcomeOf("click", "click", HOUR_US // 2), OutcomeOf("revenue", "purchase", 7 * 24 * HOUR_US)),
    "plain": (OutcomeOf("default", "", 24 * HOUR_US),),
}

Key = tuple[str, str, str]
"""Model, outcome, prediction_id."""


class Expected(NamedTuple):
    """A row of `feedback_current`; `answered` is false for an expired one."""

    answered: bool
    label: str | None
    label_value: float | None
    action_id: str | None


def expected_feedback(truth: Truth) -> dict[Key, Expected]:
    """The one row of each prediction and outcome."""
    by_prediction: dict[str, list[tuple[str, ActionTruth]]] = defaultdict(list)
    for (prediction_id, action_id), action in truth.actions.items():
        by_prediction[prediction_id].append((action_id, action))
    rows: dict[Key, Expected] = {}
    for prediction_id, prediction in truth.predictions.items():
        for rule in OUTCOMES[prediction.model]:
            counting = sorted(
                (action.ts_us, action_id, action.value)
                for action_id, action in by_prediction[prediction_id]
                if rule.name in ("", action.name) and -DISORDER_US <= action.ts_us - prediction.ts_us <= rule.window_us
            )
            rows[prediction.model, rule.outcome, prediction_id] = _row(rule.outcome, counting)
    return rows


def expected_classes(truth: Truth) -> dict[tuple[str, str], str]:
    """What becomes of each action: ``counted``, ``outside_window``, ``no_outcome`` or ``orphan``."""
    classes: dict[tuple[str, str], str] = {}
    for key, action in truth.actions.items():
        prediction = truth.predictions.get(key[0])
        if prediction is None:
            classes[key] = "orphan"
            continue
        named = [rule for rule in OUTCOMES[prediction.model] if rule.name in ("", action.name)]
        delay_us = action.ts_us - prediction.ts_us
        if any(-DISORDER_US <= delay_us <= rule.window_us for rule in named):
            classes[key] = "counted"
        else:
            classes[key] = "outside_window" if named else "no_outcome"
    return classes


def _row(outcome: str, counting: list[tuple[int, str, float | bool | None]]) -> Expected:
    """Label of the counting actions, in order of event time."""
    if outcome == "click":
        last = counting[-1][1] if counting else None
        return Expected(True, "positive", 1.0, last) if counting else Expected(False, "negative", 0.0, None)
    if not counting:
        return Expected(False, None, None, None)
    if outcome == "revenue":
        total = sum(round((value or 0.0) * 100) for _, _, value in counting) / 100
        return Expected(True, repr(total), total, counting[-1][1])
    value = counting[-1][2]
    if value is None or isinstance(value, bool):
        said = value is not False
        return Expected(True, str(said).lower(), float(said), counting[-1][1])
    return Expected(True, repr(value), value, counting[-1][1])
