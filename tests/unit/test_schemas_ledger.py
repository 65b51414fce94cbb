"""The ledger balances exactly when every equation of it holds, and says which one doesn't."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopwatch.schemas.ledger import (
    ActionClass,
    ActionLine,
    LedgerReport,
    ModelPredictions,
    OutcomeCounts,
)

PREDICTIONS = {
    "ctr": ModelPredictions(
        received=10,
        invalid=1,
        duplicate=2,
        accepted=7,
        outcomes={"click": OutcomeCounts(1, 4, 2), "revenue": OutcomeCounts(5, 1, 1)},
    ),
    "": ModelPredictions(received=3, invalid=3),
}
ACTIONS = {
    "ctr": ActionLine(
        received=20,
        duplicate=1,
        matched=9,
        late_revised=2,
        ignored_reasons={"outside_window": 3, "no_outcome": 1},
        held=2,
        orphan=2,
    ),
    "": ActionLine(received=5, invalid=5, forwarded=8),
}


def test_a_ledger_whose_sums_agree_is_balanced() -> None:
    report = LedgerReport.from_counts(PREDICTIONS, ACTIONS)
    assert (report.balanced, report.imbalances) == (True, [])


def test_no_events_at_all_balance() -> None:
    assert LedgerReport.from_counts({}, {}).balanced


def test_the_report_has_totals_and_each_model() -> None:
    document = msgspec.json.decode(msgspec.json.encode(LedgerReport.from_counts(PREDICTIONS, ACTIONS)))
    predictions, actions = document["predictions"], document["actions"]
    assert document["balanced"] is True
    assert {name: predictions[name] for name in ("received", "invalid", "duplicate", "accepted")} == {
        "received": 13,
        "invalid": 4,
        "duplicate": 2,
        "accepted": 7,
    }
    assert (predictions["pending"], predictions["matched"], predictions["expired"]) == (1, 4, 2)
    assert predictions["models"]["ctr"]["outcomes"]["revenue"] == {"pending": 5, "matched": 1, "expired": 1}
    assert (actions["received"], actions["ignored"], actions["forwarded"]) == (25, 4, 8)
    assert actions["ignored_reasons"] == {"outside_window": 3, "no_outcome": 1}
    assert actions["models"]["ctr"]["ignored"] == 4
    assert actions["models"].keys() == {"ctr", ""}


def test_totals_reconcile_as_well_as_their_models() -> None:
    report = LedgerReport.from_counts(PREDICTIONS, ACTIONS)
    for line in (report.predictions, *report.predictions.models.values()):
        assert line.received == line.invalid + line.duplicate + line.accepted
        assert line.accepted == line.pending + line.matched + line.expired
    for line in (report.actions, *report.actions.models.values()):
        parts = (getattr(line, each) for each in ActionClass if each is not ActionClass.FORWARDED)
        assert line.received == sum(parts)


@dataclass
class Wrong:
    predictions: ModelPredictions
    says: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong(ModelPredictions(received=2, invalid=1), "received 2, but invalid 1 + duplicate 0 + accepted 0 = 1"),
        Wrong(
            ModelPredictions(received=2, accepted=2, outcomes={"click": OutcomeCounts(1, 0, 0)}),
            "outcome click: accepted 2, but pending 1 + matched 0 + expired 0 = 1",
        ),
        Wrong(ModelPredictions(received=1, accepted=1), "no outcome of theirs is counted"),
        Wrong(
            ModelPredictions(received=0, accepted=0, outcomes={"click": OutcomeCounts(1, -1, 0)}),
            "matched is -1, below zero",
        ),
    ],
    ids=lambda wrong: wrong.says,
)
def test_a_prediction_that_is_missing_or_counted_twice_is_named(wrong: Wrong) -> None:
    report = LedgerReport.from_counts({"ctr": wrong.predictions}, {})
    assert not report.balanced
    assert len(report.imbalances) == 1
    assert report.imbalances[0].startswith("predictions of ctr")
    assert wrong.says in report.imbalances[0]


def test_an_action_that_is_missing_is_named() -> None:
    report = LedgerReport.from_counts(
        {}, {"": ActionLine(received=4, matched=1, ignored_reasons={"outside_window": 1})}
    )
    (imbalance,) = report.imbalances
    assert imbalance.startswith("actions of unknown models: received 4, but invalid 0 + duplicate 0 + matched 1")
    assert imbalance.endswith("orphan 0 + ignored (outside_window) 1 = 2")


counts = st.integers(0, 100)


@given(st.lists(counts, min_size=6, max_size=6), st.dictionaries(st.text(max_size=4), counts), st.integers(-3, 3))
def test_balanced_means_that_received_is_the_sum(classes: list[int], ignored: dict[str, int], off_by: int) -> None:
    invalid, duplicate, matched, late, held, orphan = classes
    received = sum(classes) + sum(ignored.values()) + off_by
    counted = ActionLine(
        received=received,
        invalid=invalid,
        duplicate=duplicate,
        matched=matched,
        late_revised=late,
        ignored_reasons=ignored,
        held=held,
        orphan=orphan,
    )
    assert LedgerReport.from_counts({}, {"m": counted}).balanced == (off_by == 0)
