"""Epochs of rules: which change of a configuration begins a new one."""

from typing import Any

import pytest
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.errors import LoopwatchError
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.join.epochs import MOST_EPOCHS, revision_of
from loopwatch.stream_processors.rule_epochs import Rule, epochs_of, present_rules

CLICK: dict[str, Any] = {"actions": ["click", "tap"], "window": "30m"}


def config(defaults: dict[str, Any] | None = None, **outcomes: dict[str, Any]) -> LoopwatchConfig:
    return parse_config({"models": {"ctr": {"outcomes": outcomes}}, "defaults": defaults or {}})


def epoch_after(*configs: LoopwatchConfig, of: tuple[str, str] = ("ctr", "click")) -> int:
    """The epoch of a rule once workers have run with one configuration after the other."""
    known: dict[tuple[str, str], Rule] = {}
    for each in configs:
        known |= present_rules(known, each)
    return epochs_of(known).of(*of)


def test_the_first_rule_of_an_outcome_has_epoch_0_also_beside_older_ones() -> None:
    assert epoch_after(config(click=CLICK)) == 0
    assert epoch_after(config(click=CLICK), config(click=CLICK, buy={}), of=("ctr", "buy")) == 0


@pytest.mark.parametrize(
    "change", [{"window": "1h"}, {"actions": ["click"]}, {"on_timeout": "negative"}, {"label": "positive"},
               {"combine": "first"}], ids=str,
)  # fmt: skip
def test_what_decides_labels_begins_an_epoch(change: dict[str, Any]) -> None:
    changed = config(click=CLICK | change)
    assert epoch_after(config(click=CLICK), changed) == 1
    assert epoch_after(config(click=CLICK), changed, changed) == 1


def test_what_only_metrics_use_and_the_order_of_names_begin_none() -> None:
    same = config(click=CLICK | {"actions": ["tap", "click"], "window": "1800s", "positive": "> 15"})
    assert epoch_after(config(click=CLICK), same) == 0


def test_going_back_is_a_change_as_well() -> None:
    assert epoch_after(config(click=CLICK), config(click={}), config(click=CLICK)) == 2


def test_an_outcome_that_was_gone_for_a_while_goes_on() -> None:
    assert epoch_after(config(click=CLICK), config(buy={}), config(click=CLICK)) == 0
    assert epoch_after(config(click=CLICK), config(buy={}), config(click={})) == 1


def test_disorder_decides_labels_of_every_model() -> None:
    wider = config({"disorder": "20s"}, click=CLICK)
    assert epoch_after(config(click=CLICK), wider) == 1
    assert epoch_after(config(click=CLICK), wider, of=("never-configured", "default")) == 1


def test_a_model_that_gets_an_outcome_named_default_had_the_rule_of_all_models_before() -> None:
    of = ("ctr", "default")
    none = LoopwatchConfig()
    assert epoch_after(none, config(default={}), of=of) == 0
    assert epoch_after(none, config(default=CLICK), of=of) == 1
    assert epoch_after(none, config(default=CLICK), none, of=of) == 2
    assert epoch_after(none, config(default=CLICK), none, config({"disorder": "20s"}, buy={}), of=of) == 2


def test_more_changes_than_fit_into_a_revision_are_refused() -> None:
    known = {("ctr", "click"): Rule(MOST_EPOCHS - 1, "another")}
    with pytest.raises(LoopwatchError, match=r"ctr\.click changed"):
        present_rules(known, config(click=CLICK))


def test_every_revision_of_a_rule_is_above_those_of_the_rule_before_and_fits_into_32_bits() -> None:
    assert revision_of(3, 0, False) > revision_of(2, 10**9, True)
    assert revision_of(MOST_EPOCHS - 1, 10**9, True) < 2**32
