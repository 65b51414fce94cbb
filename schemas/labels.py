"""From actions to a label: what one action says, and which of several decides. Pure; equal for any order of arrival."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from .outcomes import Combine, LabelRule, OnTimeout

ActionValue = int | float | str | bool | None


class Label(NamedTuple):
    """A label as text, and as a number where it is one; both None where there is no label."""

    text: str | None
    value: float | None


class CountingAction(Protocol):
    """What combining needs to know of an action that counts. `ts_us` is µs since 1970."""

    @property
    def ts_us(self) -> int: ...

    @property
    def action_id(self) -> str: ...

    @property
    def value(self) -> ActionValue: ...


class Combined(NamedTuple):
    """The label of an outcome, with the action that decides it (for a sum: the latest of those added)."""

    label: str | None
    label_value: float | None
    action_id: str
    ts_us: int


POSITIVE = Label("positive", 1.0)
NEGATIVE = Label("negative", 0.0)
UNLABELLED = Label(None, None)
_TRUE = Label("true", 1.0)
_FALSE = Label("false", 0.0)
# A member of an enum costs 0.1 µs at every look in Python 3.11.
_BY_POSITIVE = LabelRule.POSITIVE
_BY_FIRST, _BY_LAST, _BY_MAX, _BY_SUM = Combine.FIRST, Combine.LAST, Combine.MAX, Combine.SUM


def number_text(number: float) -> str:
    """The canonical text of a number: shortest decimal form, whole numbers without ``.0``.

    >>> number_text(1.0), number_text(12.5), number_text(-0.0), number_text(1e22), number_text(2**63 - 1)
    ('1', '12.5', '0', '10000000000000000000000', '9223372036854775807')
    >>> number_text(1e-7), number_text(1e300)
    ('1e-07', '1e+300')
    """
    if isinstance(number, int):
        return str(number)
    if number.is_integer() and abs(number) < 1e23:
        return str(int(number))
    return repr(number)


def label_of(rule: LabelRule, value: ActionValue) -> Label:
    """The label that one counting action gives.

    >>> label_of(LabelRule.POSITIVE, "whatever")
    Label(text='positive', value=1.0)
    >>> label_of(LabelRule.VALUE, 12.5), label_of(LabelRule.VALUE, "12.5"), label_of(LabelRule.VALUE, None)
    (Label(text='12.5', value=12.5), Label(text='12.5', value=None), Label(text='true', value=1.0))
    """
    if rule is _BY_POSITIVE:
        return POSITIVE
    if value is None or value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if isinstance(value, str):
        return Label(value, None)
    return Label(number_text(value), float(value))


def timeout_label(on_timeout: OnTimeout) -> Label:
    """The label of a prediction whose window ended with nothing that counts.

    >>> timeout_label(OnTimeout.NEGATIVE).value, timeout_label(OnTimeout.UNLABELLED).text
    (0.0, None)
    """
    return NEGATIVE if on_timeout is OnTimeout.NEGATIVE else UNLABELLED


def combine(combine_by: Combine, rule: LabelRule, actions: Sequence[CountingAction]) -> Combined:
    """Which label several counting actions give together, bit-equal for every order of `actions`.

    - FIRST, LAST: by event time, then by `action_id`.
    - MAX, SUM: by numeric value (a boolean is 1 or 0, no value is 1). Values that are no number are left out; where
      there are only such, the last action decides. Equal maxima: the earlier action.
    - Under LabelRule.POSITIVE the label stays "positive"; a sum then counts the actions in `label_value`.

    Raises:
        ValueError: `actions` is empty.

    >>> class Bought(NamedTuple):
    ...     ts_us: int
    ...     action_id: str
    ...     value: ActionValue
    >>> bought = [Bought(1, "a", 10), Bought(3, "b", 2.5), Bought(2, "c", "gift")]
    >>> combine(Combine.SUM, LabelRule.VALUE, bought)
    Combined(label='12.5', label_value=12.5, action_id='b', ts_us=3)
    """
    if not actions:
        raise ValueError("no action to combine")
    if len(actions) == 1 and combine_by is not _BY_SUM:
        return _decided_by(rule, actions[0])
    if combine_by is _BY_FIRST:
        return _decided_by(rule, min(actions, key=_when))
    if combine_by is _BY_LAST:
        return _decided_by(rule, max(actions, key=_when))
    numeric = [(number, action) for action in actions if (number := _number(rule, action.value)) is not None]
    if not numeric:
        return _decided_by(rule, max(actions, key=_when))
    if combine_by is _BY_MAX:
        highest = max(number for number, _ in numeric)
        return _decided_by(rule, min((action for number, action in numeric if number == highest), key=_when))
    total = _exact_sum([number for number, _ in numeric])
    latest = max((action for _, action in numeric), key=_when)
    text = POSITIVE.text if rule is _BY_POSITIVE else number_text(total)
    return Combined(text, total, latest.action_id, latest.ts_us)


def _when(action: CountingAction) -> tuple[int, str]:
    return (action.ts_us, action.action_id)


def _decided_by(rule: LabelRule, action: CountingAction) -> Combined:
    label = label_of(rule, action.value)
    return Combined(label.text, label.value, action.action_id, action.ts_us)


def _number(rule: LabelRule, value: ActionValue) -> float | None:
    return label_of(rule, value).value


def _by_magnitude(number: float) -> tuple[float, float]:
    return (abs(number), number)


def _exact_sum(numbers: list[float]) -> float:
    """Correctly rounded, so that no order shows in the last bit. Beyond the largest float: that float."""
    try:
        # Whether fsum overflows on the way depends on the order: always the same one. + 0.0 makes -0.0 plain 0.0.
        return math.fsum(sorted(numbers, key=_by_magnitude)) + 0.0
    except OverflowError:
        scaled = math.fsum(number / 2**64 for number in sorted(numbers))
        if abs(scaled) < 2.0**959:
            return scaled * 2.0**64
        return math.copysign(1.7976931348623157e308, scaled)
