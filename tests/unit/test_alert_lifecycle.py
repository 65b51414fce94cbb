"""What becomes of alerts when rules were evaluated."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from loopwatch.schemas.alerting import OfLedger, Rule
from loopwatch.schemas.alerts import Alert, AlertState, Change, Details, Finding, Severity
from loopwatch.stream_processors.alerts.lifecycle import MOST_OF_A_RULE, advance

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rule(held: int = 0, kept: int = 0, severity: Severity = Severity.WARNING, name: str = "R") -> Rule:
    return Rule(
        name=name, condition=OfLedger(), held_for=held * MINUTE, keep_firing_for=kept * MINUTE, severity=severity,
        annotations={"summary": "{{ model }} at {{ value }}"}, owner="ann", runbook="https://r",
    )  # fmt: skip


def found(model: str = "m", value: float = 1.0, of: str = "R") -> Finding:
    return Finding(of, {"model": model, "category": "quality"}, Details("it is", value=value))


class World:
    """Rules evaluated minute by minute."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules
        self.alerts: dict[str, Alert] = {}
        self.now = NOW

    def turn(self, *findings: Finding, failing: Iterable[str] = (), minutes: float = 1) -> list[Alert]:
        evaluated = {each.name for each in self.rules} - set(failing)
        changed = advance(self.rules, self.alerts, findings, evaluated, self.now)
        self.alerts |= {alert.fingerprint: alert for alert in changed}
        assert advance(self.rules, self.alerts, findings, evaluated, self.now) == []
        self.now += minutes * MINUTE
        return changed


def said(changed: list[Alert]) -> list[tuple[AlertState, Change]]:
    return [(alert.state, alert.change) for alert in changed]


def test_without_for_it_fires_at_once_and_is_over_when_it_is_gone() -> None:
    world = World(rule())
    (alert,) = world.turn(found())
    assert (alert.state, alert.change, alert.fired_at) == (AlertState.FIRING, Change.FOUND, NOW)
    assert alert.annotations == {"summary": "m at 1", "owner": "ann", "runbook_url": "https://r"}
    assert alert.labels == {"alertname": "R", "severity": "warning", "model": "m", "category": "quality"}
    assert world.turn(found(value=7.0)) == []
    (over,) = world.turn()
    assert (over.state, over.change, over.resolved_at) == (AlertState.RESOLVED, Change.OVER, NOW + 2 * MINUTE)
    assert over.revision == 2
    assert world.turn() == []


def test_it_is_pending_for_as_long_as_for_says() -> None:
    world = World(rule(held=2))
    assert said(world.turn(found())) == [(AlertState.PENDING, Change.FOUND)]
    assert world.turn(found()) == []
    assert said(world.turn(found())) == [(AlertState.FIRING, Change.HELD)]


def test_what_is_gone_before_it_fired_is_dropped() -> None:
    world = World(rule(held=2))
    world.turn(found())
    (dropped,) = world.turn()
    assert (dropped.state, dropped.change, dropped.fired_at) == (AlertState.RESOLVED, Change.DROPPED, None)


def test_it_recovers_for_as_long_as_keep_firing_for_says_and_may_come_back() -> None:
    world = World(rule(kept=2))
    world.turn(found())
    assert said(world.turn()) == [(AlertState.RECOVERING, Change.GONE)]
    assert said(world.turn(found())) == [(AlertState.FIRING, Change.BACK)]
    assert said(world.turn()) == [(AlertState.RECOVERING, Change.GONE)]
    assert world.turn() == []
    assert said(world.turn()) == [(AlertState.RESOLVED, Change.OVER)]


def test_a_rule_that_fails_leaves_its_alerts_as_they_are() -> None:
    world = World(rule(), rule(name="S"))
    world.turn(found(), found(of="S"))
    assert [alert.rule for alert in world.turn(failing=["R"])] == ["S"]
    assert [alert.rule for alert in world.turn()] == ["R"]


def test_a_rule_that_is_gone_resolves_its_alerts() -> None:
    world = World(rule())
    world.turn(found())
    world.rules = ()
    assert said(world.turn()) == [(AlertState.RESOLVED, Change.RULE_GONE)]


def test_it_is_told_again_when_it_gets_more_severe_and_not_when_less() -> None:
    world = World(rule())
    world.turn(found())
    world.rules = (rule(severity=Severity.CRITICAL),)
    (worse,) = world.turn(found())
    assert (worse.change, worse.severity, worse.fired_at) == (Change.WORSE, Severity.CRITICAL, NOW)
    world.rules = (rule(severity=Severity.INFO),)
    assert world.turn(found()) == []


def test_what_keeps_coming_back_is_damped() -> None:
    world = World(rule())
    changes = []
    for _ in range(12):
        changes += [alert.change for alert in (*world.turn(found()), *world.turn())]
    assert changes[:4] == [Change.FOUND, Change.OVER, Change.FOUND, Change.OVER]
    assert Change.BACK in changes
    assert changes.count(Change.OVER) <= 5
    assert [alert.state for alert in world.alerts.values()] == [AlertState.RECOVERING]
    for _ in range(200):
        world.turn()
    assert [alert.state for alert in world.alerts.values()] == [AlertState.RESOLVED]


def test_a_rule_that_finds_too_much_says_how_much_is_left_out() -> None:
    world = World(rule())
    many = [found(f"m{n}") for n in range(MOST_OF_A_RULE + 7)]
    changed = world.turn(*many)
    assert len(changed) == MOST_OF_A_RULE + 1
    (more,) = [alert for alert in changed if "more" in alert.labels]
    assert "7 more" in more.details.message
    assert world.turn(*reversed(many)) == []


_TURN = st.tuples(st.sets(st.sampled_from("abc")), st.booleans(), st.integers(1, 8))


@given(turns=st.lists(_TURN, max_size=30), held=st.integers(0, 3), kept=st.integers(0, 3), restarts=st.booleans())
def test_whatever_happens_an_alert_ends_when_its_condition_does(
    turns: list[tuple[set[str], bool, int]], held: int, kept: int, restarts: bool
) -> None:
    world = World(rule(held, kept))
    revisions: dict[str, int] = {}
    for models, fails, minutes in turns:
        before = dict(world.alerts)
        findings = [found(model) for model in sorted(models)]
        backwards = advance(world.rules, before, findings[::-1], {"R"} - ({"R"} if fails else set()), world.now)
        changed = world.turn(*findings, failing=["R"] if fails else [], minutes=minutes)
        assert backwards == changed
        for alert in changed:
            assert alert.revision == revisions.get(alert.fingerprint, 0) + 1
            revisions[alert.fingerprint] = alert.revision
            assert alert.state is not AlertState.RESOLVED or alert.resolved_at is not None
            assert not alert.is_told or alert.fired_at is not None
        if restarts:
            stored = msgspec.json.encode(list(world.alerts.values()))
            world.alerts = {each.fingerprint: each for each in msgspec.json.decode(stored, type=list[Alert])}
    for _ in range(80):
        world.turn()
    assert {alert.state for alert in world.alerts.values()} <= {AlertState.RESOLVED}
