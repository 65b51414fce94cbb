"""The reference join: twenty obvious lines over everything that was sent, without a stream, a clock or a memory."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from loopwatch.schemas.events import Action, Prediction, Scalar
from loopwatch.schemas.outcomes import Combine, LabelRule, LoopwatchConfig, OnTimeout, Outcome

Row = tuple[str, str | None, float | None, str | None, int]
"""Status, label, label_value, action_id, n_actions."""


class Expected(NamedTuple):
    """What must be true in the end, when every window has closed."""

    feedback: dict[tuple[str, str, str], Row]
    """By model, outcome and prediction id."""
    actions: dict[tuple[str, str], tuple[str, str, str]]
    """Class, reason and model by prediction id and action id."""
    predictions: Counter[tuple[str, str]]
    """Number by model and class."""
    action_duplicates: int


def reference_join(config: LoopwatchConfig, predictions: Sequence[Prediction], actions: Sequence[Action]) -> Expected:
    """Join everything that was sent, duplicates included, in any order."""
    first = {each.prediction_id: each for each in reversed(predictions)}
    acted = {(each.prediction_id, each.action_id): each for each in reversed(actions)}
    expected = Expected({}, {}, Counter(), len(actions) - len(acted))
    for prediction_id, prediction in first.items():
        for outcome in config.for_model(prediction.model).outcomes:
            counting = [
                each
                for (of, _), each in acted.items()
                if of == prediction_id and _counts(config, outcome, prediction, each)
            ]
            expected.feedback[prediction.model, outcome.name, prediction_id] = _row(outcome, counting)
    for key, action in acted.items():
        prediction = first.get(key[0])
        if prediction is None:
            expected.actions[key] = ("orphan", "", "")
            continue
        outcomes = config.for_model(prediction.model).outcomes
        if any(_counts(config, outcome, prediction, action) for outcome in outcomes):
            expected.actions[key] = ("matched", "", prediction.model)
        else:
            named = any(outcome.names(action.name) for outcome in outcomes)
            expected.actions[key] = ("ignored", "outside_window" if named else "no_outcome", prediction.model)
    expected.predictions.update((each.model, "received") for each in predictions)
    expected.predictions.update((each.model, "accepted") for each in first.values())
    return expected


def _counts(config: LoopwatchConfig, outcome: Outcome, prediction: Prediction, action: Action) -> bool:
    delay = action.ts - prediction.ts
    return outcome.names(action.name) and -config.defaults.disorder <= delay <= outcome.window


def _row(outcome: Outcome, counting: Iterable[Action]) -> Row:
    ordered = sorted(counting, key=lambda each: (each.ts, each.action_id))
    if not ordered:
        label = ("negative", 0.0) if outcome.on_timeout is OnTimeout.NEGATIVE else (None, None)
        return ("expired", *label, None, 0)
    numbers = [_number(outcome, each.value) for each in ordered]
    numeric = [(number, each) for number, each in zip(numbers, ordered, strict=True) if number is not None]
    decides = ordered[0] if outcome.combine is Combine.FIRST else ordered[-1]
    number = _number(outcome, decides.value)
    text = _text(decides.value)
    if numeric and outcome.combine is Combine.MAX:
        number = max(each for each, _ in numeric)
        decides = next(action for each, action in numeric if each == number)
        text = _text(decides.value)
    if numeric and outcome.combine is Combine.SUM:
        number, decides = sum(each for each, _ in numeric), numeric[-1][1]
        text = f"{number:g}"
    if outcome.label is LabelRule.POSITIVE:
        text = "positive"
    return ("matched", text, number, decides.action_id, len(ordered))


def _number(outcome: Outcome, value: Scalar) -> float | None:
    if outcome.label is LabelRule.POSITIVE or value is None:
        return 1.0
    return None if isinstance(value, str) else float(value)


def _text(value: Scalar) -> str:
    if value is None or isinstance(value, bool):
        return "false" if value is False else "true"
    return value if isinstance(value, str) else f"{value:g}"
