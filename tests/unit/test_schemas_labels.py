"""Labels: what one action says, which of several decides, and that the order of arrival doesn't show."""

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopwatch.schemas.labels import ActionValue, Label, combine, label_of, timeout_label
from loopwatch.schemas.outcomes import Combine, LabelRule, OnTimeout


class CountingAction(NamedTuple):
    """An action that counts, as `combine` asks for it."""

    ts_us: int
    action_id: str
    value: ActionValue


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (1, "1", 1.0),
        (1.0, "1", 1.0),
        (12.5, "12.5", 12.5),
        (-0.0, "0", 0.0),
        (0.1, "0.1", 0.1),
        (1e-9, "1e-09", 1e-9),
        (2**63 - 1, "9223372036854775807", float(2**63 - 1)),
        (True, "true", 1.0),
        (False, "false", 0.0),
        (None, "true", 1.0),
        ("cat", "cat", None),
        ("12.5", "12.5", None),
        ("", "", None),
    ],
)
def test_the_value_is_the_label(value: float | str | bool | None, text: str, number: float | None) -> None:
    assert label_of(LabelRule.VALUE, value) == Label(text, number)
    assert label_of(LabelRule.POSITIVE, value) == Label("positive", 1.0)


def test_a_timeout_is_negative_or_says_nothing() -> None:
    assert timeout_label(OnTimeout.NEGATIVE) == Label("negative", 0.0)
    assert timeout_label(OnTimeout.UNLABELLED) == Label(None, None)


ACTIONS = [
    CountingAction(30, "c", 2.5),
    CountingAction(10, "b", 10),
    CountingAction(10, "a", "gift"),
    CountingAction(20, "d", None),
]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Combine.FIRST, ("gift", None, "a", 10)),
        (Combine.LAST, ("2.5", 2.5, "c", 30)),
        (Combine.MAX, ("10", 10.0, "b", 10)),
        (Combine.SUM, ("13.5", 13.5, "c", 30)),
    ],
)
def test_the_rule_decides_which_action_counts(how: Combine, expected: tuple[object, ...]) -> None:
    assert combine(how, LabelRule.VALUE, ACTIONS) == expected


def test_where_no_value_is_a_number_the_last_action_decides() -> None:
    words = [CountingAction(2, "b", "late"), CountingAction(1, "a", "early")]
    for how in (Combine.MAX, Combine.SUM):
        assert combine(how, LabelRule.VALUE, words) == ("late", None, "b", 2)


def test_equal_maxima_go_to_the_earlier_action() -> None:
    equal = [CountingAction(2, "x", 5), CountingAction(1, "z", 5.0), CountingAction(1, "y", 5)]
    assert combine(Combine.MAX, LabelRule.VALUE, equal).action_id == "y"


def test_a_positive_label_stays_positive_and_a_sum_counts() -> None:
    assert combine(Combine.SUM, LabelRule.POSITIVE, ACTIONS) == ("positive", 4.0, "c", 30)
    assert combine(Combine.MAX, LabelRule.POSITIVE, ACTIONS) == ("positive", 1.0, "a", 10)


def test_cents_add_up_exactly() -> None:
    cents = [CountingAction(i, str(i), 0.1) for i in range(10)]
    assert combine(Combine.SUM, LabelRule.VALUE, cents).label == "1"


def test_sums_beyond_the_largest_number_stay_finite() -> None:
    huge = [CountingAction(i, str(i), 1.7e308) for i in range(3)]
    assert combine(Combine.SUM, LabelRule.VALUE, huge).label_value == 1.7976931348623157e308
    cancelling = [*huge, *(CountingAction(i, f"-{i}", -1.7e308) for i in range(3)), CountingAction(9, "x", 3)]
    assert combine(Combine.SUM, LabelRule.VALUE, cancelling).label_value == pytest.approx(3)


def test_nothing_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="no action"):
        combine(Combine.LAST, LabelRule.VALUE, [])


values = (
    st.none()
    | st.booleans()
    | st.text(max_size=5)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
counting = st.builds(CountingAction, st.integers(0, 5), st.text("abc", min_size=1, max_size=2), values)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(counting, min_size=1, max_size=8, unique_by=lambda action: action.action_id),
    st.sampled_from(Combine),
    st.sampled_from(LabelRule),
    st.integers(),
)
def test_any_order_of_arrival_gives_the_bit_same_label(
    actions: list[CountingAction], how: Combine, rule: LabelRule, seed: int
) -> None:
    shuffled = random.Random(seed).sample(actions, len(actions))
    assert repr(combine(how, rule, shuffled)) == repr(combine(how, rule, actions))
